import asyncio
from pathlib import Path

import pytest

from gadgetip.server import usbip_host
from gadgetip.server.local_device import LocalDevice
from gadgetip.server.stub import DeviceFaultError
from gadgetip.server.taken import Custody, load_taken
from tests.unit.server.scripted import ScriptedStub, device


class Userspace(ScriptedStub):
    """Refuses what the kernel's stub has, as ours does."""

    name = "userspace"

    async def take(self, device: LocalDevice) -> None:
        if device.driver == "usbip-host":
            raise DeviceFaultError("it is with usbip-host")
        await super().take(device)


@pytest.fixture
def returned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was returned from the kernel's stub."""
    busids: list[str] = []
    monkeypatch.setattr(usbip_host, "give_back", busids.append)
    return busids


def test_from_the_kernels_stub_to_ours_and_back(tmp_path: Path, returned: list[str]) -> None:
    stub = Userspace()
    custody = Custody(stub, tmp_path / "taken.json")
    bound = device(driver="usbip-host")
    asyncio.run(custody.take(bound))
    assert returned == ["1-1"]
    assert stub.taken == {"1-1"}
    assert [taken.stub for taken in load_taken(tmp_path / "taken.json")] == ["userspace"]
    asyncio.run(custody.give_back(device(driver="usb")))
    assert stub.taken == set()
    assert load_taken(tmp_path / "taken.json") == ()


def test_what_the_kernels_stub_still_has_goes_back_from_there(
    tmp_path: Path, returned: list[str]
) -> None:
    stub = Userspace()
    asyncio.run(Custody(stub, tmp_path / "taken.json").give_back(device(driver="usbip-host")))
    assert returned == ["1-1"]
    assert stub.calls == []


def test_it_is_remembered_before_it_is_taken(tmp_path: Path) -> None:
    stub = ScriptedStub()
    stub.failures["take 1-1"] = [DeviceFaultError("it hangs")]
    custody = Custody(stub, tmp_path / "taken.json")
    with pytest.raises(DeviceFaultError):
        asyncio.run(custody.take(device()))
    assert [taken.busid for taken in load_taken(tmp_path / "taken.json")] == ["1-1"]
    custody.forget_the_unplugged({"1-1": device(devnum=9)})
    assert load_taken(tmp_path / "taken.json") == ()


def test_a_full_disk_loses_only_the_memory(tmp_path: Path) -> None:
    custody = Custody(ScriptedStub(), tmp_path / "missing" / "taken.json")
    asyncio.run(custody.take(device()))
    assert custody.busids == {"1-1"}
