#!/bin/bash
# A comparison as arrays of Slurm tasks, whose folder is that of one machine, byte for byte:
#
#   docs/examples/slurm/submit.sh TASKS PASSES --runs FOLDER --task language-model --text FILE …
#
# Each pass is an array of TASKS tasks that begins when the one before it has ended. A task trains its part of what is known by then: learning rates
# are tuned in rounds, of which the next follows from all results of the last, so PASSES is the number of rounds and one more; 6 are mostly enough. A
# pass that finds nothing to do ends at once, and more can be submitted at any time. 'routegrad compare --status FOLDER' says how far
# it is, 'routegrad compare --from FOLDER' what came of it. Options of sbatch can be given by its environment variables
# (SBATCH_TIMELIMIT, SBATCH_PARTITION); ROUTEGRAD is the program.
set -euo pipefail
tasks=$1 passes=$2
shift 2
script=$(dirname "$(readlink -f "$0")")/compare.sbatch
after=()
for ((pass = 1; pass <= passes; pass++)); do
  id=$(sbatch --parsable --array="1-$tasks" "${after[@]}" "$script" "$@")
  echo "pass $pass: job $id"
  after=(--dependency="afterany:${id%%;*}")
done
