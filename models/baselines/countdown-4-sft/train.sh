#!/usr/bin/env bash
# How this model was made: one NVIDIA H200, seven and a half minutes. Run in the source tree of a build with CUDA; OUT is the
# run's folder.
set -euo pipefail
out=${OUT:-runs/countdown-4-sft}
banyan=${BANYAN:-build/release/bin/banyan}
$banyan train sft --out "$out" --device cuda --dtype bfloat16 --muon-dtype bfloat16 --numbers 4 --minutes "${MINUTES:-7.5}" --seed 1 \
  --hidden 192 --layers 6 --heads 6 --kv-heads 6 --head-dim 32 --intermediate 576 --context 4096 \
  --beam 1:30 --sub-beam 15:15 --spawn-probability 0.9 --first-success-share 0.4 \
  --condition-children --condition-share 0.5 --condition-up-to 30 \
  --drill-steps 1000 --drill-rows 256 --drill-share 0.05 --pair-share 0.4 --trees 4:8 --rate 0.004 --decay-start 0.3 \
  --exclude models/countdown-4/heldout.jsonl models/countdown-4/validation.jsonl --checkpoint-every 4000 --keep 2 --log-every 500
$banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
