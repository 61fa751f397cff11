"""`gadgetip serve` with the kernel's stub, and stock `usbip` as its client."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gadgetip.server import usbip_host
from gadgetip.wire import OpStatus, ReqDevlist, ReqImport, build
from tests.system import host
from tests.system.serving import PORT, Serve
from tests.system.stick import Stick, sha256
from tests.system.waiting import wait_for

UDC = "dummy_udc.2"
DEAD_CLIENT_S = 20.0
SLOWNESS = float(os.environ.get("GADGETIP_SLOWNESS", "20"))
"""How much slower than a machine the bench may be: it emulates every instruction, beside others."""
RULE = '[[export]]\nname = "stick"\npublish_as = "stick"\nmatch = {id = "0781:5581"}\n'


@pytest.fixture(scope="module")
def plugged(kernel_modules: None) -> Iterator[Stick]:
    """A stick that belongs to this machine's drivers, and is not exported."""
    with Stick(UDC, size_mib=8) as stick:
        stick.fill()
        yield stick


@pytest.fixture(scope="module")
def serve(plugged: Stick) -> Iterator[Serve]:
    """One for all tests, because a start takes long here; the last one ends it."""
    with Serve("--listen", "0.0.0.0", policy=RULE) as running:
        running.wait_for("exported", published_as="stick")
        yield running


def usbip(*arguments: str) -> str:
    """The stock tool, with our port."""
    done = subprocess.run(
        ["usbip", "--tcp-port", str(PORT), *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def attached_device() -> Path:
    """What stock vhci has configured."""

    def found() -> Path | None:
        path = host.device_behind("vhci_hcd.0")
        try:
            return path if path and (path / "bConfigurationValue").read_text().strip() else None
        except OSError:
            return None

    return wait_for(found, "a configured device on vhci", 60)


def detach_all() -> None:
    for port in range(2):
        subprocess.run(["usbip", "detach", "-p", str(port)], check=False, capture_output=True)
    wait_for(lambda: host.device_behind("vhci_hcd.0") is None, "an empty vhci", 30)


@contextlib.contextmanager
def attached(name: str = "stick") -> Iterator[Path]:
    """Attached by the stock client, once it is free again; gives the disk."""
    wait_for(lambda: name.encode() in ask(build(ReqDevlist())), f"{name} in the list", 20)
    usbip("attach", "-r", "127.0.0.1", "-b", name)
    try:
        device = attached_device()
        yield wait_for(lambda: host.disk_of(device), "its disk", 60)
    finally:
        detach_all()


def ask(request: bytes, limit_s: float = 10.0, port: int = PORT) -> bytes:
    """Send a request, read to the end."""
    with socket.create_connection(("127.0.0.1", port), limit_s) as stream:
        stream.sendall(request)
        answer = b""
        while data := stream.recv(65536):
            answer += data
            if len(answer) == 320 and answer[:4] == b"\x01\x11\x00\x03":
                return answer
        return answer


def test_the_stock_client_lists_attaches_reads_and_does_so_again(
    serve: Serve, plugged: Stick
) -> None:
    assert "0781:5581" in usbip("list", "-r", "127.0.0.1")
    for _ in range(2):
        mark = serve.mark()
        with attached() as disk:
            assert sha256(disk) == plugged.checksum()
            assert "0781:5581" not in usbip("list", "-r", "127.0.0.1")
            assert ask(build(ReqImport("stick")))[4:8] == bytes((0, 0, 0, OpStatus.DEV_BUSY))
        serve.wait_for("session ended", after=mark, reason="the client is gone")


def test_sighup_and_what_is_wrong_in_it(serve: Serve, plugged: Stick) -> None:
    serve.policy.write_text("schema = ")
    mark = serve.mark()
    serve.signal(signal.SIGHUP)
    _, event = serve.wait_for("error", after=mark)
    assert "nothing is changed" in event["text"]
    assert "0781:5581" in usbip("list", "-r", "127.0.0.1")
    with attached():
        serve.write_policy("")
        mark = serve.mark()
        serve.signal(signal.SIGHUP)
        serve.wait_for("withdrawn", after=mark, published_as="stick")
        serve.wait_for("session ended", after=mark, reason="ended here")
        wait_for(lambda: usbip_host.driver_of(plugged.busid) == "usb", "its own driver")
    assert ask(build(ReqImport("stick")))[4:8] == bytes((0, 0, 0, OpStatus.NODEV))
    serve.write_policy(RULE)
    mark = serve.mark()
    serve.signal(signal.SIGHUP)
    serve.wait_for("exported", after=mark, published_as="stick")


def test_a_second_serve_is_refused(serve: Serve) -> None:
    with pytest.raises(AssertionError, match="another gadgetip serve runs"):
        Serve(port=PORT + 1).start()


def test_a_device_that_comes_back_is_exported_within_half_a_second(
    serve: Serve, plugged: Stick
) -> None:
    mark = serve.mark()
    plugged.unplug()
    serve.wait_for("withdrawn", after=mark, reason="unplugged")
    began = time.monotonic()
    (plugged.directory / "UDC").write_text(UDC)
    appeared = wait_for(lambda: plugged.sysfs.exists() and time.monotonic(), "the device")
    at, _ = serve.wait_for("exported", after=mark, published_as="stick")
    print(f"\nplugged to exported: {at - began:.2f} s, of these {at - appeared:.2f} s are ours")
    assert at - appeared < 0.5 * SLOWNESS
    assert "stick" in usbip("list", "-r", "127.0.0.1")


@contextlib.contextmanager
def client_elsewhere() -> Iterator[list[str]]:
    """A network namespace as the client's machine; gives the command that runs things there."""
    commands = (
        "ip netns add client",
        "ip link add server0 type veth peer name client0",
        "ip link set client0 netns client",
        "ip addr add 10.9.0.1/24 dev server0",
        "ip link set server0 up",
        "ip netns exec client ip addr add 10.9.0.2/24 dev client0",
        "ip netns exec client ip link set client0 up",
    )
    for command in commands:
        subprocess.run(command.split(), check=True)
    try:
        yield ["ip", "netns", "exec", "client"]
    finally:
        subprocess.run(["ip", "link", "del", "server0"], check=False)
        subprocess.run(["ip", "netns", "del", "client"], check=False)


@pytest.mark.parametrize("traffic", ["idle", "mid-transfer"])
def test_a_dead_client_is_noticed(serve: Serve, plugged: Stick, traffic: str) -> None:
    assert "neither encrypted" in serve.wait_for("note", after=0)[1]["text"]
    with client_elsewhere() as there:
        command = ["usbip", "--tcp-port", str(PORT), "attach", "-r", "10.9.0.1", "-b", "stick"]
        subprocess.run([*there, *command], check=True, timeout=60)
        try:
            disk = wait_for(lambda: host.disk_of(attached_device()), "its disk", 60)
            reader = None
            if traffic == "mid-transfer":
                reader = subprocess.Popen(
                    [
                        "sh",
                        "-c",
                        f"while dd if={disk} of=/dev/null iflag=direct bs=64k; do :; done",
                    ],
                    stderr=subprocess.DEVNULL,
                )
                time.sleep(3)
            mark = serve.mark()
            for where, interface in (([], "server0"), (there, "client0")):
                # Not `ip link set down`: a packet that cannot leave is no lost packet to TCP.
                lose = f"tc qdisc add dev {interface} root netem loss 100%"
                subprocess.run([*where, *lose.split()], check=True)
            began = time.monotonic()
            at, _ = serve.wait_for("session ended", after=mark, limit_s=DEAD_CLIENT_S + 5)
            print(f"\n{traffic}: free after {at - began:.1f} s")
            assert at - began < DEAD_CLIENT_S
            assert usbip_host.status(plugged.busid) == usbip_host.AVAILABLE
            if reader is not None:
                reader.kill()
                reader.wait(30)
        finally:
            detach_all()


def test_status_3_is_recovered(serve: Serve, plugged: Stick) -> None:
    """A CMD_SUBMIT with a negative length: the stub can allocate nothing, and gives up."""
    mark = serve.mark()
    with socket.create_connection(("127.0.0.1", PORT), 10) as stream:
        stream.sendall(build(ReqImport("stick")))
        reply = b""
        while len(reply) < 320:
            reply += stream.recv(320 - len(reply))
        devid = reply[8 + 256 + 32 :][:8]
        busnum, devnum = devid[3], devid[7]
        header = (1, 1, busnum << 16 | devnum, 1, 0, 0, 0xFFFFFFF0, 0, 0, 0)
        stream.sendall(b"".join(n.to_bytes(4) for n in header) + bytes.fromhex("8006000100001200"))
        stream.settimeout(30)
        with contextlib.suppress(OSError):
            assert stream.recv(100) == b""
    serve.wait_for("session ended", after=mark, reason="the stub is in its error state")
    assert usbip_host.status(plugged.busid) == usbip_host.AVAILABLE
    with attached() as disk:
        assert sha256(disk, 1 << 20) == plugged.checksum(1 << 20)


def test_200_connections_at_once_disturb_nobody(serve: Serve, plugged: Stick) -> None:
    with attached() as disk:
        streams = []
        try:
            for _ in range(200):
                stream = socket.socket()
                stream.setblocking(False)
                stream.connect_ex(("127.0.0.1", PORT))
                streams.append(stream)
            assert sha256(disk, 1 << 20) == plugged.checksum(1 << 20)
        finally:
            for stream in streams:
                stream.close()
        wait_for(lambda: len(ask(build(ReqDevlist()))) == 12, "an answer", 20)
        assert sha256(disk, 1 << 20) == plugged.checksum(1 << 20)


def test_the_end_and_kill_9_of_which_the_next_one_heals_everything(
    serve: Serve, plugged: Stick
) -> None:
    with attached() as disk:
        serve.kill()
        assert sha256(disk, 1 << 20) == plugged.checksum(1 << 20)  # it outlives serve
        serve.start()
        serve.wait_for("import", published_as="stick", client=None)
        assert ask(build(ReqImport("stick")))[4:8] == bytes((0, 0, 0, OpStatus.DEV_BUSY))
    serve.wait_for("session ended")
    assert "stick" in usbip("list", "-r", "127.0.0.1")
    # Killed once more, and the policy is another when it comes back.
    serve.kill()
    assert usbip_host.driver_of(plugged.busid) == usbip_host.NAME
    serve.write_policy("")
    serve.start()
    wait_for(lambda: usbip_host.driver_of(plugged.busid) == "usb", "its own driver", 60)
    # And an orderly end.
    serve.write_policy(RULE)
    serve.signal(signal.SIGHUP)
    serve.wait_for("exported", published_as="stick")
    assert serve.stop() == 0
    wait_for(lambda: usbip_host.driver_of(plugged.busid) == "usb", "its own driver")
    wait_for(lambda: host.disk_of(plugged.sysfs), "its own disk")
    assert plugged.busid not in usbip_host.known_busids()
