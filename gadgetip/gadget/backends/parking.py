"""Keeping controllers out of the way of GadgetFS, which takes the first one that is free.

A parked controller is bound to a gadget of ours that never connects: its one function, OBEX, waits
for a program that opens its port (drivers/usb/gadget/function/f_obex.c, `bind_deactivated`), so
that the host at the other end notices nothing.
"""

import contextlib
import logging
from pathlib import Path

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.gadget.backends.system_calls import load_module
from gadgetip.gadget.configfs import GADGET_PREFIX
from gadgetip.gadget.udc import CONFIGFS_GADGETS, list_udcs

log = logging.getLogger(__name__)

PARKED_PREFIX = f"{GADGET_PREFIX}parked."


class Parking:
    """The controllers that are parked at this moment."""

    def __init__(self) -> None:
        self._parked: list[Path] = []

    def park_all_but(self, udc: str) -> None:
        """Park every other free controller; raises `PrerequisiteError` where that is impossible."""
        others = [each.name for each in list_udcs() if each.is_free and each.name != udc]
        if not others:
            return
        for module in ("libcomposite", "usb_f_obex"):
            load_module(module)
        try:
            for other in others:
                self._park(other)
        except OSError as error:
            self.leave()
            raise PrerequisiteError(
                f"GadgetFS would take {others[0]} instead of {udc}, and that cannot be parked "
                f"meanwhile ({error.strerror}): it takes the module usb_f_obex"
            ) from None

    def leave(self) -> None:
        """Free every parked controller."""
        while self._parked:
            try:
                _remove(self._parked.pop())
            except GadgetipError as error:
                log.warning("%s", error)  # the others have to be freed all the same

    def clean(self) -> None:
        """Free what a process that died has left parked."""
        if CONFIGFS_GADGETS.is_dir():
            for gadget in CONFIGFS_GADGETS.glob(f"{PARKED_PREFIX}*"):
                _remove(gadget)

    def _park(self, udc: str) -> None:
        gadget = CONFIGFS_GADGETS / f"{PARKED_PREFIX}{udc}"
        log.debug("parking %s", udc)
        gadget.mkdir()
        self._parked.append(gadget)
        (gadget / "idVendor").write_text("0x1d6b")
        configuration = gadget / "configs/parked.1"
        configuration.mkdir()
        function = gadget / "functions/obex.parked"
        function.mkdir()
        (configuration / function.name).symlink_to(function)
        try:
            (gadget / "UDC").write_text(udc)
        except OSError:
            # Somebody else was quicker, another attachment for example: GadgetFS cannot take it.
            if any(each.name == udc and each.is_free for each in list_udcs()):
                raise
            _remove(self._parked.pop())


def _remove(gadget: Path) -> None:
    with contextlib.suppress(OSError):
        (gadget / "UDC").write_text("\n")
    try:
        for link in gadget.glob("configs/*/obex.*"):
            link.unlink()
        for directory in (*gadget.glob("configs/*.*"), *gadget.glob("functions/*.*"), gadget):
            directory.rmdir()
    except OSError as error:
        raise GadgetipError(f"{gadget} cannot be removed: {error.strerror}") from None
