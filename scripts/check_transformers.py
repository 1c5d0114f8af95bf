#!/usr/bin/env python3
"""Compares Banyan with transformers on one checkpoint: token ids of many texts, and logits of some.

Run by hand; it needs the Python packages torch and transformers:

    build/release/bin/reference_dump /tmp/reference [CHECKPOINT]
    scripts/check_transformers.py /tmp/reference

Exit code 0: all the same (logits within --tolerance); 1: a difference; the figures are on stdout.
"""
import argparse
import json
import pathlib
import sys

import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer


def check_ids(texts, reference, tokenizer):
    wrong = 0
    for i, text in enumerate(texts):
        expected = reference[f"ids.{i}"].tolist()
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        if ids != expected or tokenizer.decode(ids) != text:
            wrong += 1
            print(f"text {i} differs: {ids[:40]} where banyan has {expected[:40]}")
    tokens = sum(len(reference[f"ids.{i}"]) for i in range(len(texts)))
    print(f"token ids: {len(texts) - wrong} of {len(texts)} texts the same ({tokens} tokens)")
    return wrong == 0


def check_logits(reference, model, tolerance):
    worst = {"trained": 0.0, "decoded": 0.0}
    scale, count = 0.0, 0
    with torch.no_grad():
        for name in (n for n in reference if n.startswith("trained.")):
            number = name.split(".")[1]
            ids = reference[f"ids.{number}"].long().unsqueeze(0)
            expected = model(ids).logits[0].double()
            scale = max(scale, expected.abs().max().item())
            count += len(expected)
            for kind in worst:
                difference = (reference[f"{kind}.{number}"].double() - expected).abs().max().item()
                worst[kind] = max(worst[kind], difference)
    print(f"logits of {count} tokens, the largest {scale:.3f}: largest difference "
          f"{worst['trained']:.2e} in training, {worst['decoded']:.2e} in decoding")
    return count > 0 and max(worst.values()) <= tolerance * scale


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="what reference_dump wrote")
    parser.add_argument("--tolerance", type=float, default=1e-5, help="of the largest logit")
    options = parser.parse_args()

    described = json.loads((options.folder / "texts.json").read_text())
    reference = load_file(options.folder / "reference.safetensors")
    tokenizer = AutoTokenizer.from_pretrained(described["model"])
    model = AutoModelForCausalLM.from_pretrained(described["model"], dtype=torch.float32).eval()

    special = {key: (getattr(model.config, key), getattr(tokenizer, key))
               for key in ("eos_token_id", "pad_token_id", "bos_token_id")}
    print("special tokens in config and tokenizer:", special)
    fits = all(a == b for a, b in special.values()) and len(tokenizer) == model.config.vocab_size
    same_ids = check_ids(described["texts"], reference, tokenizer)
    same_logits = check_logits(reference, model, options.tolerance)
    sys.exit(0 if fits and same_ids and same_logits else 1)


if __name__ == "__main__":
    main()
