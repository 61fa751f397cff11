import errno
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gadgetip.errors import ExitStatus, GadgetipError, PrerequisiteError
from gadgetip.usb import Speed
from gadgetip.vhci import (
    PortStatus,
    VhciPort,
    attach_stream,
    detach_port,
    list_ports,
    parse_status,
    port_now,
    port_numbered,
    ports,
    require_vhci,
    wait_until_free,
)

STATUS = """\
hub port sta spd dev      sockfd local_busid
hs  0000 006 003 00010007 000003 1-1
hs  0001 004 000 00000000 000000 0-0
hs  0010 007 000 00000000 000000 0-0
ss  0008 006 005 ffffffff 000012 2-1.4
ss  0009 004 000 00000000 000000 0-0
"""
MORE = """\
hub port sta spd dev      sockfd local_busid
hs  0016 004 000 00000000 000000 0-0
"""


def test_a_status_file() -> None:
    assert parse_status(STATUS) == [
        VhciPort(0, False, PortStatus.USED, Speed.HIGH, 0x10007, "1-1"),
        VhciPort(1, False, PortStatus.FREE, Speed.UNKNOWN, 0, "0-0"),
        VhciPort(10, False, PortStatus.ERROR, Speed.UNKNOWN, 0, "0-0"),
        VhciPort(8, True, PortStatus.USED, Speed.SUPER, 0xFFFFFFFF, "2-1.4"),
        VhciPort(9, True, PortStatus.FREE, Speed.UNKNOWN, 0, "0-0"),
    ]


@pytest.mark.parametrize(
    "row",
    [
        "",
        "hs",
        "hs  0000 006 003 00010007 000003",
        "xs  0000 006 003 00010007 000003 1-1",
        "hs  zero 006 003 00010007 000003 1-1",
        "hs  0000 099 003 00010007 000003 1-1",
        "hs  0000 006 099 00010007 000003 1-1",
        "hs  0000 006 003 nohexnum 000003 1-1",
        "hs  0000 006 003 00010007 000003 1-1 more",
    ],
)
def test_a_row_that_is_none_is_left_out(row: str) -> None:
    assert len(parse_status(f"{row}\n{MORE}")) == 1


@settings(deadline=None)
@given(st.text())
def test_any_text_does_no_harm(text: str) -> None:
    assert all(isinstance(port, VhciPort) for port in parse_status(text))


@pytest.fixture
def controller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(ports, "CONTROLLER", tmp_path)
    (tmp_path / "status").write_text(STATUS)
    (tmp_path / "status.1").write_text(MORE)
    (tmp_path / "attach").write_text("")
    return tmp_path


@pytest.fixture
def stream() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def test_all_controllers_answer(controller: Path) -> None:
    for n in range(2, 11):
        (controller / f"status.{n}").write_text(MORE.replace("0016", f"{n * 16:04}"))
    (controller / "status.old").write_text(MORE)
    everything = list_ports()
    assert [p.number for p in everything] == [0, 1, 10, 8, 9, 16, *range(32, 161, 16)]
    assert [p.controller for p in everything] == [0, 0, 0, 0, 0, *range(1, 11)]
    assert port_numbered(32) == everything[6]
    assert port_numbered(33) is None
    assert port_now(everything[6]) == everything[6]
    (controller / "status.2").unlink()
    assert port_now(everything[6]) is None


@pytest.mark.parametrize(
    ("speed", "port"), [(Speed.FULL, 1), (Speed.HIGH, 1), (Speed.SUPER, 9), (Speed.SUPER_PLUS, 9)]
)
def test_a_stream_goes_to_the_first_free_port_of_its_kind(
    controller: Path, stream: socket.socket, speed: Speed, port: int
) -> None:
    taken = attach_stream(stream, 0x20003, speed)
    assert taken.number == port
    expected = f"{port} {stream.fileno()} {0x20003} {int(speed)}"
    assert (controller / "attach").read_text() == expected


def test_no_port_is_free(controller: Path, stream: socket.socket) -> None:
    (controller / "status").write_text(STATUS.replace("ss  0009 004", "ss  0009 006"))
    text = r"all 2 SuperSpeed ports .* taken \(2 controllers\): .*HC_PORTS up to 15"
    with pytest.raises(GadgetipError, match=text):
        attach_stream(stream, 1, Speed.SUPER)


class Races:
    """The `attach` file of a kernel that gives ports away to somebody faster."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refusals: int) -> None:
        self.asked: list[int] = []
        self._refusals = refusals
        monkeypatch.setattr(Path, "write_text", self.write_text)

    def write_text(self, text: str) -> int:
        self.asked.append(int(text.split(maxsplit=1)[0]))
        if len(self.asked) <= self._refusals:
            raise OSError(errno.EBUSY, "Device or resource busy")
        return len(text)


@pytest.mark.parametrize(("refusals", "asked"), [(0, [1]), (1, [1, 16]), (3, [1, 16, 1, 16])])
def test_somebody_else_was_faster(
    controller: Path,
    stream: socket.socket,
    monkeypatch: pytest.MonkeyPatch,
    refusals: int,
    asked: list[int],
) -> None:
    del controller
    races = Races(monkeypatch, refusals)
    assert attach_stream(stream, 1, Speed.HIGH).number == asked[-1]
    assert races.asked == asked


def test_somebody_else_is_always_faster(
    controller: Path, stream: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    del controller
    races = Races(monkeypatch, 1000)
    with pytest.raises(GadgetipError, match="ports of vhci_hcd are taken"):
        attach_stream(stream, 1, Speed.HIGH)
    assert len(races.asked) == 2 * ports.ATTACH_ROUNDS


def test_detaching(controller: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (controller / "detach").write_text("")
    assert not detach_port(1)
    assert (controller / "detach").read_text() == ""
    monkeypatch.setattr(ports, "wait_until_free", lambda number: None)
    assert detach_port(8)
    assert (controller / "detach").read_text() == "8"
    with pytest.raises(GadgetipError, match="no port 99: it has 6"):
        detach_port(99)


def test_a_port_that_is_not_let_go(controller: Path) -> None:
    wait_until_free(1)
    wait_until_free(99)
    with pytest.raises(GadgetipError, match="port 0 is not free"):
        wait_until_free(0, 0.05)
    (controller / "status").unlink()
    (controller / "status.1").unlink()
    with pytest.raises(GadgetipError, match="not loaded"):
        detach_port(0)


def test_what_the_kernel_refuses(controller: Path, stream: socket.socket) -> None:
    (controller / "attach").unlink()
    (controller / "attach").symlink_to("/dev/full")
    with pytest.raises(GadgetipError, match="vhci_hcd refused the device: No space left"):
        attach_stream(stream, 1, Speed.HIGH)


def test_the_module_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "CONTROLLER", tmp_path / "vhci_hcd.0")
    asked: list[list[str]] = []
    monkeypatch.setattr(
        "gadgetip.vhci.ports.subprocess.run", lambda command, **_: asked.append(command)
    )
    with pytest.raises(PrerequisiteError, match="modprobe vhci-hcd") as error:
        require_vhci()
    assert error.value.exit_status is ExitStatus.PREREQUISITE
    assert asked == [["modprobe", "-q", "vhci-hcd"]]
    (tmp_path / "vhci_hcd.0").mkdir()
    require_vhci()
    assert len(asked) == 1
