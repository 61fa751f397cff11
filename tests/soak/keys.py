"""What a keyboard owes its host: the oracle of the keyboard load. Pure.

A key is *owed up* from the moment when the device has released it, or was unplugged, or its link
was lost. The host must see it up within a limit. It is owed nothing while the device holds it.
What is typed while the link is away may be lost; a key that stays down may not.
"""


class KeyOracle:
    """Follows device and host. Keys are linux/input-event-codes.h's codes, times are seconds."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._owed_up: dict[int, float] = {}
        self._held: set[int] = set()
        self.faults: list[str] = []
        self.worst_s = 0.0
        """The longest that a key was seen down after it was owed up."""

    def pressed(self, key: int, at: float) -> None:
        """The device is about to say that a key is down."""
        self._held.add(key)
        self._owed_up.pop(key, None)

    def released(self, key: int, at: float) -> None:
        """The device has said that it is up, or cannot say anything."""
        self._held.discard(key)
        self._owed_up.setdefault(key, at)

    def link_lost(self, at: float) -> None:
        """Nothing that the device says arrives any more: what it holds is owed up as well."""
        for key in self._held:
            self._owed_up.setdefault(key, at)

    @property
    def held(self) -> frozenset[int]:
        """What the device said last."""
        return frozenset(self._held)

    def host_sees(self, down: frozenset[int], at: float) -> None:
        """The host's key state now; it sees nothing down where it has no keyboard."""
        for key in [key for key in self._owed_up if key not in down]:
            del self._owed_up[key]
        for key in down & self._owed_up.keys():
            late_s = at - self._owed_up[key]
            self.worst_s = max(self.worst_s, late_s)
            if late_s > self._limit_s:
                del self._owed_up[key]  # said once
                self.faults.append(f"key {key} is still down {late_s:.1f} s after its release")

    def finally_sees(self, down: frozenset[int]) -> None:
        """The host's key state when everything has arrived: what the device said last."""
        if down != self._held:
            self.faults.append(f"the host has keys {sorted(down)} down, not {sorted(self._held)}")
