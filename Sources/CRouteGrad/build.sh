#!/bin/sh
# Builds the C library for use without Swift and without GSL on the machine that runs it: the Swift runtime and GSL are
# linked in, and nothing but the functions of routegrad.h is visible from outside, so that neither can meet the host's own
# copies. Prints the library's path; everything else goes to standard error.
#
#   sh Sources/CRouteGrad/build.sh
#
# Needs Swift 6.2 or later and libgsl-dev (for libgsl.a). ROUTEGRAD_SCRATCH_PATH is where it is built (default: .build-abi in
# the checkout).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=${ROUTEGRAD_SCRATCH_PATH:-$root/.build-abi}
mkdir -p "$scratch/link"

# A folder with the static libraries only: what is searched first for -lgsl.
for library in libgsl.a libgslcblas.a libz.a; do
  path=$("${CC:-cc}" -print-file-name="$library")
  [ -f "$path" ] || { echo "routegrad: $library not found; install libgsl-dev and zlib1g-dev" >&2; exit 1; }
  ln -sf "$path" "$scratch/link/$library"
done

# What is visible: the functions that the header marks.
{
  echo "{ global:"
  sed -n 's/^RG_API .*[ *]\(rg_[a-z_]*\)(.*/\1;/p' "$root/Sources/CRouteGrad/include/routegrad.h"
  echo "local: *; };"
} > "$scratch/link/exports"

# hypot is looked up at run time, see routegrad.c: the library runs where glibc is 2.34, and not only from 2.35 on.
wrapped=
[ "$(uname -sm)" != "Linux x86_64" ] || wrapped="-Xlinker --wrap=hypot -Xlinker --wrap=hypotf"

build() {
  swift build --package-path "$root" --scratch-path "$scratch" -c release --product CRouteGrad \
    -Xswiftc -static-stdlib -Xlinker -L"$scratch/link" -Xlinker --version-script="$scratch/link/exports" \
    -Xlinker -s -Xlinker -soname -Xlinker libCRouteGrad.so -Xlinker -z -Xlinker nodelete -Xlinker -z -Xlinker defs $wrapped "$@"
}
build >&2
echo "$(build --show-bin-path)/libCRouteGrad.so"
