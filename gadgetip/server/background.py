"""Kernel calls that may take seconds, outside of the event loop.

Unbinding a driver waits for its transfers, a device that hangs makes it wait longer, and a thread
inside the kernel cannot be interrupted. So each call gets a thread that nobody has to wait for:
asyncio's own executor is joined when the loop ends, and one hanging device would keep the whole
daemon from ending.
"""

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import TypeVar

from gadgetip.server.stub import DeviceFaultError

T = TypeVar("T")

CALL_LIMIT_S = 30.0


def in_background(call: Callable[[], T]) -> "asyncio.Future[T]":
    """Run `call` in a thread of its own; the future has its result, or what it raised.

    Cancelling the future does not end the thread, only its meaning.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(set_answer: Callable[[], None]) -> None:
        if not answer.done():
            set_answer()

    def run() -> None:
        try:
            set_answer = partial(answer.set_result, call())
        except Exception as error:
            set_answer = partial(answer.set_exception, error)
        try:
            loop.call_soon_threadsafe(settle, set_answer)
        except RuntimeError:
            return  # the loop is closed: nobody waits any more

    threading.Thread(target=run, name="kernel call", daemon=True).start()
    # Whoever waited may be gone by the time it fails; asyncio complains of what nobody asked.
    answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
    return answer


async def within_limit(call: Callable[[], T], what: str, limit_s: float = CALL_LIMIT_S) -> T:
    """Run `call` in the background and wait for it; `what` says what hangs if it does.

    Raises what the call raises, and `DeviceFaultError` after `limit_s` seconds.
    """
    answer = in_background(call)
    done, _ = await asyncio.wait({answer}, timeout=limit_s)
    if not done:
        raise DeviceFaultError(f"{what} hangs in the kernel, for {limit_s:.0f} s now")
    return answer.result()
