"""A session's share of what usbfs lends."""

from pathlib import Path

import pytest

from gadgetip.server.userspace.usbfs_memory import session_share


@pytest.mark.parametrize(
    ("text", "share"), [("16\n", 4 << 20), ("0\n", 0), ("1000", 250 << 20), ("x", 4 << 20)]
)
def test_share(tmp_path: Path, text: str, share: int) -> None:
    parameter = tmp_path / "usbfs_memory_mb"
    parameter.write_text(text)
    assert session_share(parameter) == share


def test_not_to_be_read(tmp_path: Path) -> None:
    assert session_share(tmp_path / "nothing") == 4 << 20
