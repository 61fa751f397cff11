"""Sound cards and webcams, whose isochronous endpoints no virtual controller moves data on.

usbip-vudc claims to have such endpoints, so the kernel's functions can be built on it, and it is a
USB/IP server of its own: `usbipd --device`. What the plan says must be what the host sees.
"""

import re
import subprocess
from pathlib import Path

import pytest

from tests.system import host, lsusb
from tests.system.attachment import Attachment
from tests.system.devices import Description, Gadget, catalogue
from tests.system.reborn import REPLICA_UDC
from tests.system.server import StockServer
from tests.system.waiting import wait_for

VUDC, VUDC_PORT = "usbip-vudc.0", 3241
REFUSED = 5  # exit status


@pytest.mark.parametrize(
    "described",
    [
        pytest.param(catalogue.audio(1), id="audio-1"),
        pytest.param(catalogue.audio(2), id="audio-2"),
    ],
)
def test_isochronous_devices_are_told_about(described: Description) -> None:
    """No virtual controller moves isochronous data: dropped or refused, and said so beforehand."""
    with (
        Gadget(described, VUDC, visible=False),
        StockServer("--device", port=VUDC_PORT) as server,
    ):
        shown = through_stock_vhci(server)
        wait_for(vudc_is_free, "the vudc server to be free again")
        attachment = Attachment(f"127.0.0.1:{VUDC_PORT}", VUDC, udc=REPLICA_UDC)
        try:
            attachment.wait_until_bound()
        except AssertionError:
            assert attachment.wait() == REFUSED, attachment.errors
            assert len(attachment.errors.splitlines()) == 1, attachment.errors
            assert re.search("isochronous|descriptor|bytes", attachment.errors)
            return
        try:
            deviations = attachment.bound["deviations"]
            assert any("isochronous" in d["reason"] for d in deviations), deviations
            replica = lsusb.verbose(host.wait_for_device(REPLICA_UDC))
            lsusb.assert_as_announced(shown, replica, deviations)
        finally:
            attachment.stop()


def through_stock_vhci(server: StockServer) -> str:
    """What a device that has no host here looks like: `lsusb -v` by way of the stock tools."""
    attach = ["usbip", "--tcp-port", str(server.port), "attach", "-r", "127.0.0.1", "-d", VUDC]
    subprocess.run(attach, check=True, capture_output=True)
    try:
        return lsusb.verbose(host.wait_for_device(VUDC))
    finally:
        subprocess.run(["usbip", "detach", "-p", "0"], check=False, capture_output=True)
        host.wait_for_unplug(VUDC)


def vudc_is_free() -> bool:
    """Whether usbip-vudc takes a client (status 1)."""
    return Path("/sys/devices/platform/usbip-vudc.0/usbip_status").read_text().strip() == "1"
