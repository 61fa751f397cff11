"""What a profile says, as data.

A profile holds *wishes* about one kind of device: what the automatic choice gets wrong, or what an
owner wants otherwise. A plan is a function of the device, the controller and a profile, so this
module touches no file and no kernel and is compared, hashed and tested as a value.

None always means "automatic", or "the device's own". Numbers and addresses are the device's own
too, never those that the replica may have been given. Whether a wish can be had is the plan's to
say: a profile knows neither the device nor the controller.

The defaults here are the format's defaults; the TOML form (`toml_form`) takes them from here.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from gadgetip.matching import DeviceFacts, Match
from gadgetip.usb import Speed

AUTO = "auto"
"""The word for the automatic choice; no profile, backend or shaper has this name."""

BACKENDS = (AUTO, "functionfs", "gadgetfs")
SHAPERS = (AUTO, "packet", "bot", "short", "interrupt", "uas")
ON_LOSS = ("unplug", "hold")


@dataclass(frozen=True, slots=True)
class IdentityWishes:
    """What the replica says of itself; by configfs's names."""

    manufacturer: str | None = None
    product: str | None = None
    serialnumber: str | None = None
    idVendor: int | None = None
    idProduct: int | None = None
    bcdDevice: int | None = None
    max_power_ma: int | None = None


@dataclass(frozen=True, slots=True)
class GadgetWishes:
    """What the replica as a whole is like.

    `backend` is one of `BACKENDS`, `udc` the name of a controller. `max_speed` caps the replica's
    speed. With `forward_reset` a reset by the host resets the device.
    """

    backend: str = AUTO
    udc: str | None = None
    max_speed: Speed | None = None
    forward_reset: bool = True
    identity: IdentityWishes = field(default_factory=IdentityWishes)


@dataclass(frozen=True, slots=True)
class InterfaceWish:
    """One interface, by the device's own bInterfaceNumber.

    With `drop` the host does not see it. `alternate_setting` is the only setting that the host
    sees. `class_triple` is the class, subclass and protocol that the host sees instead of the
    device's own, in every setting.
    """

    number: int
    drop: bool = False
    alternate_setting: int | None = None
    class_triple: tuple[int, int, int] | None = None


@dataclass(frozen=True, slots=True)
class EndpointWish:
    """One endpoint, by the device's own bEndpointAddress.

    `shaper` is one of `SHAPERS`. `window_urbs` bounds the URBs in flight, `transfer_bytes` the
    bytes of one, `interval_us` is microseconds between the polls of an interrupt endpoint. With
    `read_ahead` the device is asked for data before the host asks.
    """

    address: int
    shaper: str = AUTO
    window_urbs: int | None = None
    transfer_bytes: int | None = None
    interval_us: int | None = None
    read_ahead: bool | None = None


@dataclass(frozen=True, slots=True)
class LinkWishes:
    """What happens when the server is lost or slow.

    `on_loss` is one of `ON_LOSS`: unplug the replica at once, or hold it for `hold_s` seconds in
    the hope that the device comes back. Between attempts to get it back there are `retry_min_s`
    to `retry_max_s` seconds, None for whoever attaches to decide. A control request that has no
    answer after `control_timeout_ms` milliseconds is stalled. `insists` is no key: whether the
    device's owner has asked for this profile, or written it, and knows what he holds.
    """

    on_loss: str = "unplug"
    hold_s: float = 0
    retry_min_s: float | None = None
    retry_max_s: float | None = None
    control_timeout_ms: int = 5000
    insists: bool = False

    def pauses_s(self, shortest: float, longest: float) -> tuple[float, float]:
        """The first and the longest pause between two attempts; what is not wished is as given."""
        if self.retry_min_s is not None:
            shortest = self.retry_min_s
            longest = max(longest, shortest)
        if self.retry_max_s is not None:
            longest = self.retry_max_s
        return min(shortest, longest), longest


@dataclass(frozen=True, slots=True)
class Profile:
    """All wishes about one kind of device.

    No two `interfaces` have the same number and no two `endpoints` the same address. A profile
    without `matches` is used only where somebody names it.
    """

    name: str
    summary: str = ""
    matches: tuple[Match, ...] = ()
    gadget: GadgetWishes = field(default_factory=GadgetWishes)
    interfaces: tuple[InterfaceWish, ...] = ()
    endpoints: tuple[EndpointWish, ...] = ()
    link: LinkWishes = field(default_factory=LinkWishes)

    def held_for(self, seconds: float) -> "Profile":
        """The same profile with another wish for a lost link: 0 unplugs the replica at once.

        Only a profile that wished for it itself may insist.
        """
        link = replace(
            self.link,
            on_loss="hold" if seconds else "unplug",
            hold_s=seconds,
            insists=self.link.insists and self.link.on_loss == "hold",
        )
        return replace(self, link=link)

    def insisting(self) -> "Profile":
        """The same profile, asked for by the device's owner, so that what it holds is held."""
        return replace(self, link=replace(self.link, insists=self.link.on_loss == "hold"))

    def interface(self, number: int) -> InterfaceWish | None:
        """The wish for an interface, by the device's own number."""
        return next((wish for wish in self.interfaces if wish.number == number), None)

    def endpoint(self, address: int) -> EndpointWish | None:
        """The wish for an endpoint, by the device's own bEndpointAddress."""
        return next((wish for wish in self.endpoints if wish.address == address), None)


ProfileChoice = Callable[[DeviceFacts], Profile]
"""Says which profile a device has, once it is known."""

GENERIC = Profile("generic", "Everything automatic")
"""No wishes: everything is automatic."""
