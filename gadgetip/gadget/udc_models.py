"""What each kind of USB device controller can do, as data for the plan.

The order of the endpoints is the order in which the driver registers them, which is the order in
which the kernel hands them out (drivers/usb/gadget/epautoconf.c). Sources, in Linux 6.12:
dummy_hcd.c:135-221, usbip/vudc_dev.c:513-563, dwc2/gadget.c:4818-4862, musb_core.c:1311-1340.
dwc2 and musb are from the source alone: no board was at hand to try them.
"""

from dataclasses import dataclass

from gadgetip.usb import Direction, Speed, TransferType

_BULK = frozenset({TransferType.BULK})
_INTERRUPT = frozenset({TransferType.INTERRUPT})
_BULK_OR_INTERRUPT = _BULK | _INTERRUPT
_ANY = _BULK_OR_INTERRUPT | {TransferType.ISOCHRONOUS}


@dataclass(frozen=True, slots=True)
class UdcEndpoint:
    """One endpoint of a controller.

    `number` is None where the driver's name has none, and the kernel counts instead.
    """

    name: str
    number: int | None
    directions: frozenset[Direction]
    types: frozenset[TransferType]
    max_packet: int


@dataclass(frozen=True, slots=True)
class UdcModel:
    """A kind of controller.

    `drivers` are the kernel driver names by which a live one is recognised. `caps_below_high`
    says whether `max_speed` may be set below high speed.
    """

    name: str
    drivers: tuple[str, ...]
    max_speed: Speed
    endpoints: tuple[UdcEndpoint, ...]
    caps_below_high: bool = True
    max_packet0: int = 64


def _endpoint(
    name: str,
    types: frozenset[TransferType],
    max_packet: int,
    direction: Direction | None = None,
) -> UdcEndpoint:
    if direction is None:
        directions = frozenset({Direction.IN, Direction.OUT})
    else:
        directions = frozenset({direction})
    digits = "".join(c for c in name[2:4] if c.isdigit()) if name[2].isdigit() else ""
    return UdcEndpoint(name, int(digits) if digits else None, directions, types, max_packet)


def _in(name: str, types: frozenset[TransferType], max_packet: int) -> UdcEndpoint:
    return _endpoint(name, types, max_packet, Direction.IN)


def _out(name: str, types: frozenset[TransferType], max_packet: int) -> UdcEndpoint:
    return _endpoint(name, types, max_packet, Direction.OUT)


def _pairs(
    numbers: range, types: frozenset[TransferType], max_packet: int, *, out_first: bool = False
) -> tuple[UdcEndpoint, ...]:
    made: list[UdcEndpoint] = []
    for number in numbers:
        pair = [_in(f"ep{number}in", types, max_packet), _out(f"ep{number}out", types, max_packet)]
        made.extend(reversed(pair) if out_first else pair)
    return tuple(made)


_DUMMY_LIMIT = 0xFFFF

DUMMY_HCD = UdcModel(
    name="dummy_hcd",
    drivers=("dummy_udc",),
    max_speed=Speed.HIGH,
    endpoints=(
        _in("ep1in-bulk", _BULK, _DUMMY_LIMIT),
        _out("ep2out-bulk", _BULK, _DUMMY_LIMIT),
        _in("ep5in-int", _INTERRUPT, _DUMMY_LIMIT),
        _in("ep6in-bulk", _BULK, _DUMMY_LIMIT),
        _out("ep7out-bulk", _BULK, _DUMMY_LIMIT),
        _in("ep10in-int", _INTERRUPT, _DUMMY_LIMIT),
        _in("ep11in-bulk", _BULK, _DUMMY_LIMIT),
        _out("ep12out-bulk", _BULK, _DUMMY_LIMIT),
        _in("ep15in-int", _INTERRUPT, _DUMMY_LIMIT),
        _out("ep1out-bulk", _BULK, _DUMMY_LIMIT),
        _in("ep2in-bulk", _BULK, _DUMMY_LIMIT),
        *(
            (_out if name.endswith("out") else _in)(name, _BULK_OR_INTERRUPT, _DUMMY_LIMIT)
            for name in (
                *("ep-aout", "ep-bin", "ep-cout", "ep-dout", "ep-ein", "ep-fout", "ep-gin"),
                *("ep-hout", "ep-iout", "ep-jin", "ep-kout", "ep-lin", "ep-mout"),
            )
        ),
    ),
)

USBIP_VUDC = UdcModel(
    name="usbip-vudc",
    drivers=("usbip-vudc",),
    max_speed=Speed.HIGH,
    endpoints=_pairs(range(1, 16), _ANY, 0xFFFF, out_first=True),
)

DWC2_BCM2835 = UdcModel(
    name="dwc2-bcm2835",
    drivers=("dwc2",),
    max_speed=Speed.HIGH,
    endpoints=_pairs(range(1, 8), _ANY, 1024),
)

MUSB_AM335X = UdcModel(
    name="musb-am335x",
    drivers=("musb-hdrc", "musb-dsps"),
    max_speed=Speed.HIGH,
    caps_below_high=False,
    endpoints=(
        *_pairs(range(1, 10), _ANY, 512),
        *(
            endpoint
            for number in range(10, 13)
            for endpoint in (_in(f"ep{number}in", _ANY, 256), _out(f"ep{number}out", _ANY, 64))
        ),
        _endpoint("ep13", _ANY, 4096),
        _endpoint("ep14", _ANY, 1024),
        _endpoint("ep15", _ANY, 1024),
    ),
)

UNKNOWN_UDC = UdcModel(
    name="unknown",
    drivers=(),
    max_speed=Speed.HIGH,
    endpoints=_pairs(range(1, 16), _ANY, 1024),
)
"""What is assumed of a controller that is not in the table: the commonest layout."""

UDC_MODELS: tuple[UdcModel, ...] = (DUMMY_HCD, USBIP_VUDC, DWC2_BCM2835, MUSB_AM335X)


def model_of_driver(driver: str) -> UdcModel:
    """The model whose kernel driver has this name, or `UNKNOWN_UDC`."""
    for model in UDC_MODELS:
        if driver in model.drivers:
            return model
    return UNKNOWN_UDC
