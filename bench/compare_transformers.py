#!/usr/bin/env python3
"""Greedy decoding of one batch: Hugging Face transformers against Banyan's pool.

    bench/compare_transformers.py --model DIR --pool-bench build/release/bin/pool_bench

Both read the same checkpoint folder, decode the same prompts on the same CPU cores with the same number of
OS threads, in turns, and write the same number of tokens for each prompt (end-of-sequence is barred). Prints
the median ratio of their speeds and how many of their tokens agree. Needs `pip install torch transformers`.
"""
import argparse
import json
import os
import random
import statistics
import subprocess
import tempfile
import time


def root_prompts(count):
    chance = random.Random(1)
    for _ in range(count):
        numbers = [chance.randint(1, 99) for _ in range(chance.choice([3, 4]))]
        yield (f"Moving to Node #0\nCurrent State: {chance.randint(10, 100)}:{numbers}, "
               "Operations: []\n")


def load(folder, os_threads):
    import torch
    import transformers
    torch.set_num_threads(os_threads)
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_file=os.path.join(folder, "tokenizer.json"))
    return model, tokenizer


def with_transformers(model, prompts, tokens):
    """Seconds, and the new ids of each prompt."""
    import torch
    longest, pad = max(map(len, prompts)), model.config.pad_token_id or 0
    ids = torch.tensor([[pad] * (longest - len(p)) + p for p in prompts])
    mask = torch.tensor([[0] * (longest - len(p)) + [1] * len(p) for p in prompts])
    begin = time.perf_counter()
    with torch.inference_mode():
        out = model.generate(input_ids=ids, attention_mask=mask, do_sample=False, pad_token_id=pad,
                             min_new_tokens=tokens, max_new_tokens=tokens)
    return time.perf_counter() - begin, out[:, longest:].tolist()


def with_pool(options, prompts_file):
    out = subprocess.run(
        [options.pool_bench, "--model", options.model, "--prompts", prompts_file, "--json",
         "--batch", str(options.batch), "--tokens", str(options.tokens),
         "--os-threads", str(options.os_threads)], check=True, capture_output=True, text=True)
    answer = json.loads(out.stdout)
    return answer["wall_s"], answer["sampled"]


def agreement(ours, theirs):
    pairs = [pair for a, b in zip(ours, theirs) for pair in zip(a, b)]
    return sum(a == b for a, b in pairs) / len(pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint folder")
    parser.add_argument("--pool-bench", required=True, help="the pool_bench program")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--os-threads", type=int, default=os.cpu_count())
    options = parser.parse_args()

    model, tokenizer = load(options.model, options.os_threads)
    prompts = [tokenizer(text, add_special_tokens=False)["input_ids"]
               for text in root_prompts(options.batch)]
    if model.config.bos_token_id is not None:
        prompts = [[model.config.bos_token_id] + prompt for prompt in prompts]
    with_transformers(model, prompts, 4)  # wakes it up
    ratios, total = [], options.batch * options.tokens
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps(prompt) + "\n" for prompt in prompts)
        file.flush()
        for _ in range(options.repeats):
            theirs_s, theirs = with_transformers(model, prompts, options.tokens)
            ours_s, ours = with_pool(options, file.name)
            ratios.append(theirs_s / ours_s)
            print(f"transformers {total / theirs_s:8.0f} tokens/s   pool {total / ours_s:8.0f} "
                  f"tokens/s   ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f} at batch {options.batch}; "
          f"{100 * agreement(ours, theirs):.2f} % of the tokens agree")


if __name__ == "__main__":
    main()
