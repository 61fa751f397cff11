"""After a process that was to end and had to be killed: what it left on this machine is removed.

Removing a gadget, an unmount, a detached port: each can wait for the kernel. So a process of its
own does it, and the supervisor waits no longer than `CLEAN_LIMIT_S`. Without that a controller
would stay taken, and a device on a port would go on, until the attachment is started again.
"""

import signal

from gadgetip.attachment import remove_leftovers
from gadgetip.errors import GadgetipError
from gadgetip.supervisor.attachment_life import detach_leftovers
from gadgetip.supervisor.config import ConfiguredAttachment
from gadgetip.supervisor.leash import Leash
from gadgetip.supervisor.messages import News

CLEAN_LIMIT_S = 5


def clean_up(configured: ConfiguredAttachment, udc: str | None, leash: Leash) -> None:
    """Remove what is left of this attachment; killed when it takes too long, and says what fails.

    `udc` is the controller that it was on, None for vhci. The process ends by itself: it is not to
    be told to.
    """
    signal.alarm(CLEAN_LIMIT_S)
    try:
        if udc is None:
            detach_leftovers(configured)
        else:
            remove_leftovers(udc)
    except (GadgetipError, OSError) as error:
        leash.send(News.REFUSED, reason=str(error))
