"""Devices and servers that mean harm: an attachment ends with one line and leaves nothing.

What can be read only in time limits is in tests/unit; of these there are two here, for the rest
of an attachment has limits of its own.
"""

import json
import os
import re
import signal
import subprocess

import pytest

from tests.emulated.endpoints import InQueue
from tests.emulated.hostile import HOSTILE, Hostile
from tests.emulated.server import EmulatedServer
from tests.system import host
from tests.system.attachment import GADGETIP, PUMP_OPTIONS, gadgetip, leftovers

UDC = "dummy_udc.1"
LIMIT_S = 60.0
SLOW = {"answers-nothing", "half-header", "data-half-header"}
SOME = {
    *("endpoint-zero", "packet-size-zero", "total-length-with-data", "wrong-seqnum"),
    *("flood-after-import", "garbage-after-import", "configuration-value-zero", "no-interfaces"),
    *("total-length-4096", "data-wrong-seqnum", "data-duplicate-ret-submit", "data-too-long"),
    *("data-flood", "data-crash", "data-eshutdown"),
}
"""One of each kind; `make hostile` tries all."""

NAMES = [
    name
    for name, hostile in HOSTILE.items()
    if name in SOME
    or (os.environ.get("GADGETIP_HOSTILE") == "all" and (not hostile.slow or name in SLOW))
]
READ_IN_VAIN = [name for name in NAMES if not HOSTILE[name].may_attach]
ATTACHED = [name for name in NAMES if HOSTILE[name].may_attach]


def one_line(errors: str) -> str:
    """What was said beside notes, which must be one line and no confession of a bug."""
    lines = [line for line in errors.splitlines() if not line.startswith("note: ")]
    assert len(lines) == 1, errors
    assert lines[0].startswith("gadgetip: "), errors
    assert "this is a bug" not in lines[0]
    return lines[0]


def expected(hostile: Hostile) -> frozenset[int]:
    """The exit statuses with which an attachment may end that never came to life."""
    return hostile.attach_status or frozenset({hostile.status})


@pytest.mark.parametrize("name", READ_IN_VAIN)
def test_it_is_refused(name: str) -> None:
    hostile = HOSTILE[name]
    with EmulatedServer(hostile.make(), session=hostile.session) as server:
        arguments = (server.host, hostile.selector, "--udc", UDC, *PUMP_OPTIONS)
        ended = gadgetip("attach", *arguments, limit_s=LIMIT_S)
    line = one_line(ended.stderr)
    assert ended.returncode in expected(hostile), line
    if hostile.says is not None:
        assert re.search(hostile.says, line), line
    assert leftovers(UDC) == []


@pytest.mark.parametrize("name", ATTACHED)
def test_it_harms_nobody_when_it_is_attached(name: str) -> None:
    """It may be refused, or end when data flows, or work: never more than one line."""
    hostile = HOSTILE[name]
    device = hostile.make()
    options = ("--udc", UDC, *PUMP_OPTIONS)
    with EmulatedServer(device, session=hostile.session) as server:
        process = subprocess.Popen(
            [*GADGETIP, "--json", "attach", server.host, hostile.selector, *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert process.stdout is not None
            first = json.loads(process.stdout.readline())
            if first["event"] == "bound":
                provoke(server, hostile)
                if hostile.data_says is None:
                    process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=LIMIT_S)
        finally:
            process.kill()
            process.wait()
    if process.returncode:
        one_line(errors)
        assert process.returncode in {1, 3, 4, 5}
    else:
        assert hostile.data_says is None
    host.wait_for_unplug(UDC)
    assert leftovers(UDC) == []
    host.wait_until_nothing_hangs()


def provoke(server: EmulatedServer, hostile: Hostile) -> None:
    """Let the device say something on its bulk IN endpoint, for which a URB waits already."""
    if hostile.data_says is None:
        return
    host.wait_for_device(UDC)
    (device,) = server.devices.values()
    endpoint = device.endpoints[0x81]
    assert isinstance(endpoint, InQueue)
    server.call(endpoint.push, b"data" * 16)
