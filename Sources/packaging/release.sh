#!/bin/sh
# Makes what a release consists of, in one folder:
#
#   sh Sources/packaging/release.sh FOLDER          makes it
#   sh Sources/packaging/release.sh --check FOLDER  tries what is there on a clean Debian tree without Swift (as root; debootstrap)
#
#   routegrad-V-linux-ARCH.tar.gz      the program, manual pages, completions
#   routegrad_V-1_ARCH.deb             the same as a Debian package
#   libroutegrad-V-linux-ARCH.tar.gz   the C library, its header, its pkg-config file
#   routegrad-V-py3-none-….whl, routegrad-V.tar.gz   the Python package and its source
#   SHA256SUMS
#
# Needs what Sources/packaging/build-program.sh, Sources/CRouteGrad/build.sh and Sources/python/dist.sh need, and dpkg-dev. Files within have the time of
# the last commit, or SOURCE_DATE_EPOCH. ROUTEGRAD_BUILT_PROGRAM and ROUTEGRAD_LIBRARY name a program and a library that were built by these scripts
# already; ROUTEGRAD_DEBIAN_TREE keeps the tree of --check there, and uses it again.
set -eu
root=$(cd "$(dirname "$0")/../.." && pwd)
version=$(sed -n 's/^public let routeGradVersion = "\(.*\)"$/\1/p' "$root/Sources/RoutingReports/Version.swift")
machine=$(uname -m)
architecture=$(dpkg --print-architecture)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

make_release() {
  mkdir -p "$1"
  out=$(cd "$1" && pwd)
  SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$root" log -1 --format=%ct)}
  export SOURCE_DATE_EPOCH
  program=${ROUTEGRAD_BUILT_PROGRAM:-$(sh "$root/Sources/packaging/build-program.sh")}
  library=${ROUTEGRAD_LIBRARY:-$(sh "$root/Sources/CRouteGrad/build.sh")}

  # The program, as it lies below a prefix.
  tree=$scratch/routegrad-$version
  install -D -m 755 "$program" "$tree/bin/routegrad"
  swift build --package-path "$root" --product generate-manual >&2
  mkdir -p "$tree/share/man/man1"
  "$(swift build --package-path "$root" --show-bin-path)/generate-manual-tool" "$program" --multi-page \
    --date "$(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%d)" --authors "the authors of RouteGrad" -o "$tree/share/man/man1" >&2
  gzip -9n "$tree/share/man/man1"/*.1
  mkdir -p "$tree/share/bash-completion/completions" "$tree/share/zsh/vendor-completions" "$tree/share/fish/vendor_completions.d"
  "$program" --generate-completion-script bash > "$tree/share/bash-completion/completions/routegrad"
  "$program" --generate-completion-script zsh > "$tree/share/zsh/vendor-completions/_routegrad"
  "$program" --generate-completion-script fish > "$tree/share/fish/vendor_completions.d/routegrad.fish"
  terms "$tree/share/doc/routegrad" "$root/Sources/packaging/NOTICE.md"
  gzip -9nc "$root/docs/CHANGELOG.md" > "$tree/share/doc/routegrad/changelog.gz"
  archive "$scratch" "routegrad-$version" "$out/routegrad-$version-linux-$machine.tar.gz"

  # The same below /usr.
  package=$scratch/deb
  mkdir -p "$package/DEBIAN" "$package/debian"
  cp -R "$tree" "$package/usr"
  printf 'Source: routegrad\n\nPackage: routegrad\nArchitecture: any\n' > "$package/debian/control"
  depends=$(cd "$package" && dpkg-shlibdeps -O usr/bin/routegrad 2> /dev/null | sed -n 's/^shlibs:Depends=//p')
  rm -r "$package/debian"
  cat > "$package/DEBIAN/control" <<END
Package: routegrad
Version: $version-1
Architecture: $architecture
Maintainer: the authors of RouteGrad <routegrad@localhost>
Installed-Size: $(du -sk "$package/usr" | cut -f 1)
Depends: $depends
Recommends: libopenblas0, libdnnl2
Suggests: gnuplot-nox | gnuplot
Section: science
Priority: optional
Description: exact bias and variance of router gradient estimators
 Routers of sparse networks are trained with gradients that are estimated from the
 experts that were chosen. This program computes the exact bias and variance of
 such estimators, judges samples and routers of other programs with stated error
 rates, and audits whole layers.
END
  cp "$tree/share/doc/routegrad/NOTICE.md" "$package/usr/share/doc/routegrad/copyright"
  (cd "$package" && find usr -type f -print0 | sort -z | xargs -0 md5sum > DEBIAN/md5sums)
  find "$package" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
  chmod -R u=rwX,go=rX "$package"
  dpkg-deb --root-owner-group -Zxz -b "$package" "$out/routegrad_$version-1_$architecture.deb" >&2

  # The C library.
  tree=$scratch/libroutegrad-$version
  ROUTEGRAD_LIBRARY=$library sh "$root/Sources/CRouteGrad/install.sh" "$tree" >&2
  terms "$tree/share/doc/libroutegrad" "$root/Sources/python/licenses/NOTICE.md"
  archive "$scratch" "libroutegrad-$version" "$out/libroutegrad-$version-linux-$machine.tar.gz"

  ROUTEGRAD_LIBRARY=$library sh "$root/Sources/python/dist.sh" "$out" >&2
  (cd "$out" && rm -f SHA256SUMS && sha256sum -- *"$version"* > "$scratch/sums" && mv "$scratch/sums" SHA256SUMS)
  ls -l "$out"
}

# What it is distributed under.
terms() {
  mkdir -p "$1"
  install -m 644 "$2" "$1/NOTICE.md"
  install -m 644 "$root/Sources/python/licenses/Apache-2.0.txt" "$root/Sources/python/licenses/GPL-3.0.txt" "$1"
}

# A folder within another as a tarball whose bytes depend on nothing else.
archive() {
  tar -C "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX -cf - "$2" | gzip -9n > "$3"
}

check_release() {
  out=$(cd "$1" && pwd)
  (cd "$out" && sha256sum -c --quiet SHA256SUMS)
  tree=${ROUTEGRAD_DEBIAN_TREE:-$scratch/tree}
  [ -d "$tree/usr" ] || debootstrap --variant=minbase --include=gcc,libc6-dev,pkg-config,python3,python3-pip,man-db bookworm "$tree" > "$scratch/log" 2>&1 || {
    tail "$scratch/log" >&2
    exit 1
  }
  # NumPy from a wheel: the tree has no network of its own.
  rm -rf "$tree/release" && mkdir -p "$tree/release"
  cp "$out"/* "$root/docs/examples/oracle.c" "$root/Fixtures/problems/mixtures-8.json" "$tree/release"
  cp "$root/Fixtures/layers/switch-block.safetensors" "$tree/release/layer.safetensors"
  python3 -m pip download -q -d "$tree/release/wheels" --only-binary=:all: --python-version 3.11 --platform "manylinux_2_28_$machine" numpy
  cat > "$tree/release/check.sh" <<'END'
set -eu
cd /release
! command -v swift
run() {
  "$1" --version
  "$1" report mixtures-8.json > report.txt
  "$1" report mixtures-8.json --estimators gumbel-softmax-st,switch --format json > noise.json
  "$1" audit-layer layer.safetensors --quiet > audit.txt
  "$1" outcomes mixtures-8.json --problem mixture-8-log-cosh --estimator sparsemixer > outcomes.jsonl
  "$1" verify outcomes.jsonl --problem mixtures-8.json --problem-name mixture-8-log-cosh --estimator sparsemixer > verdict.txt
  "$1" train mixture-regression --router base --steps 2 --batch 8 --quiet --output "run-$2" > train.txt
  status=0
  "$1" report missing.json 2> error.txt || status=$?
  test "$status" = 66
}
echo "+ the tarball"
tar -xzf routegrad-*-linux-*.tar.gz
run "$PWD"/routegrad-*/bin/routegrad tarball
echo "+ the Debian package"
dpkg -i routegrad_*.deb > dpkg.txt
run routegrad package
man --warnings routegrad.report 2> man.txt > page.txt
grep -q -- --plot page.txt && test ! -s man.txt
test -s /usr/share/bash-completion/completions/routegrad
bash -c '. /usr/share/bash-completion/completions/routegrad && complete -p routegrad'
dpkg -r routegrad > dpkg.txt
test ! -e /usr/bin/routegrad
echo "+ the C library"
mkdir c && tar -xzf libroutegrad-*.tar.gz -C c
cc oracle.c $(PKG_CONFIG_PATH=$(echo c/*/lib/pkgconfig) pkg-config --cflags --libs routegrad) -lm -o oracle
./oracle > oracle.txt
grep -q "samples of midpoint as conventional: refuted" oracle.txt
echo "+ the wheel"
python3 -m pip install -q --break-system-packages --root-user-action ignore --no-index --find-links wheels routegrad-*.whl
python3 -c '
import routegrad
problem = routegrad.problems("mixtures-8.json")[3]
assert routegrad.assess(problem, "exact").relative_bias < 1e-12
print("routegrad", routegrad.__version__, routegrad.assess(problem, "sparsemixer").relative_bias)'
python3 -m pip uninstall -q -y --break-system-packages routegrad numpy
END
  # Programs are told their arguments by /proc.
  mountpoint -q "$tree/proc" || mount -t proc proc "$tree/proc"
  status=0
  chroot "$tree" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ LANG=C.UTF-8 /bin/sh /release/check.sh || status=$?
  umount "$tree/proc"
  rm -rf "$tree/release"
  return $status
}

case ${1:-} in
  --check)
    check_release "${2:?expected a folder}"
    echo "+ all of it works without Swift"
    ;;
  "" | -*)
    echo "usage: release.sh [--check] FOLDER" >&2
    exit 64
    ;;
  *) make_release "$1" ;;
esac
