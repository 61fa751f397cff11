"""Which controller an attachment takes, and when: the decisions alone, nothing is built."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from gadgetip.attachment import gadget_sink, udc_lock
from gadgetip.attachment.listener import Listener
from gadgetip.attachment.udc_lock import UdcLock
from gadgetip.errors import PrerequisiteError
from gadgetip.gadget import Udc
from gadgetip.gadget.udc_models import DUMMY_HCD
from gadgetip.link import HostAddress
from gadgetip.matching import DeviceFacts, DeviceSelector, Wanted
from gadgetip.profiles import GENERIC, GadgetWishes, Profile
from gadgetip.remote import FoundDevice, ImportedDevice
from gadgetip.usb import DeviceTree, Speed
from gadgetip.wire import ClientConnection
from tests.unit.gadget.devices import HS_STICK
from tests.unit.pump.stub import tcp_pair
from tests.unit.remote.examples import record

Attach = Callable[[str | None, Profile], list[str]]


class PlannedError(Exception):
    """The plan was asked for; there is no need to go on."""


@pytest.fixture
def attach(monkeypatch: pytest.MonkeyPatch) -> Attach:
    """Attaches a stick where "a" is the free controller and "b" another; tells what happened."""
    said: list[str] = []
    udcs = {name: Udc(name, "", Speed.UNKNOWN, Speed.HIGH, None, DUMMY_HCD) for name in "abc"}
    udcs["c"] = replace(udcs["c"], owner="gadget other")

    class Lock:
        def __init__(self, name: str) -> None:
            self._name = name

        def __enter__(self) -> "Lock":
            said.append(f"lock {self._name}")
            return self

        def __exit__(self, *_: object) -> None:
            said.append(f"unlock {self._name}")

    def plan_for(tree: DeviceTree, udc: Udc, profile: Profile) -> None:
        said.append(f"plan {udc.name}")
        raise PlannedError

    def search(address: HostAddress, selector: Wanted) -> FoundDevice:
        said.append("search")
        stream, other = tcp_pair()
        other.close()
        imported = ImportedDevice(address, record("1-2", HS_STICK), stream, ClientConnection())
        return FoundDevice(imported, HS_STICK)

    monkeypatch.setattr(gadget_sink, "STOP_SIGNALS", ())
    monkeypatch.setattr(gadget_sink, "BACKENDS", {})
    monkeypatch.setattr(gadget_sink, "_require_a_backend", lambda: None)
    monkeypatch.setattr(gadget_sink, "choose_udc", lambda name: udcs[name or "a"])
    monkeypatch.setattr(gadget_sink, "UdcLock", Lock)
    monkeypatch.setattr(gadget_sink, "plan_for", plan_for)

    def run(udc: str | None, profile: Profile) -> list[str]:
        def profile_for(facts: DeviceFacts) -> Profile:
            assert (facts.busid, facts.id, facts.serial) == ("1-2", "0781:5581", "4C530001")
            return profile

        host, selector = HostAddress("nas"), DeviceSelector.parse("1-2")
        with pytest.raises((PlannedError, PrerequisiteError)):
            gadget_sink.attach_to_gadget(host, selector, udc, profile_for, Listener(), search)
        return said

    return run


def wishing(udc: str) -> Profile:
    return Profile("x", gadget=GadgetWishes(udc=udc))


def test_the_controller_is_ours_while_the_device_is_searched(attach: Attach) -> None:
    assert attach(None, GENERIC) == ["lock a", "search", "plan a", "unlock a"]


def test_the_one_that_the_profile_names(attach: Attach) -> None:
    assert attach(None, wishing("b")) == [
        *("lock a", "search", "unlock a"),
        *("lock b", "plan b", "unlock b"),
    ]


def test_the_command_line_goes_first(attach: Attach) -> None:
    assert attach("a", wishing("b")) == ["lock a", "search", "plan a", "unlock a"]


def test_it_is_ours_already(attach: Attach) -> None:
    assert attach(None, wishing("a")) == ["lock a", "search", "plan a", "unlock a"]


def test_one_that_somebody_else_has(attach: Attach) -> None:
    assert attach(None, wishing("c")) == ["lock a", "search", "unlock a", "lock c", "unlock c"]


def test_leftovers_are_removed_under_the_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(udc_lock, "LOCK_DIRECTORY", tmp_path)
    monkeypatch.setattr(udc_lock, "LOCK_LIMIT_S", 0.02)
    said: list[str] = []

    class Debris:
        def __init__(self, udc: str) -> None:
            self._udc = udc

        def clean(self) -> None:
            with pytest.raises(PrerequisiteError):
                UdcLock(self._udc).__enter__()
            said.append(self._udc)

    monkeypatch.setattr(gadget_sink, "BACKENDS", {"one": Debris, "other": Debris})
    gadget_sink.remove_leftovers("u1")
    assert said == ["u1", "u1"]
    with UdcLock("u1"), pytest.raises(PrerequisiteError, match="by another gadgetip"):
        gadget_sink.remove_leftovers("u1")
    assert said == ["u1", "u1"], "what somebody has is not touched"
