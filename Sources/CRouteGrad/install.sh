#!/bin/sh
# Builds the C library and installs it, its header and its pkg-config file:
#
#   sh Sources/CRouteGrad/install.sh PREFIX
#
# ROUTEGRAD_LIBRARY names a library that build.sh has built already. The folder may be moved: the .pc file says where it is by where it lies.
# Afterwards cc program.c $(PKG_CONFIG_PATH=PREFIX/lib/pkgconfig pkg-config --cflags --libs routegrad) builds against it.
# What is installed needs neither Swift nor GSL; it contains GSL and is distributed under the terms of the GPL.
set -eu
[ $# -eq 1 ] || { echo "usage: install.sh PREFIX" >&2; exit 64; }
source=$(cd "$(dirname "$0")" && pwd)
library=${ROUTEGRAD_LIBRARY:-$(sh "$source/build.sh")}
mkdir -p "$1/include" "$1/lib/pkgconfig"
prefix=$(cd "$1" && pwd)
install -m 644 "$source/include/routegrad.h" "$prefix/include/routegrad.h"
install -m 755 "$library" "$prefix/lib/libCRouteGrad.so"
version=$(sed -n 's/^public let routeGradVersion = "\(.*\)"$/\1/p' "$source/../RoutingReports/Version.swift")
cat > "$prefix/lib/pkgconfig/routegrad.pc" <<END
prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: routegrad
Description: Exact bias and variance of the gradient estimators of Mixture-of-Experts routers
Version: $version
Cflags: -I\${includedir}
Libs: -L\${libdir} -Wl,-rpath,\${libdir} -lCRouteGrad
END
echo "installed in $prefix"
