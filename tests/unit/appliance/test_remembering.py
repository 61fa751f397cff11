"""What one boot made of gadgetip.toml, the next one unpacks, and has the same files."""

import subprocess
from pathlib import Path

import pytest

from gadgetip.appliance.provisioning import Places
from gadgetip.appliance.provisioning_here import provision_here

from .configs import CONFIG, PASSPHRASE

SCRIPT = Path(__file__).parents[3] / "board/image/root/usr/libexec/gadgetip/provision"
PLACES = Places()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root that has booted once, and the script for it."""
    for name in ("usr/share/zoneinfo/Europe", "boot/firmware", "run", "etc/gadgetip", "proc"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "usr/share/zoneinfo/Europe/Berlin").touch()
    (tmp_path / "etc/gadgetip/image").write_text("{}\n")
    (tmp_path / "boot/firmware/gadgetip.toml").write_text(CONFIG)
    assert provision_here(tmp_path).failed == ()
    return tmp_path


def boot(root: Path) -> str:
    """Run the script with `root` in place of /; returns what it said."""
    sums = root / PLACES.sums[1:]
    text = SCRIPT.read_text()
    for place in ("/var/lib", "/boot/firmware", "/etc/hostname", "/proc/sys"):
        text = text.replace(place, f"{root}{place}")
    text = text.replace("--directory=/", f"--directory={root}")
    text = text.replace("exec /usr/bin/gadgetip board provision", "echo judged anew")
    if sums.exists():
        sums.write_text(sums.read_text().replace("  /", f"  {root}/"))
    (root / "proc/sys/kernel").mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["sh", "-c", text], check=True, capture_output=True, text=True)
    assert done.stderr == ""
    return done.stdout


def made(root: Path) -> dict[str, tuple[str, int]]:
    """Each file and link below /etc and /root, with what is in it and its mode."""
    return {
        str(path.relative_to(root)): (
            str(path.readlink()) if path.is_symlink() else path.read_text(),
            path.lstat().st_mode,
        )
        for name in ("etc", "root")
        for path in sorted((root / name).rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def forget(root: Path) -> None:
    """As the root file system does at power off."""
    for path in made(root):
        if path != "etc/gadgetip/image":
            (root / path).unlink()
    (root / "root/.ssh").rmdir()


def test_the_next_boot_makes_the_same(root: Path) -> None:
    before = made(root)
    assert len(before) == 7
    forget(root)
    assert boot(root) == ""
    assert made(root) == before
    assert (root / "root/.ssh").stat().st_mode & 0o777 == 0o700
    assert (root / "proc/sys/kernel/hostname").read_text() == "dongle\n"


@pytest.mark.parametrize(
    "place",
    [
        "boot/firmware/gadgetip.toml",
        "etc/gadgetip/image",
        PLACES.made[1:],
    ],
)
def test_what_has_changed_is_judged_anew(root: Path, place: str) -> None:
    with (root / place).open("a") as file:
        file.write("# another\n")
    forget(root)
    assert boot(root) == "judged anew\n"


@pytest.mark.parametrize(
    "place",
    ["boot/firmware/gadgetip.toml", PLACES.made[1:], PLACES.sums[1:]],
)
def test_what_is_not_there_is_judged_anew(root: Path, place: str) -> None:
    (root / place).unlink()
    assert boot(root) == "judged anew\n"


@pytest.mark.parametrize("place", ["boot/firmware/gadgetip-problem.txt", PLACES.mark[1:]])
def test_what_is_not_done_is_judged_anew(root: Path, place: str) -> None:
    (root / place).touch()
    assert boot(root) == "judged anew\n"


def test_what_there_is_to_say_is_said_at_each_boot(root: Path) -> None:
    card = root / PLACES.card_config[1:]
    before = (root / PLACES.sums[1:]).read_bytes()
    card.write_text(CONFIG.replace(PASSPHRASE, "short"))
    assert provision_here(root).decided.page
    assert (root / PLACES.sums[1:]).read_bytes() == before  # of the file that was right
    assert boot(root) == "judged anew\n"
