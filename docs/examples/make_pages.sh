#!/bin/sh
# Writes a page of every command that has --html, and looks at each in a headless Chromium (check_pages.py).
#
#   sh docs/examples/make_pages.sh PROGRAM FOLDER [--chromium /usr/bin/chromium] [--screenshots FOLDER]
#
# PROGRAM is 'routegrad', with lint-test-router beside it. What follows FOLDER goes to check_pages.py; PYTHON is the interpreter that has
# playwright (default: python3). Where PYTHON has routegrad as well, the page of a network's audit is among them. The pictures of the guides
# are made so, from the folder of screenshots: report-light.png is docs/guides/report-page.png, audit-light-heat.png audit-page.png, verify-light.png verify-page.png.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
program=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
mkdir -p "$2"
out=$(cd "$2" && pwd)
shift 2
cd "$root" # so that pages name files as anybody would
set8=Fixtures/problems/mixtures-8.json

"$program" report --html "$out/report.html" --quiet > "$out/report.txt"
"$program" report "$set8" --estimators all --html "$out/report-all.html" --quiet > "$out/report-all.txt"
"$program" audit-layer Fixtures/layers/switch-block.safetensors --html "$out/audit.html" --quiet > "$out/audit.txt"
"$program" compare --routers switch,exact --seeds 2 --steps 40 --batch 16 --html "$out/compare.html" --quiet > "$out/compare.txt"
"$program" lint --quiet --html "$out/lint.html" -- "$(dirname "$program")/lint-test-router" switch > "$out/lint.txt"
"$program" train language-model --text README.md --steps 4 --layers 4 --width 16 --heads 2 --hidden 16 --context 16 \
  --audit-every 2 --router switch --quiet --output "$out/runs/switch" > "$out/train.txt"
"$program" train language-model --text README.md --steps 4 --layers 4 --width 16 --heads 2 --hidden 16 --context 16 \
  --audit-every 2 --router sparsemixer --quiet --output "$out/runs/sparsemixer" >> "$out/train.txt"
"$program" compare --from "$out/runs" --html "$out/compare-networks.html" --quiet > "$out/compare-networks.txt"

# Samples of SparseMixer, drawn from its outcomes with a fixed seed, which are biased: their mean is not the gradient.
cp "$set8" "$out/mixtures-8.json"
about="--problem mixtures-8.json --problem-name mixture-8-log-cosh"
"$program" outcomes "$set8" --problem mixture-8-log-cosh --estimator sparsemixer > "$out/outcomes.jsonl"
"$python" -c '
import json, random, sys
outcomes = [json.loads(line) for line in sys.stdin]
random.seed(0)
for outcome in random.choices(outcomes, [outcome["probability"] for outcome in outcomes], k=40000):
    print(json.dumps({"gradient": outcome["gradient"]}))' < "$out/outcomes.jsonl" > "$out/samples.jsonl"
# shellcheck disable=SC2086
(cd "$out" && "$program" verify samples.jsonl $about --target expected-loss --bounds=-50,50 --html "$out/verify.html" --quiet > "$out/verify.txt") || [ $? -eq 1 ]
# shellcheck disable=SC2086
(cd "$out" && "$program" assess samples.jsonl $about --estimators reinmax,conventional,exact --html assess.html --quiet > assess.txt)

if "$python" -c 'import routegrad' 2> /dev/null; then
  "$python" "$root/Tests/PythonTests/made_audit.py" "$out/network-audit.html"
fi
"$python" "$root/docs/examples/check_pages.py" "$out"/*.html "$@"
