#!/bin/sh
# Builds the documentation site into one folder: the prose of docs/ by Sphinx, and the Swift API by DocC under swift/. Warnings are errors in both, and
# every link within is checked.
#
#   sh docs/build-site.sh [FOLDER]
#
# FOLDER (default: .build/site) is made anew; open FOLDER/index.html by a web server, such as 'python3 -m http.server -d FOLDER': DocC's pages load
# their parts. Needs Swift's toolchain (docc comes with it) and Python with venv; ROUTEGRAD_SITE_ENVIRONMENT names a virtual environment to keep.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/.build/site}
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
environment=${ROUTEGRAD_SITE_ENVIRONMENT:-$scratch/environment}
[ -x "$environment/bin/python" ] || python3 -m venv "$environment"
"$environment/bin/pip" install -q -r "$root/docs/site/requirements.txt"

# The API: what is public in the modules that the two umbrellas re-export. The graphs are read off the modules of a debug build.
modules=$(sed -n 's/^@_exported import //p' "$root/Sources/RouteGrad/RouteGrad.swift" "$root"/Sources/RouteGradTraining/*.swift | sort -u)
swift build --package-path "$root" --target RouteGrad >&2
swift build --package-path "$root" --target RouteGradTraining >&2
swift package --package-path "$root" dump-symbol-graph --minimum-access-level public --skip-synthesized-members > "$scratch/log" 2>&1 || {
  cat "$scratch/log" >&2
  exit 1
}
graphs=$(sed -n 's/^Files written to //p' "$scratch/log")
mkdir "$scratch/graphs"
# shellcheck disable=SC2086
"$environment/bin/python" "$root/docs/site/merge_symbols.py" "$graphs" "$scratch/graphs/RouteGrad.symbols.json" RouteGrad $modules
docc=$(command -v docc || echo "$(dirname "$(readlink -f "$(command -v swift)")")/docc")
rm -rf "$out"
mkdir -p "$(dirname "$out")"
"$docc" convert "$root/docs/site/RouteGrad.docc" --additional-symbol-graph-dir "$scratch/graphs" --fallback-display-name RouteGrad \
  --fallback-bundle-identifier RouteGrad --hosting-base-path swift --warnings-as-errors --output-path "$scratch/swift" >&2

# The prose.
"$environment/bin/sphinx-build" -q -W --keep-going -E -d "$scratch/doctrees" -c "$root/docs/site" -b html "$root/docs" "$out" >&2
cp -R "$scratch/swift" "$out/swift"
cp "$out/README.html" "$out/index.html"
rm -rf "$out/.buildinfo" "$out/_sources"
[ -f "$out/swift/documentation/routegrad/index.html" ]
echo "$out"
