#!/bin/sh
# Makes a wheel, installs it into a fresh virtual environment with pinned requirements, and runs the Python tests there: in an
# empty folder, without Swift in PATH.
#
#   sh Tests/PythonTests/run.sh [ENVIRONMENT] [PYTEST ARGUMENTS…]
#
# ENVIRONMENT (default: a temporary folder) is kept if it is named, and used again. ROUTEGRAD_PROGRAM names the program
# routegrad that results are compared with.
set -eu
tests=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
environment=${1:-$scratch/environment}
[ $# -eq 0 ] || shift
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
"$environment/bin/pip" install -q -r "$tests/requirements.txt"
"$environment/bin/pip" wheel -q --no-deps --no-build-isolation -w "$scratch" "$tests/../../Sources/python"
"$environment/bin/pip" install -q --no-deps --force-reinstall "$scratch"/routegrad-*.whl
cd "$scratch"
env -i HOME="$scratch" PATH="$environment/bin:/usr/bin:/bin" ROUTEGRAD_PROGRAM="${ROUTEGRAD_PROGRAM:-}" \
  python -m pytest -q -p no:cacheprovider "$tests" "$@"
