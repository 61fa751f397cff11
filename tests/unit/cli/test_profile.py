"""`gadgetip profile`: list, show, suggest, import, export."""

import json
from functools import partial
from pathlib import Path

import pytest

from gadgetip.profiles import GENERIC, find_profile, load_profile, parse_profile, profile_files
from gadgetip.usb import build_device_file
from tests.unit.gadget.devices import CAMERA, HS_STICK
from tests.unit.remote.examples import exported
from tests.unit.remote.server import Server

from .running import Command, served

HEAD = 'schema = "profile/1"\nname = "{name}"\n'


@pytest.fixture(autouse=True)
def own(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The owner's profiles, instead of those in /etc; gadgetfs as distributions have it."""
    directory = tmp_path / "own"
    directory.mkdir()
    for name, function in (
        ("profile_files", profile_files),
        ("find_profile", find_profile),
        ("load_profile", load_profile),
    ):
        monkeypatch.setattr(f"gadgetip.cli.profile.{name}", partial(function, own=directory))
    monkeypatch.setattr(
        "gadgetip.cli.profile_suggest.profile_files", partial(profile_files, own=directory)
    )
    monkeypatch.setattr(
        "gadgetip.cli.profile_schemes.load_profile", partial(load_profile, own=directory)
    )
    monkeypatch.setattr("gadgetip.gadget.backends.gadgetfs.limit_here", lambda: 256)
    return directory


def write(directory: Path, name: str, body: str = "") -> Path:
    file = directory / f"{name}.toml"
    file.write_text(HEAD.format(name=name) + body)
    return file


def test_list(gadgetip: Command, own: Path) -> None:
    write(own, "mine", 'summary = "My stick"\n')
    write(own, "printer")
    write(own, "broken", "nonsense = 1\n")
    run = gadgetip("profile", "list")
    assert run.status == 0
    lines = [" ".join(line.split()) for line in run.out.splitlines()]
    assert lines[0] == "PROFILE FROM SUMMARY"
    assert "mass-storage shipped Sticks, disks and card readers (bulk-only and UAS)" in lines
    assert "mine own My stick" in lines
    assert "printer own, hides the shipped" in lines
    assert any(line.startswith(f"broken own {own}/broken.toml:3: a profile has") for line in lines)


def test_list_for_programs(gadgetip: Command, own: Path) -> None:
    write(own, "broken", "nonsense = 1\n")
    rows = {row["name"]: row for row in json.loads(gadgetip("profile", "list", "--json").out)}
    assert rows["generic"]["summary"] == GENERIC.summary
    assert (rows["generic"]["shipped"], rows["generic"]["problem"]) == (True, None)
    assert (rows["broken"]["shipped"], rows["broken"]["summary"]) == (False, None)
    assert "nonsense" in rows["broken"]["problem"]


def test_show(gadgetip: Command, own: Path) -> None:
    run = gadgetip("profile", "show", "generic")
    assert run.status == 0
    assert run.out.startswith("# The profile that wishes for nothing")
    assert parse_profile(run.out, "shown") == GENERIC
    file = write(own, "mine", "# \u202e comment\n[link]\nhold_s = 5\n")
    shown = gadgetip("profile", "show", str(file))
    assert shown.out.splitlines()[2:] == ["# \\u202e comment", "[link]", "hold_s = 5"]
    document = json.loads(gadgetip("profile", "show", "mine", "--json").out)
    assert document == {
        "name": "mine",
        "file": str(file),
        "profile": {"schema": "profile/1", "name": "mine", "link": {"hold_s": 5}},
    }


def test_show_what_is_not_there(gadgetip: Command, own: Path) -> None:
    run = gadgetip("profile", "show", "mass-strage")
    assert run.status == 1
    assert "did you mean mass-storage?" in run.err
    write(own, "broken", "nonsense = 1\n")
    assert "broken.toml:3" in gadgetip("profile", "show", "broken").err


@pytest.fixture
def stick(tmp_path: Path) -> list[str]:
    """How to name a saved stick, and a controller."""
    file = tmp_path / "stick.bin"
    file.write_bytes(build_device_file(HS_STICK))
    return ["--descriptors", str(file), "--udc-model", "dummy_hcd"]


def test_suggest(gadgetip: Command, stick: list[str]) -> None:
    run = gadgetip("profile", "suggest", *stick)
    assert (run.status, run.err) == (0, "")
    made = parse_profile(run.out, "suggested")
    assert (made.name, made.matches[0].ids) == ("device-0781-5581", ("0781:5581",))
    assert (made.link.on_loss, made.link.hold_s) == ("hold", 10)  # from mass-storage
    assert "# What is not behind a # comes from the profile mass-storage.\n" in run.out
    plain = gadgetip("profile", "suggest", *stick, "--profile", "generic")
    assert parse_profile(plain.out, "suggested").link == GENERIC.link
    document = json.loads(gadgetip("profile", "suggest", *stick, "--json").out)
    assert document["profile"] == run.out
    assert (document["name"], document["file"]) == ("device-0781-5581", None)


def test_suggest_into_a_file(
    gadgetip: Command, own: Path, stick: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own / "my-stick.toml"
    run = gadgetip("profile", "suggest", *stick, "-o", str(file))
    assert (run.status, run.out) == (0, f"wrote {file}\n")
    assert gadgetip("check", str(file)).out == f"{file}: a profile, my-stick\n"
    assert load_profile("my-stick", own).name == "my-stick"
    printed = gadgetip("profile", "suggest", *stick)
    assert gadgetip("profile", "suggest", *stick, "-o", "-") == printed
    again = gadgetip("profile", "suggest", *stick, "-o", str(file))
    assert again.status == 1
    assert "exists: remove it first" in again.err
    nowhere = gadgetip("profile", "suggest", *stick, "-o", str(own / "no" / "x.toml"))
    assert (nowhere.status, nowhere.err.count("\n")) == (1, 1)


def test_suggest_for_a_live_device(gadgetip: Command) -> None:
    with served(Server(exported("1-2"))) as host:
        run = gadgetip("profile", "suggest", host, "1-2", "--udc-model", "dummy_hcd")
    made = parse_profile(run.out, "suggested")
    assert made.name == "ultra"
    assert '#serial = "4C530001"  # this one alone\n' in run.out
    assert "# For SanDisk Ultra (0781:5581).\n" in run.out


def test_suggest_for_what_is_refused(gadgetip: Command, tmp_path: Path) -> None:
    file = tmp_path / "camera.bin"
    file.write_bytes(build_device_file(CAMERA))
    run = gadgetip(
        *("profile", "suggest", "--descriptors", str(file), "--udc-model", "dwc2-bcm2835")
    )
    assert run.status == 0
    assert run.err.startswith("note: this device is refused as it is: configuration: it has")
    assert parse_profile(run.out, "suggested")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "give HOST and DEVICE, or --descriptors FILE"),
        (["nas"], "missing DEVICE"),
        (["nas", "1-1", "--udc", "a", "--udc-model", "dwc3"], "exclude each other"),
    ],
)
def test_suggest_for_nothing(gadgetip: Command, arguments: list[str], said: str) -> None:
    run = gadgetip("profile", "suggest", *arguments)
    assert run.status == 2
    assert said in run.err


SCHEME = "attrs : { idVendor = 0x1D6B; bcdUSB = 0x200; };\n"


def test_import(gadgetip: Command, own: Path, tmp_path: Path) -> None:
    scheme = tmp_path / "my-gadget.scheme"
    scheme.write_text(SCHEME)
    run = gadgetip("profile", "import", str(scheme))
    assert run.status == 0
    assert run.err == "note: lost: attrs.bcdUSB = 0x200: the device's own stays\n"
    made = parse_profile(run.out, "imported")
    assert (made.name, made.gadget.identity.idVendor) == ("my-gadget", 0x1D6B)
    file = own / "mine.toml"
    assert gadgetip("profile", "import", str(scheme), "-o", str(file)).status == 0
    assert load_profile("mine", own).gadget.identity.idVendor == 0x1D6B
    document = json.loads(gadgetip("profile", "import", str(scheme), "--json").out)
    assert document["lost"] == ["attrs.bcdUSB = 0x200: the device's own stays"]
    assert document["profile"] == run.out


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[gadget]\n", ":1: this is no gadget scheme"),
        (b"\xff\xfe\x00", ":1: this is no gadget scheme"),
        (b"#" * 70000, ":1: a gadget scheme has at most 64 KiB"),
    ],
)
def test_import_what_is_none(gadgetip: Command, tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "x").write_bytes(content)
    run = gadgetip("profile", "import", str(tmp_path / "x"))
    assert (run.status, run.out, run.err.count("\n")) == (1, "", 1)
    assert said in run.err


@pytest.mark.parametrize("name", ["/nowhere/x", "/dev/zero", "/", "a\0"])
def test_import_what_is_no_file(gadgetip: Command, name: str) -> None:
    run = gadgetip("profile", "import", name)
    assert (run.out, run.err.count("\n")) == ("", 1)
    assert run.status == 1


def test_export_and_back(gadgetip: Command, own: Path, tmp_path: Path) -> None:
    write(
        own, "mine", "[gadget.identity]\nidVendor = 0x1209\nproduct = 'A \"B\"'\n[link]\nhold_s = 1"
    )
    scheme = tmp_path / "out.scheme"
    run = gadgetip("profile", "export", "mine", "-o", str(scheme))
    assert run.status == 0
    assert "note: lost: [link] hold_s = 1: a scheme cannot say it\n" in run.err
    back = parse_profile(gadgetip("profile", "import", str(scheme)).out, "back")
    assert back.gadget.identity == load_profile("mine", own).gadget.identity
    document = json.loads(gadgetip("profile", "export", "mine", "--json").out)
    assert document["scheme"] == scheme.read_text()
    assert document["lost"][0] == "name: a gadget gets its name when gt loads it"
    assert gadgetip("profile", "export", "none").status == 1


@pytest.mark.parametrize("command", ["list", "show", "suggest", "import", "export"])
def test_help_has_examples(gadgetip: Command, command: str) -> None:
    run = gadgetip("profile", command, "--help")
    assert run.status == 0
    assert f"gadgetip profile {command}" in run.out.split("Examples:")[1]
