#!/usr/bin/env bash
# How this baseline was made: Stream of Search, half of it breadth first and half depth first, from the weights of models/baselines/countdown-3-sft,
# so that arithmetic need not be learnt again.
set -euo pipefail
out=${OUT:-runs/sos}
problems="--exclude models/countdown-3/heldout.jsonl models/countdown-3/validation.jsonl"
for search in sos-bfs sos-dfs; do
  build/release/bin/banyan generate traces --search "$search" --count 12000 --numbers 3 --beam 1:15 --order generation --max-result 199 --seed 5 \
    $problems --out "$out-$search.trees"
done
build/release/bin/banyan train sft --out "$out" --model models/baselines/countdown-3-sft --traces "$out-sos-bfs.trees" "$out-sos-dfs.trees" \
  --dtype bfloat16 --muon-dtype bfloat16 --threads 1 --drill-steps 0 --drill-rows 24 --pair-share 0.4 --drill-share 0.06 --trees 4:6 --search sos \
  --max-result 199 --steps 3000 --rate 0.003 --decay-start 0.3 --seed 5 $problems --checkpoint-every 500 --log-every 50
build/release/bin/banyan model export "$out/last" --out "$out-exported" --dtype bfloat16
