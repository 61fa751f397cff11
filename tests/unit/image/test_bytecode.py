"""Compiled modules that are taken as they are, whatever their source's time says."""

import os
import py_compile
import subprocess
import sys
from pathlib import Path

import pytest

from board.image.bytecode import mark_all


@pytest.mark.parametrize(
    "mode",
    [py_compile.PycInvalidationMode.TIMESTAMP, py_compile.PycInvalidationMode.CHECKED_HASH],
)
def test_python_takes_it_without_looking_at_the_source(
    tmp_path: Path, mode: py_compile.PycInvalidationMode
) -> None:
    module = tmp_path / "lamp.py"
    module.write_text("print('as it was compiled')\n")
    py_compile.compile(str(module), invalidation_mode=mode)
    module.write_text("print('as it was changed later')\n")
    os.utime(module, (0, 0))
    assert mark_all(tmp_path) == 1
    said = subprocess.run(
        [sys.executable, "-c", "import lamp"],
        cwd=tmp_path,
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout == "as it was compiled\n"
