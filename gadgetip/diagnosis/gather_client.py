"""The facts of a vhci client, read from this machine now."""

from gadgetip.diagnosis.facts import ClientFacts, PortFacts
from gadgetip.diagnosis.system_files import children, exists
from gadgetip.vhci import CONTROLLER, PortStatus, list_ports, remembered_on
from gadgetip.vhci.remembered import DIRECTORY, STOCK_DIRECTORY

_WORDS = {
    PortStatus.NOT_ASSIGNED: "starting",
    PortStatus.USED: "in use",
    PortStatus.ERROR: "error",
}


def gather_client() -> ClientFacts:
    """The facts of this moment."""
    ports = list_ports()
    free = {port.number for port in ports if port.is_free}
    taken = []
    for port in ports:
        if not port.is_free:
            known = remembered_on(port)
            origin = f"{known.server} {known.busid}" if known else ""
            taken.append(PortFacts(port.number, _WORDS[port.status], origin))
    return ClientFacts(
        loaded=exists(CONTROLLER),
        ports=len(ports),
        free=len(free),
        taken=tuple(taken),
        stale_records=tuple(_stale(free)),
    )


def _stale(free: set[int]) -> list[str]:
    """Records of ports that are free, or of a module that is not loaded any more."""
    found = []
    for directory in (STOCK_DIRECTORY, DIRECTORY):
        for path in children(directory):
            number = path.stem.removeprefix("port")
            if number.isdecimal() and len(number) < 5 and (not free or int(number) in free):
                found.append(str(path))
    return found
