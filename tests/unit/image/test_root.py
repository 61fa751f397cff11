"""What is changed in the root file system, on folders that play it."""

import configparser
import os
import subprocess
from pathlib import Path

from board.image import root

BOARD = Path(__file__).parents[3] / "board"


def test_no_program_makes_a_caller_root(tmp_path: Path) -> None:
    """There is one account, and nothing in need of these bits."""
    tree = tmp_path / "root"
    for name in ("etc", "usr/bin", "usr/lib", "var/mail"):
        (tree / name).mkdir(parents=True)
    (tree / "etc/shadow").write_text("root:!unlocked:20000:0:99999:7:::\n")
    modes = {"usr/bin/su": 0o4755, "usr/bin/chage": 0o2755, "usr/lib/a b": 0o6711, "usr/bin/x": 0o7}
    for name, mode in modes.items():
        (tree / name).touch()
        (tree / name).chmod(mode)
    (tree / "var/mail").chmod(0o2775)
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "systemctl").chmod(0o755)
    subprocess.run(
        ["sh", "-c", root._inside("package.deb", []), "inside", tree, "after"],
        check=True,
        env=os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
    )
    left = {name: (tree / name).stat().st_mode & 0o7777 for name in modes}
    assert left == {name: mode & 0o777 for name, mode in modes.items()}
    assert (tree / "var/mail").stat().st_mode & 0o7777 == 0o2775
    assert (tree / "etc/shadow").read_text().startswith("root:*:")


def unit(path: str) -> configparser.ConfigParser:
    """A file of systemd's, whose keys may come more than once: the last one counts here."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((BOARD / path).read_text())
    return parser


def test_what_feeds_the_watchdog_waits_for_nothing_of_ours() -> None:
    """A start that hangs would keep it from noticing."""
    assert "After" not in unit("systemd/gadgetip-watch.service")["Unit"]
    for path in BOARD.glob("**/*.service"):
        assert "gadgetip-watch" not in unit(str(path.relative_to(BOARD)))["Unit"].get("Before", "")


def test_a_raspberry_pis_watchdog_takes_these_times() -> None:
    """Its driver takes the rest of a division by 16, and the kernel feeds it each 8 seconds."""
    manager = unit("image/root/etc/systemd/system.conf.d/gadgetip.conf")["Manager"]
    assert int(manager["RebootWatchdogSec"].removesuffix("s")) % 16 == 15
    (line,) = (
        line
        for line in (BOARD / "image/init").read_text().splitlines()
        if line.startswith("limit=")
    )
    assert int(line.removeprefix("limit=")) % 16 == 15


def test_an_adapter_of_a_stranger_is_no_network_of_the_boards() -> None:
    """The first file that matches counts, in the order of their names."""
    first = min(BOARD.glob("network/*.network"))
    link = BOARD / "image/root/etc/systemd/network" / first.name
    assert link.readlink() == Path("/usr/share/gadgetip/image", first.name)
    parsed = unit(f"network/{first.name}")
    assert dict(parsed["Match"]) == {"Path": "platform-vhci_hcd.*"}
    assert parsed["Link"].getboolean("Unmanaged")
