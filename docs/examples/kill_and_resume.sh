#!/usr/bin/env bash
# Kills a training run (SIGKILL) at random moments, resumes it each time, and compares the result with an undisturbed run, byte for byte.
#
#   docs/examples/kill_and_resume.sh [PROGRAM] [KILLS] [SEED]     (default: .build/release/routegrad 20 1)
set -euo pipefail
program=$(realpath "${1:-.build/release/routegrad}")
kills=${2:-20}
RANDOM=${3:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
begin=(train mixture-regression --router surrogate-experts --steps 12000 --checkpoint-every 20 --threads 1 --quiet --output)
go_on=(train resume --quiet)

"$program" "${begin[@]}" whole
for ((k = 1; k <= kills; k++)); do
  if [ -e killed/manifest.json ]; then command=("${go_on[@]}"); else command=("${begin[@]}"); fi
  "$program" "${command[@]}" killed > /dev/null &
  process=$!
  # Between 50 and 950 ms.
  sleep "$(printf '0.%03d' $((50 + RANDOM % 900)))"
  kill -9 "$process" 2> /dev/null || true
  wait "$process" 2> /dev/null || true
  echo "killed $k: $(ls killed 2> /dev/null | grep -c tmp || true) half-written, last checkpoint $(ls killed 2> /dev/null | grep 'safetensors$' | tail -n 1)"
done
"$program" "${go_on[@]}" killed
for file in manifest.json metrics.jsonl checkpoint-00012000.safetensors; do cmp "whole/$file" "killed/$file"; done
echo "the same bytes"
