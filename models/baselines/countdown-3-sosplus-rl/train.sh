#!/usr/bin/env bash
# How this baseline was made: thirty steps of reinforcement learning from models/baselines/countdown-3-sosplus.
set -euo pipefail
out=${OUT:-runs/sosplus-rl}
build/release/bin/banyan train rl --out "$out" --model models/baselines/countdown-3-sosplus --steps 30 --prompts 12 --group 8 --rate 8e-4 --warmup 3 \
  --decay linear --decay-start 0.5 --dtype bfloat16 --threads 1 --pool-threads 1 --checkpoint-every 10 --kl-max 0 --seed 2 \
  --exclude models/countdown-3/heldout.jsonl models/countdown-3/validation.jsonl
