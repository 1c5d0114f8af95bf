#!/usr/bin/env bash
# How this model was made: one core of a machine with avx512_bf16, 85 + 70 + 28 minutes. Run in the source tree; OUT is
# where the runs' folders go. 1: every operation explored, a child for each. 2: adaptive, sampled beams, roots that search
# themselves, `Sub Call Budget`, joins at the first success. 3: the same, asked for more children than there can be.
set -euo pipefail
out=${OUT:-runs/countdown-3}
train() { build/release/bin/banyan train sft --dtype bfloat16 --muon-dtype bfloat16 --threads 1 --drill-rows 24 --pair-share 0.4 \
  --exclude models/countdown-3/heldout.jsonl models/countdown-3/validation.jsonl --checkpoint-every 1000 --keep 3 --log-every 50 "$@"; }
adaptive=(--drill-steps 0 --drill-share 0.06 --trees 4:6 --beam 1:15 --sub-beam 15:15 --spawn-probability 0.9
  --condition-children --first-success-share 0.4)
train --out "$out" --minutes 85 --seed 1 --rate 0.004 --decay-start 0.2 --trees 2:5 --drill-steps 900 --drill-share 0.1
train --out "$out-2" --model "$out/last" --minutes 70 --seed 2 --rate 0.003 --decay-start 0.3 "${adaptive[@]}" --condition-share 0.5
train --out "$out-3" --model "$out-2/last" --minutes 28 --seed 3 --rate 0.0015 --decay-start 0 "${adaptive[@]}" \
  --condition-share 0.6 --condition-up-to 15
