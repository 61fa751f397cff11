"""What each kind of USB device controller can do, as data for the plan.

The order of the endpoints is the order in which the driver registers them, which is the order in
which the kernel hands them out (drivers/usb/gadget/epautoconf.c). Everything is read from Linux
6.12, and each model names the lines. Only dummy_hcd and usbip-vudc were also seen at work: no board
was at hand for the others.

Some drivers serve many chips. Which numbers are one chip's alone, and how that chip is recognised
in a device tree, is part of a model (`compatible`, `assumed`); `assumption` puts it into words.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from gadgetip.errors import UsageError
from gadgetip.usb import Direction, Speed, TransferType

_BULK = frozenset({TransferType.BULK})
_INTERRUPT = frozenset({TransferType.INTERRUPT})
_BULK_OR_INTERRUPT = _BULK | _INTERRUPT
_ANY = _BULK_OR_INTERRUPT | {TransferType.ISOCHRONOUS}
_UNLIMITED = 0xFFFF
_BYTES_PER_FIFO_WORD = 4


@dataclass(frozen=True, slots=True)
class UdcEndpoint:
    """One endpoint of a controller.

    `number` is None where the driver's name has none, and the kernel counts instead. `max_packet`
    is the driver's limit in bytes (maxpacket_limit).
    """

    name: str
    number: int | None
    directions: frozenset[Direction]
    types: frozenset[TransferType]
    max_packet: int

    def takes(self, transfer_type: TransferType) -> bool:
        """Whether it can be enabled for this; a bulk endpoint does for interrupt transfers too."""
        if transfer_type is TransferType.INTERRUPT:
            return bool(self.types & _BULK_OR_INTERRUPT)
        return transfer_type in self.types


@dataclass(frozen=True, slots=True)
class UdcModel:
    """A kind of controller.

    `drivers` are the kernel driver names by which a live one is recognised. `max_speed` is the
    kind's best; a live one may do less. `caps_below_high` says whether `max_speed` in configfs can
    keep it below high speed, `can_signal_wakeup` whether it can wake a host. `isochronous` says
    whether isochronous data really moves, whatever the endpoints claim. `exact_packet_sizes`: only
    the packet sizes of the specification are enabled. `zlp_doubtful`: the driver says of itself
    that it sends no zero-length packet.

    `matches_by_descriptor` says that a token of the host finds its endpoint by the descriptor with
    which it was enabled, so that any capable endpoint can have any number. Elsewhere the number is
    the hardware's.

    `isochronous_in_from_the_end`: the driver picks isochronous IN endpoints itself, the last first.
    `tx_fifos` are the sizes in bytes of the FIFOs of which each enabled IN endpoint takes one;
    empty where endpoints do not compete. `fifo_holds_microframe` says that `max_packet` of an
    endpoint bounds all packets of one microframe together, not each.

    `compatible` are the device-tree names of the chips that the numbers are known for, `assumed`
    what is assumed of others, in words. `is_otg`: a live one that can be a host as well.
    """

    name: str
    drivers: tuple[str, ...]
    max_speed: Speed
    endpoints: tuple[UdcEndpoint, ...]
    caps_below_high: bool = True
    max_packet0: int = 64
    can_signal_wakeup: bool = False
    isochronous: bool = True
    exact_packet_sizes: bool = False
    zlp_doubtful: bool = False
    matches_by_descriptor: bool = False
    isochronous_in_from_the_end: bool = False
    tx_fifos: tuple[int, ...] = ()
    fifo_holds_microframe: bool = False
    compatible: tuple[str, ...] = ()
    assumed: str = ""
    is_otg: bool = False

    def numbers(self, direction: Direction) -> list[int]:
        """The numbers of its endpoints in one direction, ascending."""
        return sorted(
            endpoint.number
            for endpoint in self.endpoints
            if endpoint.number is not None and direction in endpoint.directions
        )


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


def _pairs(numbers: range, max_packet: int, *, out_first: bool = False) -> tuple[UdcEndpoint, ...]:
    made: list[UdcEndpoint] = []
    for number in numbers:
        pair = [_in(f"ep{number}in", _ANY, max_packet), _out(f"ep{number}out", _ANY, max_packet)]
        made.extend(reversed(pair) if out_first else pair)
    return tuple(made)


# gadget/udc/dummy_hcd.c: endpoints 132-221 and 1069-1095, packet sizes 566-612, wakeup 882,
# speed 944, find_endpoint by bEndpointAddress 1606-1625, isochronous transfers fail 1983-1994.
DUMMY_HCD = UdcModel(
    name="dummy_hcd",
    drivers=("dummy_udc",),
    max_speed=Speed.HIGH,
    endpoints=(
        _in("ep1in-bulk", _BULK, _UNLIMITED),
        _out("ep2out-bulk", _BULK, _UNLIMITED),
        _in("ep5in-int", _INTERRUPT, _UNLIMITED),
        _in("ep6in-bulk", _BULK, _UNLIMITED),
        _out("ep7out-bulk", _BULK, _UNLIMITED),
        _in("ep10in-int", _INTERRUPT, _UNLIMITED),
        _in("ep11in-bulk", _BULK, _UNLIMITED),
        _out("ep12out-bulk", _BULK, _UNLIMITED),
        _in("ep15in-int", _INTERRUPT, _UNLIMITED),
        _out("ep1out-bulk", _BULK, _UNLIMITED),
        _in("ep2in-bulk", _BULK, _UNLIMITED),
        *(
            (_out if name.endswith("out") else _in)(name, _BULK_OR_INTERRUPT, _UNLIMITED)
            for name in (
                *("ep-aout", "ep-bin", "ep-cout", "ep-dout", "ep-ein", "ep-fout", "ep-gin"),
                *("ep-hout", "ep-iout", "ep-jin", "ep-kout", "ep-lin", "ep-mout"),
            )
        ),
    ),
    can_signal_wakeup=True,
    isochronous=False,
    exact_packet_sizes=True,
    matches_by_descriptor=True,
)

# usbip/vudc_dev.c: endpoints 513-563, speed 162-163 and 605, find_endpoint by bEndpointAddress
# 106-122, no wakeup 218-224; usbip/vudc_transfer.c:396-399: isochronous URBs end with EXDEV.
USBIP_VUDC = UdcModel(
    name="usbip-vudc",
    drivers=("usbip-vudc",),
    max_speed=Speed.HIGH,
    endpoints=_pairs(range(1, 16), _UNLIMITED, out_first=True),
    isochronous=False,
    matches_by_descriptor=True,
)

# dwc2/gadget.c: endpoints 4818-4862 and 5083-5090, number = hardware's 4040-4060, TX FIFOs
# 4158-4193, speed 4774-4794, no wakeup 4796-4805. How many endpoints a chip has, its registers say
# (GHWCFG1, GHWCFG2; 4898-4927): seven and endpoint 0 on this one. The FIFO sizes come from the
# device tree (params.c:590-602, 750-781): g-tx-fifo-size is 256 256 512 512 512 768 768 words in
# the kernel's bcm283x-rpi-usb-*.dtsi, 512 512 512 512 512 256 256 in Raspberry Pi OS's overlay
# "dwc2". Here is the smaller of the two, size by size, so that what fits here fits with either.
DWC2_BCM2835 = UdcModel(
    name="dwc2-bcm2835",
    drivers=("dwc2",),
    max_speed=Speed.HIGH,
    endpoints=_pairs(range(1, 8), 1024),
    tx_fifos=(1024, 1024, 2048, 2048, 2048, 2048, 2048),
    compatible=("brcm,bcm2835-usb",),
    assumed="the number of endpoints and the FIFO sizes are those of the BCM2835",
)

# musb/musb_core.c: FIFOs 1311-1339 and 1420-1441, chosen at 2387-2390; musb/musb_gadget.c:
# endpoints 1693-1760, number checked 941, FIFO against packets of a microframe 944-1020, refuses a
# low max_speed 1834, wakeup 1513, no zero-length packets 2075. High bandwidth is the silicon's to
# allow (musb_core.c:1615-1622), and the AM335x is taken to allow it.
MUSB_AM335X = UdcModel(
    name="musb-am335x",
    drivers=("musb-hdrc", "musb-dsps"),
    max_speed=Speed.HIGH,
    caps_below_high=False,
    endpoints=(
        *_pairs(range(1, 10), 512),
        *(
            endpoint
            for number in range(10, 13)
            for endpoint in (_in(f"ep{number}in", _ANY, 256), _out(f"ep{number}out", _ANY, 64))
        ),
        _endpoint("ep13", _ANY, 4096),
        _endpoint("ep14", _ANY, 1024),
        _endpoint("ep15", _ANY, 1024),
    ),
    can_signal_wakeup=True,
    zlp_doubtful=True,
    fifo_holds_microframe=True,
    compatible=("ti,musb-am33xx",),
    assumed="the endpoints and their FIFOs are those of the AM335x",
)

# dwc3/gadget.c: endpoints 3247-3323 and 3397-3452, speed 3119, wakeup 2380-2461, ops 3213; the
# number of a hardware endpoint is fixed; how many there are, GHWPARAMS3 says (dwc3/core.c:610-615).
# Each IN endpoint has a FIFO of its own, sized by the chip's maker or at run time (803-890). Six
# each way and 1024 bytes are a cautious guess; large chips have 15.
DWC3 = UdcModel(
    name="dwc3",
    drivers=("dwc3",),
    max_speed=Speed.SUPER,
    endpoints=_pairs(range(1, 7), 1024, out_first=True),
    can_signal_wakeup=True,
    assumed="six endpoints each way are assumed; many chips with this controller have more",
)

# chipidea/udc.c: endpoints 2012-2073, isochronous IN 1977-1993, wakeup 1902-1924, ops 2000-2010: no
# udc_set_speed, so max_speed is ignored and the host gets high speed. The number of a hardware
# endpoint is fixed (1485-1495). How many there are, DCCPARAMS says (core.c:239-244): eight with
# endpoint 0 on the i.MX family.
CHIPIDEA = UdcModel(
    name="chipidea",
    drivers=("ci_hdrc",),
    max_speed=Speed.HIGH,
    caps_below_high=False,
    endpoints=_pairs(range(1, 8), _UNLIMITED, out_first=True),
    can_signal_wakeup=True,
    isochronous_in_from_the_end=True,
    assumed="seven endpoints each way are assumed, as the i.MX family has them",
)

UNKNOWN_UDC = UdcModel(
    name="unknown",
    drivers=(),
    max_speed=Speed.HIGH,
    endpoints=_pairs(range(1, 16), 1024),
    assumed="this controller is not in the table: its endpoints are a guess",
)
"""What is assumed of a controller that is not in the table: the commonest layout."""

UDC_MODELS: tuple[UdcModel, ...] = (
    DUMMY_HCD,
    USBIP_VUDC,
    DWC2_BCM2835,
    MUSB_AM335X,
    DWC3,
    CHIPIDEA,
)


def model_of_driver(driver: str) -> UdcModel:
    """The model whose kernel driver has this name, or `UNKNOWN_UDC`."""
    for model in UDC_MODELS:
        if driver in model.drivers:
            return model
    return UNKNOWN_UDC


def model_named(name: str) -> UdcModel:
    """The model of this name; raises `UsageError` that lists what there is."""
    for model in UDC_MODELS:
        if model.name == name:
            return model
    known = ", ".join(model.name for model in UDC_MODELS)
    raise UsageError(f"there is no model {name}. There are: {known}")


def assumption(model: UdcModel, compatible: Collection[str] | None = None) -> str:
    """What of the model is not known of this very controller, in words; empty if all is.

    `compatible` are the device-tree names of a live one (device/of_node/compatible below its entry
    in /sys/class/udc, split at the zero bytes; empty where there is no device tree), None if none
    is at hand and the model was asked for by name.
    """
    if compatible is None:
        return "" if model.compatible else model.assumed
    return "" if set(compatible) & set(model.compatible) else model.assumed


def with_tx_fifos(model: UdcModel, g_tx_fifo_size: bytes) -> UdcModel:
    """The model with the TX FIFOs of a live dwc2, as its device tree says them.

    `g_tx_fifo_size` is what device/of_node/g-tx-fifo-size holds: words of 32 bits, as big-endian
    numbers. A model whose endpoints do not compete for FIFOs is returned as it is, and so it is if
    the property is not what it should be.
    """
    if not model.tx_fifos or not g_tx_fifo_size or len(g_tx_fifo_size) % 4:
        return model
    words = [
        int.from_bytes(g_tx_fifo_size[at : at + 4], "big")
        for at in range(0, len(g_tx_fifo_size), 4)
    ]
    used = words[: len(model.numbers(Direction.IN))]
    return replace(model, tx_fifos=tuple(_BYTES_PER_FIFO_WORD * each for each in used))
