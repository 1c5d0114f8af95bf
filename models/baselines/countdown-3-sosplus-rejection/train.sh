#!/usr/bin/env bash
# How this baseline was made: as countdown-3-sosplus-beam5, but from searches that found a solution and are short enough (rejection sampling).
set -euo pipefail
out=${OUT:-runs/sosplus-rejection}
problems="--exclude models/countdown-3/heldout.jsonl models/countdown-3/validation.jsonl"
search="--search sos+ --beam 1:5 --spawn-probability 0.5 --order generation --max-result 199 --condition-tokens --condition-share 0.5"
build/release/bin/banyan generate traces --count 24000 --numbers 3 $search --seed 5 $problems --only-solved --max-thread-bytes 4096 --out "$out.trees"
build/release/bin/banyan train sft --out "$out" --model models/baselines/countdown-3-sft --traces "$out.trees" --dtype bfloat16 --muon-dtype bfloat16 \
  --threads 1 --drill-steps 0 --drill-rows 24 --pair-share 0.4 --drill-share 0.06 --trees 4:6 $search --steps 3000 --rate 0.003 --decay-start 0.3 \
  --seed 5 $problems --checkpoint-every 1000 --log-every 50
build/release/bin/banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
