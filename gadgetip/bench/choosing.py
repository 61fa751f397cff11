"""Which running attachment a person means; nothing here has effects."""

from collections.abc import Sequence

from gadgetip.attachment.running import Running
from gadgetip.errors import GadgetipError, UsageError


def choose_running(running: Sequence[Running], name: str | None) -> Running:
    """The one of this name: the configuration's, a controller, a bus id, or DEVICE as it was asked.

    Without a name, the only one that has its device. Raises `UsageError` that lists the candidates
    where several are meant, `GadgetipError` where none is, or it waits for its device.
    """
    if name is None:
        meant = [each for each in running if each.busid is not None] or list(running)
    else:
        meant = [each for each in running if name in names_of(each)]
    listed = "; ".join(map(described, meant or running))
    if not meant and name is not None and running:
        raise GadgetipError(f"{name} is not attached here; attached: {listed}")
    if not meant:
        raise GadgetipError(
            "nothing that can be watched is attached here: start `gadgetip attach` in another "
            "terminal, or `gadgetip run` (what `attach --to vhci` left to the kernel without "
            "--keep can be measured with --disk or --hid)"
        )
    if len(meant) > 1:
        raise UsageError(f"{len(meant)} attachments are meant: name one of {listed}")
    [chosen] = meant
    if chosen.busid is None:
        raise GadgetipError(f"{described(chosen)} waits for its device: there is nothing to watch")
    return chosen


def names_of(running: Running) -> frozenset[str]:
    """What a person may call it."""
    names = (running.supervised, running.udc, running.busid, running.device, str(running.pid))
    return frozenset(name for name in names if name)


def described(running: Running) -> str:
    """Its name, and what and where it is."""
    name = running.supervised or running.udc or running.device
    return f"{name} ({running.busid or running.device} of {running.server}, {running.to})"
