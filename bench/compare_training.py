#!/usr/bin/env python3
"""Training steps on one batch: PyTorch with transformers against Banyan.

    bench/compare_training.py --model DIR --bin build/release/bin

The batch is trees of demonstrations. PyTorch (eager) gets them as flat, padded sequences; Banyan gets the same
padded ones, the same without padding, and the trees as they are. Forward pass, backward pass, clipping and AdamW,
from the same weights at the same rate, on the same device with the same number of OS threads, in turns. Prints the
ratio of the times of each side's fastest step, by the clock and in CPU time (which counts where other processes
compute as well), and how far the losses of the steps lie apart. Needs `pip install torch transformers`.
"""
import argparse
import json
import os
import subprocess
import tempfile
import time


def load(options):
    import torch
    import transformers
    torch.set_num_threads(options.os_threads)
    transformers.logging.set_verbosity_error()
    model = transformers.AutoModelForCausalLM.from_pretrained(options.model, dtype=torch.float32)
    return model.to(options.device).train()


def padded(file):
    """ids, attention mask and labels, [sequences, longest]"""
    import torch
    with open(file) as lines:
        sequences = [json.loads(line) for line in lines]
    longest = max(len(s["ids"]) for s in sequences)
    ids = torch.zeros(len(sequences), longest, dtype=torch.long)
    mask, labels = torch.zeros_like(ids), torch.full_like(ids, -100)
    for row, s in enumerate(sequences):
        length = len(s["ids"])
        ids[row, :length] = torch.tensor(s["ids"])
        mask[row, :length] = 1
        targets = torch.tensor(s["targets"])
        labels[row, :length] = torch.where(targets < 0, -100, targets)
    return ids, mask, labels


def with_transformers(options, batch):
    """(Seconds, CPU seconds) and loss of each step, from the checkpoint's weights."""
    import torch
    model = load(options)
    update = torch.optim.AdamW(model.parameters(), lr=options.rate, betas=(0.9, 0.999), eps=1e-8, weight_decay=0)
    ids, mask, labels = (part.to(options.device) for part in batch)
    precision = torch.autocast(torch.device(options.device).type, torch.bfloat16, enabled=options.dtype == "bfloat16")
    seconds, losses = [], []
    for _ in range(options.steps):
        begin, cpu_begin = time.perf_counter(), time.process_time()
        with precision:
            logits = model(input_ids=ids, attention_mask=mask, use_cache=False).logits.float()
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=-100)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        update.step()
        update.zero_grad()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        seconds.append((time.perf_counter() - begin, time.process_time() - cpu_begin))
        losses.append(loss.item())
    return seconds, losses


def with_banyan(options, file, *more):
    out = subprocess.run(
        [os.path.join(options.bin, "train_step_bench"), "--model", options.model, "--sequences", file,
         "--steps", str(options.steps), "--rate", str(options.rate), "--os-threads", str(options.os_threads),
         "--device", options.device, "--dtype", options.dtype, *more],
        check=True, capture_output=True, text=True)
    answer = json.loads(out.stdout)
    return list(zip(answer["seconds"], answer["cpu_seconds"])), answer["losses"], answer["tokens"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="checkpoint folder")
    parser.add_argument("--bin", required=True, help="folder of tree_batch_bench and train_step_bench")
    parser.add_argument("--trees", type=int, default=4)
    parser.add_argument("--numbers", type=int, default=3)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rate", type=float, default=1e-4)
    parser.add_argument("--os-threads", type=int, default=os.cpu_count())
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--dtype", default="float32", help="of matrix products: float32, or bfloat16 (autocast there)")
    options = parser.parse_args()

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [os.path.join(options.bin, "tree_batch_bench"), "--model", options.model, "--trees", str(options.trees),
             "--numbers", str(options.numbers), "--write", folder], check=True)
        flat, tree = os.path.join(folder, "flat.jsonl"), os.path.join(folder, "tree.jsonl")
        batch = padded(flat)
        ours = {"flat, padded": (flat, "--padded"), "flat, packed": (flat,), "trees": (tree,)}
        theirs_s, times, losses, tokens = [], {name: [] for name in ours}, {}, {}
        for _ in range(options.repeats):
            seconds, theirs = with_transformers(options, batch)
            theirs_s += seconds
            for name, arguments in ours.items():
                seconds, losses[name], tokens[name] = with_banyan(options, *arguments)
                times[name] += seconds
    fastest = lambda steps: [1000 * min(one) for one in zip(*steps)]  # ms by the clock, and of CPU time
    theirs_ms, theirs_cpu_ms = fastest(theirs_s)
    print(f"{'PyTorch, flat, padded':22} {batch[0].numel():7} tokens {theirs_ms:9.1f} ms a step, {theirs_cpu_ms:9.1f} of CPU")
    for name in ours:
        apart = max(abs(a - b) for a, b in zip(losses[name], theirs))
        ms, cpu_ms = fastest(times[name])
        print(f"{'Banyan, ' + name:22} {tokens[name]:7} tokens {ms:9.1f} ms a step, {cpu_ms:9.1f} of CPU   "
              f"ratio {theirs_ms / ms:.2f}, {theirs_cpu_ms / cpu_ms:.2f}   losses at most {apart:.1e} apart")


if __name__ == "__main__":
    main()
