"""Linux's own USB tests through a replica: every bulk and control case, a few iterations of each.

`make usbtest` runs them at testusb's own defaults, beside the device itself and stock vhci.
"""

from collections.abc import Iterator

import pytest

from tests.system import host, usbtest
from tests.system.devices import Gadget, catalogue
from tests.system.server import StockServer
from tests.system.usbtest import Case, Result

ITERATIONS = 6
LIMIT_S = 60.0

hung: list[Result] = []


@pytest.fixture(scope="module", autouse=True)
def driver(kernel_modules: None) -> None:
    """The host's half."""
    usbtest.load_driver()


@pytest.fixture(scope="module", params=[0, 1], ids=["zeroes", "pattern"])
def pattern(request: pytest.FixtureRequest, server: StockServer) -> Iterator[int]:
    """Gadget zero's replica at the host, which sends and expects this pattern."""
    value: int = request.param
    with (
        Gadget(catalogue.gadget_zero(pattern=value), usbtest.DEVICE_UDC) as gadget,
        usbtest.through_a_replica(gadget, server),
    ):
        yield value


@pytest.mark.parametrize("number", usbtest.PLAIN, ids=lambda n: f"{n}-{usbtest.CASES[n]}")
def test_case(pattern: int, number: int) -> None:
    if pattern and number not in usbtest.PATTERNED:
        pytest.skip("no data of this case is checked")
    assert not hung, f"an earlier case hangs: {hung}"
    device = usbtest.wait_for_usbtest(usbtest.REPLICA_UDC)
    before = len(host.kernel_log())
    result = usbtest.run_case(device, Case(number, ITERATIONS, pattern), LIMIT_S)
    if result.outcome == "hangs":
        hung.append(result)
    said = [line for line in host.kernel_log()[before:] if "usbtest" in line]
    assert result.passed, f"{result}: {said}"
