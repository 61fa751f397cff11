"""`python -m tests.emulated NAME... [--port N]`: export emulated devices until Ctrl-C.

Hostile ones have names too; one of those is served alone.
"""

import argparse
import logging
import signal
import sys

from tests.emulated.devices import DEVICES, make_device
from tests.emulated.hostile import HOSTILE
from tests.emulated.server import EmulatedServer
from tests.emulated.session import Session

PORT = 3240


def main() -> int:
    """Serve, or list what there is."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulated", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=PORT)
    parser.add_argument("--debug", action="store_true")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.DEBUG if arguments.debug else logging.INFO)
    if not arguments.names:
        for name, make in DEVICES.items():
            print(f"{name:32}{(make.__doc__ or '').splitlines()[0]}")
        for name, hostile in HOSTILE.items():
            print(f"{name:32}{hostile.summary}")
        return 0
    unknown = set(arguments.names) - set(DEVICES) - set(HOSTILE)
    if unknown or (len(arguments.names) > 1 and set(arguments.names) & set(HOSTILE)):
        parser.error(f"no such device: {unknown}" if unknown else "a hostile device goes alone")
    session = Session
    if arguments.names[0] in HOSTILE:
        hostile = HOSTILE[arguments.names[0]]
        devices, session = [hostile.make()], hostile.session
    else:
        devices = [make_device(name) for name in arguments.names]
    with EmulatedServer(
        *devices, host=arguments.host, port=arguments.port, session=session
    ) as server:
        for busid in server.devices:
            print(f"{server.host} exports {busid}", flush=True)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    return 0


if __name__ == "__main__":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    sys.exit(main())
