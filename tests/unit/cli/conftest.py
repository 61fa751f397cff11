from pathlib import Path

import pytest

from .running import Command


@pytest.fixture
def gadgetip(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture(autouse=True)
def running_attachments(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """Where attachments in the foreground register, instead of in /run."""
    directory = tmp_path / "attachments"
    monkeypatch.setattr("gadgetip.attachment.running.DIRECTORY", directory)
    monkeypatch.setattr("gadgetip.remote.stale_session.DIRECTORY", tmp_path / "imports")
    return directory
