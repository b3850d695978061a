#!/bin/sh
# Builds the wheel and the sdist that others can install:
#
#   sh Sources/python/dist.sh [FOLDER]
#
# FOLDER (default: dist) gets routegrad-V-py3-none-manylinux_2_34_x86_64.whl, whose tag auditwheel has checked, and routegrad-V.tar.gz.
# Needs Python with venv, and what Sources/CRouteGrad/build.sh needs; the other tools go into a virtual environment of their own
# (ROUTEGRAD_DIST_ENVIRONMENT keeps it). ROUTEGRAD_LIBRARY names a library that is there already.
set -eu
package=$(cd "$(dirname "$0")" && pwd)
mkdir -p "${1:-dist}"
out=$(cd "${1:-dist}" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
tools=${ROUTEGRAD_DIST_ENVIRONMENT:-$scratch/tools}
[ -x "$tools/bin/python" ] || python3 -m venv "$tools"
"$tools/bin/pip" install -q -r "$package/dist-requirements.txt"

# The wheel is built from the sdist, so that it has what the sdist has; the library comes from the checkout, where it is built already.
library=${ROUTEGRAD_LIBRARY:-}
[ -n "$library" ] || library=$(sh "$package/../CRouteGrad/build.sh")
ROUTEGRAD_LIBRARY=$library "$tools/bin/python" -m build --no-isolation --outdir "$scratch/raw" "$package" > "$scratch/log" 2>&1 || {
  cat "$scratch/log" >&2
  exit 1
}

# glibc 2.34: RHEL 9 and its like, Debian 12, Ubuntu 22.04 and later. The machine that builds it may not be newer in what the library
# takes from glibc; auditwheel refuses to give the tag then.
PATH="$tools/bin:$PATH" "$tools/bin/auditwheel" repair --plat "manylinux_2_34_$(uname -m)" -w "$scratch/repaired" "$scratch/raw"/*.whl >&2
PATH="$tools/bin:$PATH" "$tools/bin/auditwheel" show "$scratch/repaired"/*.whl >&2
for made in "$scratch/repaired"/*.whl "$scratch/raw"/*.tar.gz; do
  mv "$made" "$out"
  echo "$out/$(basename "$made")"
done
