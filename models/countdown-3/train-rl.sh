#!/usr/bin/env bash
# How this model was made: reinforcement learning from models/baselines/countdown-3-sft, one core for decoding and one for training.
# Run in the source tree; OUT is the run's folder. The model is the checkpoint of step 30; the run it is from went on
# to step 56 (stopped at 40, resumed with --steps 56), and rl-log.jsonl and rl-curve.svg show all of it.
set -euo pipefail
out=${OUT:-runs/countdown-3-rl}
build/release/bin/banyan train rl --out "$out" --model models/baselines/countdown-3-sft --steps 75 --prompts 12 --group 8 --rate 8e-4 \
  --warmup 5 --decay linear --decay-start 0.5 --dtype bfloat16 --threads 1 --pool-threads 1 --children-between 0:12 --condition-share 0.3 \
  --exclude models/countdown-3/heldout.jsonl models/countdown-3/validation.jsonl \
  --evaluate-problems models/countdown-3/validation.jsonl --evaluate-every 25 --checkpoint-every 5 --keep 30 --kl-max 0 --seed 1
