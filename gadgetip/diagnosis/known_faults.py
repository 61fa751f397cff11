"""What is known to be wrong with kernels, and from where to where.

A fault is here when its source was read; the file and the versions are named. A version that was
not read is not judged: the entry says up to which version the fault was seen. Distributions
backport repairs without changing the first two numbers, so an entry never claims more than "may".
"""

from dataclasses import dataclass

from gadgetip.diagnosis.finding import State

Release = tuple[int, int]
"""The first two numbers of a kernel's release. `gadget` has a type for it, and cannot be imported
where libaio is missing, which is one of the things that a doctor is asked about."""

OLDEST_READ: Release = (6, 1)
"""The oldest kernel whose sources were read for gadgetip; `gadget` has the same."""


@dataclass(frozen=True, slots=True)
class KernelFault:
    """One fault: `first` to `last` are the kernels that were seen to have it, both included."""

    subject: str
    first: Release
    last: Release
    state: State
    found: str
    remedy: str

    def is_in(self, kernel: Release) -> bool:
        """Whether this kernel lies between those that have it."""
        return self.first <= kernel <= self.last


BOARD_FAULTS = (
    # drivers/usb/gadget/function/f_fs.c, ffs_epfile_write_iter and ffs_user_copy_worker: mmgrab for
    # each request, mmdrop only for a read that brought something. Debian 6.1.192 and 6.12.117.
    KernelFault(
        "FunctionFS, memory",
        (6, 1),
        (6, 12),
        State.NOTE,
        "this kernel's FunctionFS may leak one reference with each write to an endpoint; "
        "the counter wraps after 4,294,967,296 of them",
        "gadgetip plugs a replica in anew after half as many",
    ),
    # The same file: without get_alt the composite layer stalls every alternate setting but 0.
    # Absent in 6.1.192, present in 6.12.117; 6.6 was not read.
    KernelFault(
        "FunctionFS, alternate settings",
        (6, 1),
        (6, 6),
        State.NOTE,
        "this kernel's FunctionFS may refuse the host every alternate setting but 0",
        "gadgetip uses GadgetFS for devices that need them; a kernel of 6.12 or later has no "
        "such limit",
    ),
)


def board_faults(kernel: Release) -> tuple[KernelFault, ...]:
    """The faults that this kernel may have."""
    return tuple(fault for fault in BOARD_FAULTS if fault.is_in(kernel))


def is_older_than_read(kernel: Release) -> bool:
    """Whether no source as old as this one was read for gadgetip."""
    return kernel < OLDEST_READ
