"""What an image does with gadgetip.toml, in a directory that stands for its root."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from gadgetip.appliance.applying import apply_changes
from gadgetip.appliance.changes import Overwrite, RemoveFile, WriteFile
from gadgetip.appliance.lamp import PROBLEM_HERE
from gadgetip.appliance.provisioned import CONFIG as CONFIG_HERE
from gadgetip.appliance.provisioned import MISREAD_HERE
from gadgetip.appliance.provisioning import (
    AUTHORIZED_KEYS,
    SUPPLICANT,
    Places,
    Present,
    Provisioning,
    provision,
)
from gadgetip.appliance.provisioning_here import provision_here
from gadgetip.supervisor.config_form import parse_config

from .configs import CONFIG, KEY, PASSPHRASE

PLACES = Places()
ZONES = {"Etc/UTC", "Europe/Berlin"}
FIRST = Present(CONFIG.encode(), None, None, ZONES)
CABLE = CONFIG[: CONFIG.index("[board.wifi]")]
MOVED = CONFIG.replace(f'"{PASSPHRASE}"', '"moved"'.ljust(len(PASSPHRASE) + 2))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ZONES:
        zone = tmp_path / "usr/share/zoneinfo" / name
        zone.parent.mkdir(parents=True)
        zone.touch()
    (tmp_path / "boot/firmware").mkdir(parents=True)
    (tmp_path / "run").mkdir()
    card(tmp_path).write_text(CONFIG)
    return tmp_path


def card(root: Path) -> Path:
    return root / PLACES.card_config[1:]


def text(root: Path, path: str) -> str:
    return (root / path[1:]).read_text()


def test_the_first_boot(root: Path) -> None:
    done = provision_here(root)
    assert (done.failed, done.decided.problems) == ((), ())
    assert text(root, "/etc/hostname") == "dongle\n"
    assert "127.0.1.1\tdongle\n" in text(root, "/etc/hosts")
    assert str((root / "etc/localtime").readlink()) == "/usr/share/zoneinfo/Europe/Berlin"
    assert text(root, AUTHORIZED_KEYS).splitlines()[-1] == KEY
    assert "country=DE" in text(root, SUPPLICANT)
    board = parse_config(text(root, CONFIG_HERE), "f", image=True).board
    assert board is not None
    assert board.wifi is not None
    assert board.wifi.psk == "moved"
    modes = {
        path: oct((root / path[1:]).stat().st_mode & 0o777)
        for path in (AUTHORIZED_KEYS, "/root/.ssh", SUPPLICANT, PLACES.key, PLACES.state)
    }
    assert modes == {
        AUTHORIZED_KEYS: "0o600",
        "/root/.ssh": "0o700",
        SUPPLICANT: "0o600",
        PLACES.key: "0o600",
        PLACES.state: "0o700",
    }


def test_no_passphrase_is_left_anywhere(root: Path) -> None:
    provision_here(root)
    files = [path for path in root.rglob("*") if path.is_file() and not path.is_symlink()]
    assert card(root) in files
    assert [path for path in files if PASSPHRASE in path.read_text()] == []


def test_every_further_boot_is_the_same_and_writes_nothing(root: Path) -> None:
    provision_here(root)
    before = {path: path.lstat().st_mtime_ns for path in root.rglob("*") if not path.is_dir()}
    network = text(root, SUPPLICANT)
    done = provision_here(root)
    assert (done.failed, done.decided.problems) == ((), ())
    assert text(root, SUPPLICANT) == network
    assert {path: path.lstat().st_mtime_ns for path in before} == before


def test_a_mistake_leaves_the_last_right_one(root: Path) -> None:
    provision_here(root)
    network = text(root, SUPPLICANT)
    card(root).write_text(CONFIG.replace('"dongle"', '"my dongle"'))
    (root / "etc/hostname").unlink()  # the root file system forgets
    done = provision_here(root)
    assert len(done.decided.problems) == 1
    page = text(root, PLACES.problem)
    assert 'hostname is "my dongle"' in page
    assert "goes on with the last" in page
    assert text(root, "/etc/hostname") == "dongle\n"
    assert text(root, SUPPLICANT) == network
    # What the card says, nobody has taken over: its passphrase stays for the next try.
    assert PASSPHRASE in card(root).read_text()

    card(root).write_text(CONFIG.replace('"dongle"', '"other"'))
    assert provision_here(root).decided.problems == ()
    assert text(root, "/etc/hostname") == "other\n"
    assert not (root / PLACES.problem[1:]).exists()
    assert list((root / "run").iterdir()) == []


def test_a_mistake_at_the_first_boot() -> None:
    decided = provision(replace(FIRST, config=b"schema"))
    assert "The board does nothing until" in decided.page
    assert {change.path for change in decided.changes if isinstance(change, WriteFile)} == {
        PLACES.problem,
        "/run/gadgetip-problem.txt",
    }
    assert len(decided.changes) == 3
    assert RemoveFile(MISREAD_HERE) in decided.changes


@pytest.mark.parametrize(
    ("present", "problem"),
    [
        (replace(FIRST, config=None), "There is no gadgetip.toml here"),
        (replace(FIRST, config=None), "file may be called gadgetip.toml.txt"),
        (replace(FIRST, config=None, misnamed=True), "here, but a gadgetip.toml.txt: rename it"),
        (replace(FIRST, zones={"Etc/UTC"}), "this system knows no such time zone"),
        (
            replace(FIRST, config=MOVED.encode(), kept=CABLE.encode()),
            "this board has no key of that network",
        ),
        (
            replace(FIRST, config=CONFIG.replace("psk =", '"p\\u0073k" =').encode()),
            "psk has to be written plainly",
        ),
    ],
)
def test_what_the_text_alone_does_not_tell(present: Present, problem: str) -> None:
    decided = provision(present)
    assert len(decided.problems) == 1
    assert problem in decided.problems[0]
    assert PASSPHRASE not in decided.page


def test_the_key_is_on_the_disk_before_the_passphrase_goes() -> None:
    changes = provision(FIRST).changes
    order = [type(change) for change in changes]
    assert changes[0] == WriteFile(PLACES.key, changes[0].content, 0o600, 0o700)  # type: ignore[union-attr]
    assert order.index(Overwrite) > 0


def test_where_the_key_cannot_be_kept_the_passphrase_stays(root: Path) -> None:
    (root / "var/lib").mkdir(parents=True)
    (root / "var/lib/gadgetip").touch()  # a file where the partition should be
    done = provision_here(root)
    assert len(done.failed) == 3
    assert "left as it is" in done.failed[2]
    assert card(root).read_text() == CONFIG
    for place in (PROBLEM_HERE, PLACES.problem):  # the lamp, and whoever has no terminal
        assert "this one could not be written" in " ".join(text(root, place).split())
    assert "could not be written" in done.page
    assert "psk=" in text(root, SUPPLICANT)  # and the board is in the network all the same


def test_a_passphrase_that_is_half_written_over_stays_marked(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that fails in the middle of it: the next boot goes on where this one ended."""
    fails = True

    def pwrite(file: int, data: bytes, offset: int) -> int:
        if fails:
            real(file, data[:4], offset)
            raise OSError(5, "Input/output error")
        return real(file, data, offset)

    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", pwrite)
    mark = root / PLACES.mark[1:]
    for _ in range(2):
        assert len(provision_here(root).failed) == 1
        assert mark.exists()
    fails = False
    assert provision_here(root).failed == ()
    assert card(root).read_text() == MOVED
    assert not mark.exists()
    assert "psk=" in text(root, SUPPLICANT)


@pytest.mark.parametrize("readable", [True, False])
def test_what_an_earlier_system_took_over_is_refused(readable: bool) -> None:
    """As by an update whose reader is broken: not its owner's mistake."""
    other = CABLE.replace("hostname", "host_name").encode()
    decided = provision(replace(FIRST, config=other if readable else None, kept=other))
    assert WriteFile(MISREAD_HERE, b"") in decided.changes
    assert told_to_the_lamp(decided)
    edited = provision(replace(FIRST, config=other + b"#", kept=other))
    assert RemoveFile(MISREAD_HERE) in edited.changes


def test_what_changed_meanwhile_is_not_written_over(root: Path) -> None:
    edit = Overwrite(PLACES.card_config, 0, b"hostname", b"moved   ")
    (line,) = apply_changes([edit], root)
    assert line.endswith("it has changed meanwhile")
    assert card(root).read_text() == CONFIG


def test_what_is_left_out_is_removed(root: Path) -> None:
    provision_here(root)
    card(root).write_text('schema = "config/1"\n')
    assert provision_here(root).failed == ()
    for path in (AUTHORIZED_KEYS, SUPPLICANT):
        assert not (root / path[1:]).exists()
    assert text(root, "/etc/hostname") == "gadgetip\n"


def test_a_cable_needs_no_supplicant() -> None:
    assert RemoveFile(SUPPLICANT) in provision(replace(FIRST, config=CABLE.encode())).changes


def test_a_lost_key_costs_the_wireless_network_alone() -> None:
    """As after the state partition had to be made anew: a cable may still do."""
    for kept in (None, MOVED.encode()):
        decided = provision(replace(FIRST, config=MOVED.encode(), kept=kept))
        assert decided.problems == ()
        assert "Write the passphrase of the network into" in " ".join(decided.page.split())
        assert "lab" not in decided.page
        assert RemoveFile(SUPPLICANT) in decided.changes
        assert WriteFile(CONFIG_HERE, MOVED.encode(), 0o600) in decided.changes
        assert told_to_the_lamp(decided)


def test_a_file_that_names_no_device_is_taken_over_and_told() -> None:
    config = b'schema = "config/1"\n[board]\nhostname = "dongle"\n'
    decided = provision(replace(FIRST, config=config))
    assert decided.problems == ()
    assert "Name a device: there is no [[attachment]]" in decided.page
    assert WriteFile("/etc/hostname", b"dongle\n") in decided.changes
    assert told_to_the_lamp(decided)


def test_where_nothing_lasts_the_passphrase_stays_on_the_card() -> None:
    """A key in memory alone would be gone at the next start, and the passphrase with it."""
    decided = provision(replace(FIRST, lasting=False))
    written = {each.path for each in decided.changes if isinstance(each, WriteFile)}
    assert not [each for each in decided.changes if isinstance(each, Overwrite)]
    assert not [path for path in written if path.startswith(PLACES.partition)]
    assert {SUPPLICANT, CONFIG_HERE} < written
    assert "fourth partition of this one cannot be used" in " ".join(decided.page.split())
    assert not told_to_the_lamp(decided)  # the board does what it is asked for


def test_a_board_without_wireless_says_so_and_leaves_the_passphrase_alone(root: Path) -> None:
    marker = root / "etc/gadgetip/image"
    marker.parent.mkdir(parents=True)
    marker.write_text('{"schema": "image/1", "wireless": false}')
    for _ in range(2):
        done = provision_here(root)
        assert (done.failed, done.decided.problems) == ((), ())
        assert "image has no Wi-Fi: take [board.wifi] out" in " ".join(done.page.split())
        assert "passphrase of the network" not in " ".join(done.page.split())
        assert text(root, PROBLEM_HERE) == text(root, PLACES.problem) == done.page
        assert card(root).read_text() == CONFIG
        assert text(root, "/etc/hostname") == "dongle\n"
        # Nor is it anywhere else.
        for path in (CONFIG_HERE, PLACES.kept_config):
            assert text(root, path) == MOVED
        for path in (SUPPLICANT, PLACES.key):
            assert not (root / path[1:]).exists()
    card(root).write_text("schema")
    assert "goes on with the last" in provision_here(root).page
    card(root).write_text(CABLE)
    assert provision_here(root).page == ""


def test_a_file_that_windows_has_given_an_ending(root: Path) -> None:
    card(root).rename(card(root).with_name("gadgetip.toml.txt"))
    page = " ".join(provision_here(root).page.split())
    assert "but a gadgetip.toml.txt: rename it to gadgetip.toml." in page


def test_an_image_that_says_nothing_of_wireless_has_it(root: Path) -> None:
    marker = root / "etc/gadgetip/image"
    marker.parent.mkdir(parents=True)
    for content in ('{"schema": "image/1"}', '{"schema": "image/1", "wireless": true}', "?"):
        card(root).write_text(CONFIG)
        marker.write_text(content)
        assert provision_here(root).page == ""
        assert card(root).read_text() == MOVED


def test_what_an_earlier_system_took_over_without_wireless() -> None:
    """The passphrase has stayed in the card's file, and makes it no other one."""
    kept, config = (each.replace("hostname", "host_name") for each in (MOVED, CONFIG))
    present = replace(FIRST, config=config.encode(), kept=kept.encode(), wireless=False)
    assert WriteFile(MISREAD_HERE, b"") in provision(present).changes
    edited = replace(present, config=config.replace("lab", "den").encode())
    assert RemoveFile(MISREAD_HERE) in provision(edited).changes


@pytest.mark.parametrize("cut", range(1, len(PASSPHRASE) + 2))
@pytest.mark.parametrize("first", [True, False])
def test_the_power_ends_while_the_passphrase_is_written_over(
    root: Path, cut: int, *, first: bool
) -> None:
    """It stands in two sectors of the card's, of which the first or the second was written."""
    provision_here(root)
    right = card(root).read_bytes()
    middle = CONFIG.index(f'"{PASSPHRASE}"') + cut
    torn = (right, CONFIG.encode()) if first else (CONFIG.encode(), right)
    card(root).write_bytes(torn[0][:middle] + torn[1][middle:])
    mark = root / PLACES.mark[1:]
    mark.touch()
    done = provision_here(root)
    assert (done.failed, done.decided.problems) == ((), ())
    assert card(root).read_bytes() == right
    assert not mark.exists()
    assert "psk=" in text(root, SUPPLICANT)


def test_what_its_owner_wrote_since_is_not_mended(root: Path) -> None:
    provision_here(root)
    (root / PLACES.mark[1:]).touch()
    card(root).write_text(CONFIG.replace('"dongle"', '"dangle"').replace(PASSPHRASE, "battery st"))
    assert provision_here(root).decided.problems == ()
    assert text(root, "/etc/hostname") == "dangle\n"
    assert "battery st" not in card(root).read_text()


def test_where_the_card_cannot_be_read_the_last_configuration_goes_on(root: Path) -> None:
    provision_here(root)
    card(root).unlink()
    (root / CONFIG_HERE[1:]).unlink()  # the root file system forgets
    done = provision_here(root)
    assert len(done.decided.problems) == 1
    assert 'psk = "moved"' in text(root, CONFIG_HERE)
    assert "psk=" in text(root, SUPPLICANT)


def told_to_the_lamp(decided: Provisioning) -> bool:
    return PROBLEM_HERE in {each.path for each in decided.changes if isinstance(each, WriteFile)}
