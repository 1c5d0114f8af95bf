#!/usr/bin/env bash
# How this model was made: one core of a machine with avx512_bf16, 85 minutes. Run in the source tree; OUT is the run's folder.
build/release/bin/banyan train sft --out "${OUT:-runs/countdown-3}" --minutes 85 --seed 1 --dtype bfloat16 \
  --muon-dtype bfloat16 --threads 1 --rate 0.004 --decay-start 0.2 --trees 2:5 --drill-steps 900 --drill-rows 24 \
  --drill-share 0.1 --pair-share 0.4 --exclude models/countdown-3/heldout.jsonl \
  --exclude models/countdown-3/validation.jsonl --checkpoint-every 1000 --keep 3 --log-every 50
