#!/usr/bin/env bash
# How this baseline was made: SoS+ with beams of up to 5, as the paper's baseline has them (countdown-3-sosplus has the 15 of APR), from the
# weights of models/baselines/countdown-3-sft, so that arithmetic need not be learnt again.
set -euo pipefail
out=${OUT:-runs/sosplus-beam5}
build/release/bin/banyan train sft --out "$out" --model models/baselines/countdown-3-sft --dtype bfloat16 --muon-dtype bfloat16 --threads 1 \
  --drill-steps 0 --drill-rows 24 --pair-share 0.4 --drill-share 0.06 --trees 4:6 --search sos+ --beam 1:5 --spawn-probability 0.5 \
  --order generation --max-result 199 --condition-tokens --condition-share 0.5 --steps 3000 --rate 0.003 --decay-start 0.3 --seed 5 \
  --exclude models/countdown-3/heldout.jsonl models/countdown-3/validation.jsonl --checkpoint-every 1000 --log-every 50
build/release/bin/banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
