"""A link that is lost again and again, and comes back each time.

What the worker process does around the pump is done here around shapers alone: one task brings
the device back and resumes, and what the host does to the state of the device waits meanwhile.
"""

import asyncio
from collections.abc import Callable

from gadgetip.errors import LinkLostError
from gadgetip.pump.shapers import Shaper

from .world import World

DOWN_TURNS = 6
"""Turns of the event loop for which the link is away at least."""


class Losses:
    """Loses the link of `world` and brings it back.

    `on_reset` is what the loss does to the device. The link is away for `down` turns of the event
    loop.
    """

    def __init__(
        self,
        world: World,
        shapers: list[Shaper],
        on_reset: Callable[[], None],
        down: int = DOWN_TURNS,
    ) -> None:
        self.world = world
        self.turn = asyncio.Lock()
        """As in the worker: what the host does to the device's state, or the link coming back."""
        self._shapers = shapers
        self._on_reset = on_reset
        self.at: list[int] = []
        """For each loss to come: the steps that the link is there before it."""
        self.down = down
        self._steps = 0
        self._back: asyncio.Task[None] | None = None
        world.on_step = self._step

    @property
    def is_back(self) -> bool:
        """Whether the link is there and every shaper goes on."""
        return self._back is None or self._back.done()

    def lose(self) -> None:
        """The link is lost now."""
        self._steps = 0
        self._on_reset()
        self.world.lose_link(*self._shapers)
        if self.is_back:
            self._back = asyncio.get_running_loop().create_task(self._bring_back())

    async def over(self) -> None:
        """Let things happen until the link is back; raises what `resume` raised."""
        await self.world.until(lambda: self.is_back, "the resumption")
        if self._back is not None:
            await self._back

    def _step(self) -> None:
        if self.world.is_lost or not self.at:
            return
        self._steps += 1
        if self._steps >= self.at[0]:
            del self.at[0]
            self.lose()

    async def _bring_back(self) -> None:
        while True:
            for _ in range(self.down):
                await asyncio.sleep(0)
            async with self.turn:
                self.world.relink()
                try:
                    for shaper in self._shapers:
                        await shaper.resume()
                except LinkLostError:
                    assert self.world.is_lost
                if not self.world.is_lost:
                    return
