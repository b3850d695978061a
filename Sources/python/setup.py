"""Puts the C library into the package: the one named by ROUTEGRAD_LIBRARY, or built from the checkout, or installed."""

import os
import pathlib
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = "libCRouteGrad.so"


def library() -> pathlib.Path:
    """The library to carry."""
    named = os.environ.get("ROUTEGRAD_LIBRARY")
    if named:
        return pathlib.Path(named)
    build = HERE.parent / "CRouteGrad" / "build.sh"
    if build.exists() and shutil.which("swift"):
        output = subprocess.run(["sh", str(build)], check=True, stdout=subprocess.PIPE, text=True).stdout
        return pathlib.Path(output.splitlines()[-1])
    if shutil.which("pkg-config"):
        query = subprocess.run(
            ["pkg-config", "--variable=libdir", "routegrad"], capture_output=True, text=True, check=False)
        if query.returncode == 0:
            return pathlib.Path(query.stdout.strip()) / LIBRARY
    raise SystemExit(
        "routegrad: no C library: set ROUTEGRAD_LIBRARY to libCRouteGrad.so, or install it "
        "(Sources/CRouteGrad/install.sh, PKG_CONFIG_PATH), or build from a checkout with swift in PATH")


def version() -> str:
    """The version that the library reports."""
    source = HERE.parent / "RoutingReports" / "Version.swift"
    for line in source.read_text().splitlines():
        if line.startswith("public let routeGradVersion = "):
            return line.split('"')[1]
    raise SystemExit(f"routegrad: {source} names no version")


class BuildWithLibrary(build_py):
    def run(self) -> None:
        super().run()
        if self.editable_mode:
            target = HERE / "routegrad"
        else:
            target = pathlib.Path(self.build_lib) / "routegrad"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copy(library(), target / LIBRARY)


class PlatformWheel(bdist_wheel):
    """Any Python 3, this platform: the library is called through ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


setup(
    version=version(), distclass=BinaryDistribution,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel})
