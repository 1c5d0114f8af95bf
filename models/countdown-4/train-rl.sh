#!/usr/bin/env bash
# How models/countdown-4 was made from models/baselines/countdown-4-sft: reinforcement learning on one NVIDIA H200, trained and
# rolled out on the same device by two pools. Run in the source tree of a build with CUDA; OUT is the run's folder.
set -euo pipefail
out=${OUT:-runs/countdown-4-rl}
banyan=${BANYAN:-build/release/bin/banyan}
$banyan train rl --out "$out" --model "${MODEL:-models/baselines/countdown-4-sft}" --device cuda --dtype bfloat16 \
  --pool-device cuda --pool-device cuda --numbers 4 --minutes "${MINUTES:-6.3}" --prompts 16 --group 8 --concurrency 256 \
  --rate 8e-4 --warmup 5 --decay linear --decay-start 0.5 --micro-tokens 65536 --children-between 0:24 --condition-share 0.3 \
  --exclude models/countdown-4/heldout.jsonl models/countdown-4/validation.jsonl --checkpoint-every 10 --keep 30 --seed 1
$banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
