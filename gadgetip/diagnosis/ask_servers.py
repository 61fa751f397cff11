"""Asking servers what they offer, side by side and each for a few seconds at most."""

import asyncio
import time
from collections.abc import Sequence

from gadgetip.diagnosis.facts import Reach, ServerFacts
from gadgetip.errors import GadgetipError, UsageError
from gadgetip.link import HostAddress, UnknownHostError, connect
from gadgetip.remote import list_devices

CONNECT_LIMIT_S = 3.0
LIST_LIMIT_S = 4.0


def ask_servers(arguments: Sequence[str], configured: Sequence[str]) -> tuple[ServerFacts, ...]:
    """Ask each once; those named at the command line first."""
    hosts = dict.fromkeys(arguments, True)
    for host in configured:
        hosts.setdefault(host, False)
    if not hosts:
        return ()
    return asyncio.run(_ask_all(hosts))


async def _ask_all(hosts: dict[str, bool]) -> tuple[ServerFacts, ...]:
    asked = (_ask(host, by_argument) for host, by_argument in hosts.items())
    return tuple(await asyncio.gather(*asked))


async def _ask(host: str, by_argument: bool) -> ServerFacts:
    try:
        address = HostAddress.parse(host)
        began = time.monotonic()
        (await connect(address, CONNECT_LIMIT_S)).close()
        answered_s = time.monotonic() - began
    except (UsageError, UnknownHostError) as error:
        return ServerFacts(host, Reach.UNRESOLVED, reason=str(error), by_argument=by_argument)
    except GadgetipError as error:
        return ServerFacts(host, Reach.UNREACHABLE, reason=str(error), by_argument=by_argument)
    try:
        async with asyncio.timeout(LIST_LIMIT_S):
            devices = await list_devices(address)
    except (GadgetipError, TimeoutError) as error:
        reason = str(error) or f"no answer within {LIST_LIMIT_S:.0f} s: is that a USB/IP server?"
        return ServerFacts(host, Reach.NOT_USBIP, reason=reason, by_argument=by_argument)
    offers = tuple(f"{each.busid} {each.idVendor:04x}:{each.idProduct:04x}" for each in devices)
    return ServerFacts(host, Reach.ANSWERS, offers, "", answered_s, by_argument)
