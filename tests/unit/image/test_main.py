"""The builder's command line, as far as it comes before a build."""

import os
import sys
from pathlib import Path

import pytest

from board.image.__main__ import main
from board.image.boards import BOARDS, Board


def call(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["board.image", *map(str, arguments)])
    return main()


def refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object
) -> str:
    with pytest.raises(SystemExit):
        call(monkeypatch, *arguments)
    return capsys.readouterr().err


@pytest.mark.parametrize("board", BOARDS.values(), ids=lambda board: board.name)
def test_it_only_says_the_architecture(
    board: Board, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, board.name, "--architecture") == 0
    assert capsys.readouterr().out == f"{board.architecture}\n"


def test_what_is_not_there_is_told_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    package = tmp_path / "gadgetip_0.1.0_arm64.deb"
    package.touch()
    right = ["pi-zero-2w", "--package", package, "--epoch", 1, "--keyring", package]
    target = ["--target", tmp_path / "image", "--cache", tmp_path / "cache"]
    for wrong, said in (
        (["pi-zero-3"], "invalid choice"),
        (["pi-zero-2w"], "--package and --epoch are needed"),
        ([*right, "--firmware", tmp_path / "none"], "none is not there"),
        ([*right, "--firmware", tmp_path], "has no folder brcm"),
        ([*right, "--keyring", tmp_path / "keys"], "keys is not there"),
    ):
        assert said in refused(monkeypatch, capsys, *wrong, *target)
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "sudo" in refused(monkeypatch, capsys, *right, *target)
    assert sorted(tmp_path.iterdir()) == [package]
