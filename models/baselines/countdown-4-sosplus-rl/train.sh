#!/usr/bin/env bash
# How this baseline was made: ten steps of reinforcement learning from models/baselines/countdown-4-sosplus, on two loaded cores, with
# rollouts in bfloat16; the importance correction takes up the gap to training.
set -euo pipefail
out=${OUT:-runs/countdown-4-sosplus-rl}
banyan=${BANYAN:-build/release/bin/banyan}
$banyan train rl --out "$out" --model models/baselines/countdown-4-sosplus --numbers 4 --steps 10 --prompts 16 --group 8 --concurrency 128 \
  --deadline 0 --rate 8e-4 --warmup 5 --decay linear --decay-start 0.5 --dtype bfloat16 --threads 1 --pool-device cpu --pool-device cpu \
  --pool-dtype bfloat16 --pool-threads 1 --checkpoint-every 1 --keep 3 --seed 2 \
  --exclude models/countdown-4/heldout.jsonl models/countdown-4/validation.jsonl
$banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
