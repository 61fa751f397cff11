import json
import subprocess
import sys
from pathlib import Path

import pytest

from gadgetip.cli import planning
from gadgetip.usb import build_device_file
from tests.unit.gadget.devices import HS_STICK, device

from .running import Command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profile.toml").write_text('schema = "profile/1"\nname = "x"\n')
    (tmp_path / "policy.toml").write_text(
        'schema = "policy/1"\n[[deny]]\nmatch = { serial = "x" }\n'
    )
    (tmp_path / "bad.toml").write_text('schema = "policy/1"\n[serve]\nprot = 1\nport = 0\n')
    (tmp_path / "config.toml").write_text('schema = "config/9"\n')
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_what_is_right(gadgetip: Command) -> None:
    run = gadgetip("check", "profile.toml", "policy.toml")
    assert run.status == 0
    assert run.out == (
        "profile.toml: a profile, x\npolicy.toml: a policy, 0 [[export]] and 1 [[deny]]\n"
    )


@pytest.mark.usefixtures("folder")
def test_every_fault_is_printed(gadgetip: Command) -> None:
    run = gadgetip("check", "-q", "bad.toml", "policy.toml", "none.toml", "config.toml")
    assert run.status == 1
    unknown = 'this release does not know that, but "profile/1" and "policy/1" and "config/1"'
    assert run.out.splitlines() == [
        "bad.toml:3: [serve] has no key prot: did you mean port?",
        "bad.toml:4: [serve] port is 0: it has to be 1 to 65535",
        "none.toml: No such file or directory",
        f'config.toml:1: schema is "config/9": {unknown}',
    ]


def test_a_configuration_whose_profiles_are_not_here(folder: Path, gadgetip: Command) -> None:
    def config(*profiles: str) -> None:
        text = "".join(
            f'[[attachment]]\nname = "a{n}"\nserver = "nas"\nmatch = {{ id = "0781:5581" }}\n'
            f'profile = "{each}"\n'
            for n, each in enumerate(profiles)
        )
        (folder / "config.toml").write_text(f'schema = "config/1"\n{text}')

    config("auto", "mass-storage", str(folder / "profile.toml"))
    run = gadgetip("check", "config.toml")
    assert (run.status, run.err) == (0, "")
    config("nonexist", str(folder / "none.toml"))
    run = gadgetip("check", "config.toml")
    assert run.status == 0
    first, second = run.err.splitlines()
    assert "config.toml: profile of a0: there is no profile" in first
    assert f"config.toml: profile of a1: {folder / 'none.toml'}: No such file" in second
    config("./profile.toml")
    run = gadgetip("check", "config.toml")
    assert run.status == 1
    assert "write an absolute path" in run.out


@pytest.mark.usefixtures("folder")
def test_json(gadgetip: Command) -> None:
    run = gadgetip("check", "--json", "policy.toml", "bad.toml", "none.toml")
    assert run.status == 1
    right, bad, none = json.loads(run.out)
    assert right == {"file": "policy.toml", "schema": "policy/1", "ok": True, "faults": []}
    assert [fault["line"] for fault in bad["faults"]] == [3, 4]
    assert bad["faults"][0]["problem"] == "[serve] has no key prot: did you mean port?"
    assert none["ok"] is False
    assert none["faults"][0]["line"] is None


def test_something_has_to_be_checked(gadgetip: Command) -> None:
    assert gadgetip("check").status == 2


# --- against a saved device -----------------------------------------------------------------


@pytest.fixture
def stick(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A saved stick, on a machine without a controller."""
    monkeypatch.setattr(planning, "list_udcs", lambda: ())
    monkeypatch.setattr("gadgetip.gadget.backends.gadgetfs.limit_here", lambda: 256)
    (folder / "stick.bin").write_bytes(build_device_file(HS_STICK))
    return folder


def profile(folder: Path, body: str) -> None:
    (folder / "mine.toml").write_text(f'schema = "profile/1"\nname = "mine"\n{body}')


AGAINST = ("check", "mine.toml", "--descriptors", "stick.bin")
MODEL = ("--udc-model", "dummy_hcd")
IGNORED = "the profile is ignored here: the device has none of this"
ASKED = "mine.toml: refused: interface 0: the profile asks for"
UAS = (
    "mine.toml: refused: endpoint 0x81: the shaper uas cannot be had: uas takes four endpoints "
    "with pipe usage descriptors"
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ('[match]\nid = "0781:5581"\n[[endpoint]]\naddress = 0x81\nwindow_urbs = 4\n', []),
        (
            '[match]\nid = "0781:0001"\n',
            ["mine.toml: its match does not fit the device"],
        ),
        (
            "[[interface]]\nnumber = 3\ndrop = true\n[[endpoint]]\naddress = 0x8f\n",
            [
                f"mine.toml: interface 3: {IGNORED} number",
                f"mine.toml: endpoint 0x8f: {IGNORED} address",
            ],
        ),
        (
            "[[interface]]\nnumber = 0\nalternate_setting = 5\n",
            [
                f"{ASKED} alternate setting 5, which it does not have",
                "mine.toml: refused: configuration: nothing of configuration 1 is left to rebuild",
            ],
        ),
        ('[[endpoint]]\naddress = 0x81\nshaper = "uas"\n', [UAS]),
    ],
)
def test_a_profile_against_a_device(
    gadgetip: Command, stick: Path, body: str, said: list[str]
) -> None:
    profile(stick, body)
    run = gadgetip(*AGAINST, *MODEL)
    assert run.status == (1 if said else 0)
    found = run.out.splitlines()
    for line in said:
        assert line in found
    if not said:
        assert found == ["mine.toml: a profile, mine"]
    document = json.loads(gadgetip(*AGAINST, *MODEL, "--json").out)
    assert document[0]["ok"] is not bool(said)
    assert {f"mine.toml: {each['problem']}" for each in document[0]["faults"]} >= set(said)


def test_without_a_controller_it_is_not_planned(gadgetip: Command, stick: Path) -> None:
    profile(stick, '[[endpoint]]\naddress = 0x81\nshaper = "uas"\n')
    run = gadgetip(*AGAINST)
    assert run.status == 0
    assert run.err.startswith("note: not planned: this machine has no USB device controller")


def test_what_a_saved_device_does_not_tell(gadgetip: Command, stick: Path) -> None:
    profile(stick, '[match]\nserial = "4C53*"\n')
    run = gadgetip(*AGAINST, *MODEL)
    assert run.status == 0
    assert "mine.toml: whether its match fits is not known" in run.err


def test_a_device_that_nothing_can_rebuild(gadgetip: Command, stick: Path) -> None:
    profile(stick, "")
    (stick / "none.bin").write_bytes(build_device_file(device()))
    run = gadgetip("check", "mine.toml", "--descriptors", "none.bin", *MODEL)
    assert run.status == 1
    assert run.out.startswith("mine.toml: refused: the device has no configuration")


@pytest.mark.usefixtures("stick")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["policy.toml", "--descriptors", "stick.bin", *MODEL], "goes with a profile"),
        (["profile.toml", *MODEL], "go with --descriptors"),
        (["profile.toml", "--descriptors", "stick.bin", "--udc", "a", *MODEL], "exclude each"),
    ],
)
def test_what_does_not_go_together(gadgetip: Command, arguments: list[str], said: str) -> None:
    run = gadgetip("check", *arguments)
    assert run.status == 2
    assert said in run.err


def test_policies_are_checked_where_no_gadget_can_be_planned(folder: Path) -> None:
    """A server has none of the libraries that the gadget needs."""
    code = (
        "import sys; sys.modules['libaio'] = sys.modules['functionfs'] = None\n"
        "from gadgetip.cli import main; sys.argv = ['gadgetip', 'check', 'policy.toml']; main()"
    )
    run = subprocess.run([sys.executable, "-c", code], cwd=folder, check=False, capture_output=True)
    assert (run.returncode, run.stderr) == (0, b"")


def test_a_configuration_for_an_image(folder: Path, gadgetip: Command) -> None:
    (folder / "config.toml").write_text('schema = "config/1"\n[board]\nhostname = "dongle"\n')
    run = gadgetip("check", "config.toml")
    assert (run.status, run.out) == (1, "config.toml:2: [board] is for images alone: take it out\n")
    run = gadgetip("check", "--image", "config.toml")
    assert (run.status, run.out) == (0, "config.toml: a configuration, 0 [[attachment]]\n")
