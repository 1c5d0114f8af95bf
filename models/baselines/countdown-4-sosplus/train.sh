#!/usr/bin/env bash
# How this baseline was made: one long chain in place of a tree (SoS+), with the paper's beams of up to 5, from the weights of
# models/baselines/countdown-4-sft, so that arithmetic need not be learnt again. One NVIDIA H200, which ran experiments on the other
# models meanwhile. Run in the source tree of a build with CUDA; OUT is the run's folder.
set -euo pipefail
out=${OUT:-runs/countdown-4-sosplus}
banyan=${BANYAN:-build/release/bin/banyan}
$banyan train sft --out "$out" --model models/baselines/countdown-4-sft --device cuda --dtype bfloat16 --muon-dtype bfloat16 --numbers 4 \
  --minutes "${MINUTES:-6}" --seed 5 --drill-steps 0 --drill-rows 256 --drill-share 0.05 --pair-share 0.4 --trees 16:32 --search sos+ --beam 1:5 \
  --spawn-probability 0.5 --order generation --max-result 199 --condition-tokens --condition-share 0.5 --rate 0.003 --decay-start 0.3 \
  --exclude models/countdown-4/heldout.jsonl models/countdown-4/validation.jsonl --checkpoint-every 4000 --keep 2 --log-every 500
$banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
