"""Puts the C library into the package: the one named by ROUTEGRAD_LIBRARY, or built from the Swift sources, or installed.

The Swift sources are those around this folder in a checkout, or in `swift`, where an sdist carries them.
"""

import os
import pathlib
import shutil
import subprocess

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = pathlib.Path(__file__).resolve().parent
LIBRARY = "libCRouteGrad.so"
CARRIED = HERE / "swift"
ROOT = CARRIED if CARRIED.exists() else HERE.parents[1]
# What SwiftPM reads when it builds the library: it wants the folders of all targets, tests among them.
SOURCES = ("LICENSE", "Package.swift", "Sources", "Tests", "Fixtures/problems", "Fixtures/routers")
NOT_OURS = ("python", "PythonTests", "ExamplePackage", ".build", "__pycache__")

MISSING = """routegrad: no C library to put into the package. It is built from source by Swift 6.2 or later (https://www.swift.org/install) with \
libgsl-dev, zlib1g-dev and a C compiler; the first build fetches two Swift packages from github.com. Either have those (swift in PATH), or set \
ROUTEGRAD_LIBRARY to a libCRouteGrad.so, or install the C library where pkg-config finds it, or install a wheel, which needs none of this."""


def library() -> pathlib.Path:
    """The library to carry."""
    named = os.environ.get("ROUTEGRAD_LIBRARY")
    if named:
        return pathlib.Path(named)
    build = ROOT / "Sources" / "CRouteGrad" / "build.sh"
    if build.exists() and shutil.which("swift"):
        output = subprocess.run(["sh", str(build)], check=True, stdout=subprocess.PIPE, text=True).stdout
        return pathlib.Path(output.splitlines()[-1])
    if shutil.which("pkg-config"):
        query = subprocess.run(
            ["pkg-config", "--variable=libdir", "routegrad"], capture_output=True, text=True, check=False)
        if query.returncode == 0:
            return pathlib.Path(query.stdout.strip()) / LIBRARY
    raise SystemExit(MISSING)


def version() -> str:
    """The version that the library reports."""
    source = ROOT / "Sources" / "RoutingReports" / "Version.swift"
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


class SourcesWithSwift(sdist):
    """The Python files, and the Swift sources that the library is built from."""

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        target = pathlib.Path(base_dir) / "swift"
        for name in SOURCES:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, target / name, ignore=shutil.ignore_patterns(*NOT_OURS), dirs_exist_ok=True)
            else:
                target.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target / name)


class PlatformWheel(bdist_wheel):
    """Any Python 3, this platform: the library is called through ctypes."""

    def get_tag(self) -> tuple[str, str, str]:
        return ("py3", "none", super().get_tag()[2])


class BinaryDistribution(Distribution):
    def has_ext_modules(self) -> bool:
        return True


setup(
    version=version(), distclass=BinaryDistribution,
    cmdclass={"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel, "sdist": SourcesWithSwift})
