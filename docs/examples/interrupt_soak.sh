#!/usr/bin/env bash
# Interrupts every long command (SIGINT, as Ctrl-C does) at seeded random moments, with one thread and with two, and checks each time:
# the exit status is 130; standard error says one line or nothing; what was promised is saved and nothing half-written is left; and
# what is gone on with, or run again, comes to the bytes of a run with one thread that nobody interrupted.
#
#   docs/examples/interrupt_soak.sh [PROGRAM] [INTERRUPTS] [SEED]     (default: .build/release/routegrad 200 1)
set -euo pipefail
set -m  # as at a prompt: what runs in the background does not ignore interrupts
root=$(realpath "$(dirname "$0")/../..")
program=$(realpath "${1:-.build/release/routegrad}")
interrupts=${2:-200}
RANDOM=${3:-1}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

# A text, samples whose mean is the gradient, and a place for temporary files that has to stay empty.
for ((k = 0; k < 400; k++)); do echo "The $k quick brown foxes jump over $((k * k)) lazy dogs."; done > text
cat > even.json << 'END'
{"schema": "routegrad.problem/1", "name": "even", "kind": "categorical", "logits": [0.3, -0.2, 0.8],
 "objective": {"type": "linear", "coefficients": [1, 1, 1]}}
END
mkdir temporary
export TMPDIR=$folder/temporary

# The layers are wide enough for the matrix products that use a buffer of the library's.
layers=(--width 64 --hidden 64 --heads 2 --layers 2 --context 64)
names=("train mixture-regression" "train mixture-classification" "train language-model" "train translation" "compare" "compare networks"
  "audit-layer" "report" "verify")

# The arguments of a command, which writes into the folder OUTPUT.
arguments() {
  case $1 in
    0) arguments=(train mixture-regression --router surrogate-experts --steps 200 --checkpoint-every 40 --evaluate-every 50 --output "$2/run") ;;
    1) arguments=(train mixture-classification --router sparsemixer --steps 200 --checkpoint-every 40 --evaluate-every 50
      --audit-every 50 --output "$2/run") ;;
    2) arguments=(train language-model --text text "${layers[@]}" --batch 8 --steps 24 --checkpoint-every 10 --evaluate-every 12
      --audit-every 8 --audit-tokens 2
      --output "$2/run") ;;
    3) arguments=(train translation "${layers[@]}" --batch-tokens 512 --dropout 0.1 --steps 16 --checkpoint-every 5 --evaluate-every 8
      --audit-every 8 --audit-tokens 1
      --bleu-sentences 2 --output "$2/run") ;;
    4) arguments=(compare --routers switch,sparsemixer --seeds 2 --steps 40 --audit-every 0 --runs "$2/runs" --output "$2/table") ;;
    5) arguments=(compare --task language-model --text text "${layers[@]}" --experts 2 --batch 4 --steps 12 --evaluate-every 6 --audit-every 0
      --routers switch,none --seeds 2 --learning-rate 0.01 --runs "$2/runs" --output "$2/table") ;;
    6) arguments=(audit-layer "$root/Fixtures/layers/switch-block.safetensors" --gradients "$2/means" --output "$2/table") ;;
    7) arguments=(report "$root/Fixtures/problems/mixtures-8.json" --method monte-carlo --estimators gumbel-softmax-st,reinmax
      --samples 40000 --output "$2/table") ;;
    8) arguments=(verify - --problem even.json --bounds=-2,2 --detectable-bias 0.003 --format json) ;;
  esac
}

# Starts command $1 with output folder $2 and $3 threads in the background.
start() {
  arguments "$1" "$2"
  [ -e "$2/run/manifest.json" ] && arguments=(train resume "$2/run")
  if [ "$1" = 8 ]; then
    "$program" "${arguments[@]}" --threads "$3" > "$2/verdict" 2> error < <(yes $'1,-1,0\n-1,1,0' 2> /dev/null) &
  else
    "$program" "${arguments[@]}" --threads "$3" > "$2.said" 2> error &
  fi
  process=$!
}

fail() {
  echo "interrupt_soak: $what: $*" >&2
  sed 's/^/  /' error >&2
  exit 1
}

finish() {
  status=0
  wait "$process" || status=$?
}

declare -a duration
declare -i done=0 tries=0
while ((done < interrupts)); do
  k=$((tries % 9)) threads=$(((tries + tries / 9) % 2 + 1))
  tries+=1
  what="${names[k]}, $threads thread(s)"
  if [ ! -e "whole$k" ]; then
    mkdir "whole$k"
    begin=$(date +%s%N)
    start "$k" "whole$k" 1
    finish
    ((status == 0)) || fail "not interrupted, it ended with $status"
    duration[k]=$((($(date +%s%N) - begin) / 1000000))
    rm -f "whole$k.said"
  fi

  # At any moment of what the whole run took; where the run was over by then, it is tried again, sooner.
  share=100
  while :; do
    rm -rf part
    mkdir part
    moment=$(((RANDOM * 32768 + RANDOM) % (duration[k] * share / 100 + 1)))
    start "$k" part "$threads"
    sleep "$((moment / 1000)).$(printf %03d $((moment % 1000)))"
    kill -INT "$process" 2> /dev/null || true
    finish
    ((status == 0)) || break
    diff -r "whole$k" part > /dev/null || fail "ended before the interrupt, it came to other bytes"
    share=$((share * 2 / 3))
  done
  ((status == 130)) || fail "interrupted after $moment ms, it ended with $status"

  said=$(cat error)
  if ((k < 4)); then
    # Before there is a manifest nothing is promised.
    if [ -e part/run/manifest.json ]; then
      step=$(sed -n 's/^routegrad: interrupted and saved after \([0-9]*\) steps; go on with: routegrad train resume part\/run$/\1/p' error)
      [ -n "$step" ] || fail "interrupted after $moment ms, it did not say what it saved"
      [ -e "part/run/checkpoint-$(printf %08d "$step").safetensors" ] || fail "the state after $step steps was not saved"
    fi
  elif ((k == 4 || k == 5)); then
    [ -z "$said" ] || [ "$said" = "routegrad: interrupted; complete runs are in part/runs, the same command goes on" ] ||
      fail "interrupted after $moment ms, it said something else"
  else
    [ -z "$said" ] || fail "interrupted after $moment ms, it said something"
    [ ! -s part/verdict ] || fail "interrupted after $moment ms, it gave a verdict"
    rm -f part/verdict
  fi
  left=$(find part temporary -name '*.tmp' -o -name table -o -name means -o -name 'routegrad-*')
  [ -z "$left" ] || fail "interrupted after $moment ms, it left $left"

  start "$k" part "$threads"
  finish
  ((status == 0)) || fail "gone on with after an interrupt at $moment ms, it ended with $status"
  rm -f part.said
  if ((k < 4)); then
    # The last checkpoint; the one before it stands where the interrupt was.
    last=$(basename "$(ls "whole$k/run"/checkpoint-* | tail -n 1)")
    for file in manifest.json metrics.jsonl "$last"; do
      cmp -s "whole$k/run/$file" "part/run/$file" || fail "gone on with after an interrupt at $moment ms, $file has other bytes"
    done
  else
    diff -r "whole$k" part > /dev/null || fail "run again after an interrupt at $moment ms, it came to other bytes"
  fi
  done+=1
  said=${said##*$'\n'}
  echo "$done: $what, after $moment ms: ${said:-ended at once}"
done
echo "$interrupts interrupts: status 130, nothing lost, the same bytes"
