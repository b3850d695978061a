#!/bin/sh
# Makes the wheel that others install, installs it into a fresh virtual environment with pinned requirements, checks its types, and runs the
# Python tests there: in an empty folder, without Swift in PATH.
#
#   sh Tests/PythonTests/run.sh [ENVIRONMENT] [PYTEST ARGUMENTS…]
#
# ENVIRONMENT (default: a temporary folder) is kept if it is named, and used again. ROUTEGRAD_PROGRAM names the program
# routegrad that results are compared with.
set -eu
tests=$(cd "$(dirname "$0")" && pwd)
package=$tests/../../Sources/python
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
environment=${1:-$scratch/environment}
[ $# -eq 0 ] || shift
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
"$environment/bin/pip" install -q -r "$tests/requirements.txt"
ROUTEGRAD_DIST_ENVIRONMENT=$environment sh "$package/dist.sh" "$scratch/dist"
"$environment/bin/pip" install -q --no-deps --force-reinstall "$scratch"/dist/routegrad-*.whl
cd "$scratch"
"$environment/bin/mypy" --config-file "$package/pyproject.toml" "$package/routegrad" "$package/_routegrad_pytest.py"
"$environment/bin/mypy" --strict "$tests/typed_use.py"  # of the package that is installed
env -i HOME="$scratch" PATH="$environment/bin:/usr/bin:/bin" ROUTEGRAD_PROGRAM="${ROUTEGRAD_PROGRAM:-}" \
  python -m pytest -q -p no:cacheprovider "$tests" "$@"
