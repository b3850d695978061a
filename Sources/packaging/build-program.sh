#!/bin/sh
# Builds the program for machines without Swift, GSL, GLPK and zlib: all of them are linked in. What is left are glibc, libstdc++ and libgcc, which
# every Debian has, and a BLAS, which is opened at run time where there is one. Prints the program's path; everything else goes to standard error.
#
#   sh Sources/packaging/build-program.sh
#
# Needs Swift 6.2 or later, libgsl-dev, zlib1g-dev, libglpk-dev and libltdl-dev, for their static libraries. ROUTEGRAD_PROGRAM_SCRATCH_PATH is where
# it is built (default: .build-release in the checkout).
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
scratch=${ROUTEGRAD_PROGRAM_SCRATCH_PATH:-$root/.build-release}
link=$scratch/link
mkdir -p "$link"

library() {
  path=$("${CC:-cc}" -print-file-name="$1.a")
  [ -f "$path" ] || { echo "routegrad: $1.a not found; install libgsl-dev zlib1g-dev libglpk-dev libltdl-dev" >&2; exit 1; }
  echo "$path"
}

# A folder that is searched first for -lgsl and the like, with the static libraries only; GLPK brings those that it needs itself.
for name in libgsl libgslcblas libz; do
  path=$(library $name)
  ln -sf "$path" "$link/$name.a"
done
parts=
for name in libglpk libamd libcolamd libsuitesparseconfig libgmp libltdl libz; do
  path=$(library $name)
  parts="$parts $path"
done
rm -f "$link/libglpk.a"
echo "GROUP ($parts )" > "$link/libglpk.a"

build() {
  swift build --package-path "$root" --scratch-path "$scratch" -c release --product routegrad \
    -Xswiftc -static-stdlib -Xlinker -L"$link" -Xlinker -s "$@"
}
build >&2
echo "$(build --show-bin-path)/routegrad"
