"""What the Debian package says agrees with what the project says elsewhere."""

import re
import runpy
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from gadgetip import __version__

ROOT = Path(__file__).parents[3]
DEBIAN = ROOT / "debian"


def needed() -> set[str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return {re.split(r"[<>=!~ ]", each)[0] for each in project["dependencies"]}


def test_the_versions_agree() -> None:
    first = (DEBIAN / "changelog").read_text().splitlines()[0]
    assert first.startswith(f"gadgetip ({__version__}) ")


@pytest.fixture(scope="module")
def vendored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("vendored")
    subprocess.run([sys.executable, str(DEBIAN / "vendor"), str(directory)], check=True)
    return directory


def test_everything_that_is_needed_is_in_the_package_or_in_debian(vendored: Path) -> None:
    control = (DEBIAN / "control").read_text()
    for name in needed():
        there = list(vendored.glob(f"{name.replace('-', '_')}-*.dist-info"))
        assert len(there) + (f"python3-{name}" in control) == 1, name


def test_a_license_comes_with_each(vendored: Path) -> None:
    copyright_ = (DEBIAN / "copyright").read_text()
    for each in vendored.glob("*.dist-info"):
        assert [file for file in each.rglob("*") if file.name.startswith(("COPYING", "LICENSE"))]
        assert f"Files: vendor/{each.name.partition('-')[0]}*" in copyright_


def test_no_tests_and_nothing_compiled_is_taken_along(vendored: Path) -> None:
    files = [str(file.relative_to(vendored)) for file in vendored.rglob("*") if file.is_file()]
    assert not [file for file in files if re.search(r"test|\.so$|\.pyc$|RECORD", file)]


def test_it_runs_with_these_alone(vendored: Path) -> None:
    """Nothing that was left out is missed: every command can be imported."""
    code = (
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "import click, functionfs, libaio, libconf, usb1\n"
        "assert all(m.__file__.startswith(sys.argv[1])"
        " for m in (click, functionfs, libaio, libconf, usb1))\n"
        "from importlib import import_module\n"
        "from gadgetip.cli.board import COMMANDS as board\n"
        "from gadgetip.cli.main import COMMANDS\n"
        "for place in (*COMMANDS.values(), *board.values()): import_module(place.split(':')[0])\n"
    )
    command = [sys.executable, "-c", code, str(vendored), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)


def test_the_launcher_is_deaf_to_the_environment() -> None:
    text = (DEBIAN / "gadgetip.launcher").read_text()
    assert text.startswith("#!/usr/bin/python3 -I\n")
    compile(text, "launcher", "exec")


def test_the_module_is_built_as_setup_builds_it(monkeypatch: pytest.MonkeyPatch) -> None:
    rules = (DEBIAN / "rules").read_text()
    monkeypatch.setattr("setuptools.setup", lambda **_: None)
    monkeypatch.setattr(sys, "argv", ["setup.py"])
    monkeypatch.setenv("GADGETIP_NATIVE", "skip")
    names = runpy.run_path(str(ROOT / "setup.py"))
    assert f"-DPy_LIMITED_API={names['LIMITED_API']}" in rules
    assert "-std=gnu11" in names["CODE"]
    assert "-std=gnu11" in rules
    assert f"{names['NATIVE']}/*.c" in rules
