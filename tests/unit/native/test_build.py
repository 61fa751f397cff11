"""How the native pump's module is built: hardened where there is a compiler, absent where not."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[3]
PROJECT = ("gadgetip", "configfs_profiles", "pyproject.toml", "setup.py", "MANIFEST.in")
HOOK = """\
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""
LINE = "the native pump is not built, the Python pump will run: "


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what is built, so that nothing is left in the checkout."""
    folder = tmp_path_factory.mktemp("project")
    for name in (*PROJECT, "README.md", "LICENSE"):
        if (CHECKOUT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "*.so")
            shutil.copytree(CHECKOUT / name, folder / name, symlinks=True, ignore=ignored)
        else:
            shutil.copy(CHECKOUT / name, folder / name)
    return folder


def build(
    project: Path, hook: str, into: Path, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Call a hook of the build backend, as pip does."""
    shutil.rmtree(project / "build", ignore_errors=True)
    return subprocess.run(
        [sys.executable, "-c", HOOK, hook, str(into)],
        check=False,
        cwd=project,
        env=os.environ | {"GADGETIP_NATIVE": "auto"} | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


@pytest.fixture(scope="module")
def built(project: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A wheel that was built with a compiler, and what was said."""
    into = tmp_path_factory.mktemp("wheel")
    run = build(project, "build_wheel", into, GADGETIP_NATIVE="require")
    assert run.returncode == 0, run.stderr
    (wheel,) = into.iterdir()
    return wheel, run.stdout


@pytest.fixture(scope="module")
def module(built: tuple[Path, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The module out of that wheel."""
    into = tmp_path_factory.mktemp("module")
    with zipfile.ZipFile(built[0]) as wheel:
        return Path(wheel.extract("gadgetip/pump/_native.abi3.so", into))


def readelf(*arguments: str) -> str:
    return subprocess.run(
        ["readelf", "--wide", *arguments], check=True, capture_output=True, text=True
    ).stdout


def test_one_wheel_serves_every_python_from_3_11_on(built: tuple[Path, str]) -> None:
    assert "-cp311-abi3-linux_" in built[0].name
    with zipfile.ZipFile(built[0]) as wheel:
        assert not [name for name in wheel.namelist() if name.endswith((".c", ".h"))]


@pytest.mark.parametrize(
    "flag",
    [
        "-O2",
        "-D_FORTIFY_SOURCE=3",
        "-fstack-protector-strong",
        "-fstack-clash-protection",
        "-fvisibility=hidden",
        "-DPy_LIMITED_API=0x030B0000",
    ],
)
def test_every_source_is_compiled_hardened(built: tuple[Path, str], flag: str) -> None:
    compiled = {
        match[1]: line
        for line in built[1].splitlines()
        if (match := re.search(r" -c gadgetip/pump/native/(\S+)\.c ", line))
    }
    assert set(compiled) == {each.stem for each in (CHECKOUT / "gadgetip/pump/native").glob("*.c")}
    for line in compiled.values():
        assert flag in line.split()


def test_the_module_is_linked_hardened(module: Path) -> None:
    dynamic = readelf("--dynamic", str(module))
    assert "BIND_NOW" in dynamic
    assert "TEXTREL" not in dynamic
    segments = readelf("--segments", str(module))
    assert "GNU_RELRO" in segments
    (stack,) = [line for line in segments.splitlines() if "GNU_STACK" in line]
    assert " RW " in stack


def test_the_module_offers_nothing_but_itself(module: Path) -> None:
    symbols = [line.split() for line in readelf("--dyn-syms", str(module)).splitlines()]
    offered = {
        each[7]
        for each in symbols
        if len(each) == 8 and each[4] in {"GLOBAL", "WEAK"} and each[6] != "UND"
    }
    assert offered == {"PyInit__native"}


def test_the_module_keeps_to_the_stable_interface(module: Path) -> None:
    symbols = readelf("--dyn-syms", str(module))
    private = set(re.findall(r"UND (_Py\w+)", symbols))
    # Macros and inline functions of the limited interface end in these.
    assert private <= {
        "_Py_Dealloc",
        "_Py_NoneStruct",
        "_Py_TrueStruct",
        "_Py_FalseStruct",
        "_PyArg_ParseTuple_SizeT",
        "_Py_BuildValue_SizeT",
    }


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"CC": "no-such-compiler"}, "there is no C compiler that works"),
        (
            {"CPPFLAGS": "-DPy_PYTHON_H -include no/such/header"},
            "there is no C compiler that works",
        ),
        ({"CC": "{folder}/without-headers"}, "Python's C headers are missing"),
    ],
)
def test_without_a_compiler_one_line_says_so(
    project: Path, tmp_path: Path, environment: dict[str, str], reason: str
) -> None:
    compiler = tmp_path / "without-headers"
    compiler.write_text('#!/bin/sh\nexec gcc $(echo "$@" | sed "s/-I[^ ]*python[^ ]*//")\n')
    compiler.chmod(0o755)
    filled = {name: value.format(folder=tmp_path) for name, value in environment.items()}
    run = build(project, "build_wheel", tmp_path / "wheel", **filled)
    assert run.returncode == 0, run.stderr
    (wheel,) = (tmp_path / "wheel").iterdir()
    assert wheel.name.endswith("-py3-none-any.whl")
    (line,) = [line for line in run.stderr.splitlines() if "pump" in line]
    assert LINE + reason in line
    assert "apt install gcc python3-dev" in line


def test_sources_that_the_compiler_refuses_are_left_out(project: Path, tmp_path: Path) -> None:
    compiler = tmp_path / "refuses-sources"
    compiler.write_text('#!/bin/sh\ncase "$*" in */wire.c*) exit 1;; esac\nexec gcc "$@"\n')
    compiler.chmod(0o755)
    run = build(project, "build_wheel", tmp_path / "wheel", CC=str(compiler))
    assert run.returncode == 0, run.stderr
    assert LINE + "the compiler refuses its sources" in run.stderr
    (wheel,) = (tmp_path / "wheel").iterdir()
    with zipfile.ZipFile(wheel) as archive:
        assert not [name for name in archive.namelist() if name.endswith(".so")]


def test_a_module_that_is_required_is_an_error_without_a_compiler(
    project: Path, tmp_path: Path
) -> None:
    run = build(
        project, "build_wheel", tmp_path / "wheel", CC="no-such-compiler", GADGETIP_NATIVE="require"
    )
    assert run.returncode != 0
    assert "the native pump cannot be built: there is no C compiler that works" in run.stderr


def test_a_source_distribution_has_the_sources_wherever_it_is_made(
    project: Path, tmp_path: Path
) -> None:
    run = build(project, "build_sdist", tmp_path, CC="no-such-compiler")
    assert run.returncode == 0, run.stderr
    (archive,) = tmp_path.iterdir()
    with tarfile.open(archive) as sdist:
        packed = {Path(*Path(name).parts[1:]) for name in sdist.getnames()}
    native = CHECKOUT / "gadgetip/pump/native"
    assert {each.relative_to(CHECKOUT) for each in native.glob("*.[ch]")} <= packed
    assert Path("setup.py") in packed
