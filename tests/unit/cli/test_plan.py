"""`gadgetip plan` without a device and without a controller: statuses, texts, JSON, bad files."""

import json
import shutil
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gadgetip.cli import planning
from gadgetip.errors import ExitStatus
from gadgetip.gadget import Udc
from gadgetip.gadget.udc_models import DUMMY_HCD, DWC2_BCM2835, UDC_MODELS
from gadgetip.profiles import choose_profile
from gadgetip.usb import DeviceTree, Speed, build_device_file
from tests.unit.gadget.devices import (
    CAMERA,
    HS_STICK,
    KEYBOARD_LS,
    SERIAL,
    device,
    emulated,
    stick,
    strings,
)
from tests.unit.remote.examples import exported
from tests.unit.remote.server import Server

from .running import Command, Run, served


@pytest.fixture(autouse=True)
def stock_gadgetfs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr("gadgetip.gadget.backends.gadgetfs.limit_here", lambda: 256)


def saved(tree: DeviceTree, directory: Path) -> str:
    file = directory / "device.bin"
    file.write_bytes(build_device_file(tree))
    return str(file)


@pytest.mark.parametrize(
    ("tree", "model", "status", "verdict"),
    [
        (HS_STICK, "dummy_hcd", ExitStatus.DONE, "works"),
        (HS_STICK, "dwc2-bcm2835", ExitStatus.DONE, "works"),
        (SERIAL, "usbip-vudc", ExitStatus.DONE, "works"),
        (KEYBOARD_LS, "dummy_hcd", ExitStatus.DONE, "works"),
        (KEYBOARD_LS, "dwc2-bcm2835", ExitStatus.DEGRADED, "works, degraded"),
        (emulated("headset"), "dummy_hcd", ExitStatus.DEGRADED, "works, degraded"),
        (CAMERA, "musb-am335x", ExitStatus.REFUSED, "refused"),
        (device(), "dummy_hcd", ExitStatus.REFUSED, None),
    ],
)
def test_exit_statuses(
    gadgetip: Command,
    tmp_path: Path,
    tree: DeviceTree,
    model: str,
    status: ExitStatus,
    verdict: str | None,
) -> None:
    run = gadgetip("plan", "--descriptors", saved(tree, tmp_path), "--udc-model", model)
    assert run.status == status
    if verdict is None:
        assert (run.out, run.err.count("\n")) == ("", 1)
    else:
        assert run.out.splitlines()[0].endswith(f"({model}): {verdict}")
        assert run.err == ""


def test_the_text(gadgetip: Command, tmp_path: Path) -> None:
    arguments = ["plan", "--descriptors", saved(HS_STICK, tmp_path), "--udc-model", "dummy_hcd"]
    run = gadgetip(*arguments, "--profile", "generic")
    lines = [" ".join(line.split()) for line in run.out.splitlines()]
    assert lines == [
        "(string 1) (string 2) (0781:5581) on a controller of this kind (dummy_hcd): works",
        "backend functionfs",
        "speed 480 Mbit/s",
        "endpoints",
        "interface device host type packet shaper",
        *(
            f"0 08/06/50 (mass storage, SCSI, bulk-only) {row} URBs of up to {size} bytes"
            for row, size in (
                ("0x81 0x81 bulk IN 512 bot, 8", 65536),
                ("0x02 0x02 bulk OUT 512 bot, 8", 131072),
            )
        ),
        "nothing differs from the device",
    ]
    assert gadgetip(*arguments, "-q").out == ""


def test_refusals_come_first_and_cosmetic_differences_when_asked(
    gadgetip: Command, tmp_path: Path
) -> None:
    arguments = ["plan", "--descriptors", saved(CAMERA, tmp_path), "--udc-model", "dummy_hcd"]
    brief, verbose = gadgetip(*arguments), gadgetip(*arguments, "-v")
    assert brief.status == verbose.status == ExitStatus.REFUSED
    lines = brief.out.splitlines()
    first = lines[lines.index("deviations") + 1].split()
    assert first[:2] == ["refused", "configuration"]
    assert "build the larger module from board/dkms" in brief.out
    assert "cosmetic differences (-v lists them)" in lines[-1]
    assert "\n  info      " not in brief.out
    assert "\n  info      " in verbose.out
    assert "cosmetic" not in verbose.out
    assert "not carried" in brief.out  # the isochronous endpoints


def test_json(gadgetip: Command, tmp_path: Path) -> None:
    arguments = ["plan", "--descriptors", saved(SERIAL, tmp_path), "--udc-model", "dwc2-bcm2835"]
    run = gadgetip(*arguments, "--json")
    document = json.loads(run.out)
    assert list(document) == [
        *("id", "verdict", "exit_status", "profile", "backend", "udc", "udc_model", "speed"),
        *("configurations", "deviations"),
    ]
    assert (document["id"], document["verdict"], document["exit_status"]) == (
        "0781:5581",
        "works",
        run.status,
    )
    assert (document["backend"], document["udc"], document["udc_model"], document["speed"]) == (
        *("gadgetfs", None, "dwc2-bcm2835"),
        "high-speed",
    )
    (configuration,) = document["configurations"]
    assert (configuration["value"], configuration["interfaces"]) == (1, [0, 1, 2])
    assert configuration["endpoints"][2] == {
        "interface": 1,
        "alternate_setting": 0,
        "address": 0x82,
        "transfer_type": "interrupt",
        "max_packet": 10,
        "carried": True,
        "host_address": 0x82,
        "shaper": "interrupt",
        "window_urbs": 2,
        "transfer_bytes": 10,
        "file": "ep2in",
    }
    for deviation in document["deviations"]:
        assert list(deviation) == ["severity", "subject", "reason"]
        assert deviation["severity"] in {"info", "degraded", "refused"}


@pytest.mark.parametrize("name", ["headset", "two-configurations", "alternate-setting-five"])
def test_json_lists_every_endpoint_of_the_device(
    gadgetip: Command, tmp_path: Path, name: str
) -> None:
    tree = emulated(name)
    run = gadgetip(
        *("plan", "--descriptors", saved(tree, tmp_path), "--udc-model", "dummy_hcd", "--json")
    )
    document = json.loads(run.out)
    listed = [
        (c["value"], e["interface"], e["alternate_setting"], e["address"])
        for c in document["configurations"]
        for e in c["endpoints"]
    ]
    assert listed == [
        (c.value, s.interface, s.alternate, e.address)
        for c in tree.configurations
        for s in c.settings
        for e in s.endpoints
    ]


# --- what can be asked for ------------------------------------------------------------------


def test_an_unknown_model_lists_the_models(gadgetip: Command, tmp_path: Path) -> None:
    run = gadgetip("plan", "--descriptors", saved(HS_STICK, tmp_path), "--udc-model", "moon")
    assert run.status == ExitStatus.USAGE
    assert all(model.name in run.err for model in UDC_MODELS)
    assert run.err.count("\n") == 1


@pytest.mark.parametrize("backend", ["functionfs", "gadgetfs"])
def test_a_backend_can_be_forced(gadgetip: Command, tmp_path: Path, backend: str) -> None:
    arguments = ["plan", "--descriptors", saved(SERIAL, tmp_path), "--udc-model", "usbip-vudc"]
    run = gadgetip(*arguments, "--backend", backend)
    assert f"\nbackend     {backend}\n" in run.out
    assert run.status == (ExitStatus.REFUSED if backend == "functionfs" else ExitStatus.DONE)


def profile(directory: Path, text: str) -> str:
    file = directory / "mine.toml"
    file.write_text(f'schema = "profile/1"\nname = "mine"\n{text}')
    return str(file)


def test_a_profile(gadgetip: Command, tmp_path: Path) -> None:
    mine = profile(tmp_path, "[[interface]]\nnumber = 1\ndrop = true\n")
    arguments = ["plan", "--descriptors", saved(SERIAL, tmp_path), "--udc-model", "usbip-vudc"]
    run = gadgetip(*arguments, "--profile", mine)
    assert run.status == ExitStatus.DEGRADED
    assert "interface 1  left out, as the profile asks" in run.out
    frozen = profile(tmp_path, "[[interface]]\nnumber = 0\nalternate_setting = 5\n")
    five = saved(emulated("alternate-setting-five"), tmp_path)
    run = gadgetip(
        *("plan", "--descriptors", five, "--udc-model", "dummy_hcd", "--profile", frozen, "--json")
    )
    endpoints = json.loads(run.out)["configurations"][0]["endpoints"]
    assert [(e["alternate_setting"], e["carried"]) for e in endpoints] == [(5, True), (5, True)]


@pytest.mark.parametrize(
    ("text", "status"),
    [("nonsense = 1\n", ExitStatus.ERROR), ("[gadget\n", ExitStatus.ERROR)],
)
def test_a_profile_that_is_none(
    gadgetip: Command, tmp_path: Path, text: str, status: ExitStatus
) -> None:
    mine = profile(tmp_path, text)
    for command in (
        ["plan", "--descriptors", saved(HS_STICK, tmp_path), "--udc-model", "dummy_hcd"],
        ["attach", "nas", "1-1"],
    ):
        run = gadgetip(*command, "--profile", mine)
        assert run.status in {status, ExitStatus.USAGE}
        assert "mine.toml" in run.err
        assert "Traceback" not in run.err


def test_a_profile_that_is_not_there(gadgetip: Command, tmp_path: Path) -> None:
    run = gadgetip(
        *("plan", "--descriptors", saved(HS_STICK, tmp_path), "--profile", "no-such-profile")
    )
    assert run.status in {ExitStatus.ERROR, ExitStatus.USAGE}
    assert "no-such-profile" in run.err


def test_the_profile_that_fits_is_said(gadgetip: Command, tmp_path: Path) -> None:
    arguments = ["plan", "--descriptors", saved(HS_STICK, tmp_path), "--udc-model", "dummy_hcd"]
    fitting = gadgetip(*arguments)
    assert fitting.status == ExitStatus.DONE
    assert "\nprofile     mass-storage\nbackend     functionfs\n" in fitting.out
    assert json.loads(gadgetip(*arguments, "--json").out)["profile"] == "mass-storage"
    forced = gadgetip(*arguments, "--backend", "gadgetfs")
    assert "\nprofile     mass-storage\nbackend     gadgetfs\n" in forced.out
    generic = gadgetip(*arguments, "--profile", "generic")
    assert "\nprofile" not in generic.out


def test_an_older_kernel(gadgetip: Command, tmp_path: Path) -> None:
    arguments = ["plan", "--descriptors", saved(HS_STICK, tmp_path), "--udc-model", "dummy_hcd"]
    assert gadgetip(*arguments, "--kernel", "5.10.1").status == ExitStatus.DEGRADED
    assert gadgetip(*arguments, "--kernel", "6.12.117+deb12").status == ExitStatus.DONE
    assert gadgetip(*arguments, "--kernel", "six").status == ExitStatus.USAGE


# --- bad files ------------------------------------------------------------------------------

WHOLE = build_device_file(HS_STICK)
BAD = {
    "empty": b"",
    "half a device descriptor": WHOLE[:9],
    "half a configuration": WHOLE[:-3],
    "more than there should be": WHOLE + b"\0",
    "text": b"0781:5581 SanDisk Ultra\n",
    "zeros": bytes(64),
    "2 MiB": bytes(2 << 20),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_file_that_is_none(gadgetip: Command, tmp_path: Path, name: str) -> None:
    file = tmp_path / "bad\n.bin"
    file.write_bytes(BAD[name])
    run = gadgetip("plan", "--descriptors", str(file), "--udc-model", "dummy_hcd")
    assert (run.status, run.out) == (ExitStatus.ERROR, "")
    assert run.err.startswith("gadgetip: ")
    assert run.err.count("\n") == 1
    assert "bad\\n.bin" in run.err


def test_an_error_for_programs(gadgetip: Command, tmp_path: Path) -> None:
    file = tmp_path / "empty"
    file.touch()
    run = gadgetip("plan", "--descriptors", str(file), "--udc-model", "dummy_hcd", "--json")
    assert json.loads(run.out)["exit_status"] == run.status == ExitStatus.ERROR


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.one_of(
        st.binary(max_size=80),
        st.tuples(st.integers(0, len(WHOLE) - 1), st.binary(max_size=3)),
    )
)
def test_any_bytes_end_in_a_status(
    gadgetip: Command, tmp_path: Path, data: bytes | tuple[int, bytes]
) -> None:
    if isinstance(data, tuple):
        at, patch = data
        data = WHOLE[:at] + patch + WHOLE[at + len(patch) :]
    (tmp_path / "any").write_bytes(data)
    run: Run = gadgetip(
        *("plan", "--descriptors", str(tmp_path / "any"), "--udc-model", "dummy_hcd")
    )
    assert run.status in {0, 1, 5, 7}
    assert "this is a bug" not in run.err


def test_what_inspect_saved(gadgetip: Command, tmp_path: Path) -> None:
    file = tmp_path / "saved"
    with served(Server(exported("1-2"))) as host:
        assert gadgetip("inspect", host, "1-2", "--save", str(file)).status == 0
    run = gadgetip("plan", "--descriptors", str(file), "--udc-model", "usbip-vudc")
    assert run.status == ExitStatus.DONE


# --- a live device, a live controller -------------------------------------------------------


def test_a_live_device(gadgetip: Command) -> None:
    hostile = "\x1b]0;owned\x07\nroot: \u202e"
    tree = device(stick(), texts=strings(dict.fromkeys((1, 2, 3), hostile)))
    with served(Server(exported("1-2"), exported("1-3", tree))) as host:
        run = gadgetip("plan", host, "1-2", "--udc-model", "dummy_hcd")
        assert run.out.startswith("SanDisk Ultra (0781:5581) on a controller of this kind ")
        assert run.status == ExitStatus.DONE
        odd = gadgetip("plan", host, "1-3", "--udc-model", "dummy_hcd", "-v")
    assert odd.status in {ExitStatus.DONE, ExitStatus.DEGRADED}
    assert (odd.out + odd.err).replace("\n", "").isprintable()


def udc(name: str, owner: str | None = None, model: object = DUMMY_HCD) -> Udc:
    chosen = DWC2_BCM2835 if model is DWC2_BCM2835 else DUMMY_HCD
    return Udc(name, "not attached", Speed.UNKNOWN, Speed.HIGH, owner, chosen)


@pytest.mark.parametrize(
    ("udcs", "arguments", "status", "said"),
    [
        ((), [], ExitStatus.PREREQUISITE, "this machine has no USB device controller"),
        ((udc("a"),), [], ExitStatus.DONE, " on a (dummy_hcd): works"),
        ((udc("a", "gadget g"),), [], ExitStatus.DONE, " on a (dummy_hcd): works"),
        ((udc("a"), udc("b")), [], ExitStatus.DONE, " on a (dummy_hcd): works"),
        ((udc("a"), udc("b")), ["--udc", "b"], ExitStatus.DONE, " on b (dummy_hcd): works"),
        ((udc("a"),), ["--udc", "c"], ExitStatus.ERROR, "there is no controller c"),
        (
            (udc("a"), udc("b", model=DWC2_BCM2835)),
            [],
            ExitStatus.USAGE,
            "several controllers differ (a, b): choose one with --udc NAME",
        ),
        ((udc("a", "x"), udc("b", model=DWC2_BCM2835)), [], ExitStatus.DONE, " on b (dwc2"),
    ],
)
def test_which_controller(
    gadgetip: Command,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    udcs: tuple[Udc, ...],
    arguments: list[str],
    status: ExitStatus,
    said: str,
) -> None:
    monkeypatch.setattr(planning, "list_udcs", lambda: udcs, raising=True)
    monkeypatch.setattr("os.geteuid", lambda: 1000)  # nothing is loaded for a plan here
    run = gadgetip("plan", "--descriptors", saved(HS_STICK, tmp_path), *arguments)
    assert run.status == status
    assert said in run.out + run.err


def test_the_controller_that_a_profile_names(
    gadgetip: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "list_udcs", lambda: (udc("a"), udc("b")))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    on_b = profile(tmp_path, '[gadget]\nudc = "b"\n[match]\nid = "0781:5581"\n')
    arguments = ["plan", "--descriptors", saved(HS_STICK, tmp_path)]
    assert " on b (dummy_hcd): works" in gadgetip(*arguments, "--profile", on_b).out
    # The command line goes first.
    assert " on a (dummy_hcd): " in gadgetip(*arguments, "--profile", on_b, "--udc", "a").out
    kind = gadgetip(*arguments, "--profile", on_b, "--udc-model", "dwc3")
    assert " on a controller of this kind (dwc3): works" in kind.out
    own = partial(choose_profile, own=tmp_path)
    monkeypatch.setattr("gadgetip.cli.arguments.choose_profile", own)
    assert " on b (dummy_hcd): works" in gadgetip(*arguments).out
    assert " on a (dummy_hcd): works" in gadgetip(*arguments, "--udc", "a").out
    gone = profile(tmp_path, '[gadget]\nudc = "c"\n')
    assert "there is no controller c" in gadgetip(*arguments, "--profile", gone).err


def test_the_file_in_sysfs_has_no_length(gadgetip: Command, tmp_path: Path) -> None:
    """Sysfs says 4096 bytes, or 0, of files that have some: what is read counts."""
    source = tmp_path / "descriptors"
    shutil.copy(saved(HS_STICK, tmp_path), source)
    assert gadgetip("plan", "--descriptors", str(source), "--udc-model", "dwc3").status == 0
