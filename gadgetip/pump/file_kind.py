"""FunctionFS or GadgetFS: two kinds of endpoint file that are used alike and differ in the small.

Whose a file is, the kernel tells (fstatfs). Where the two differ:

* **A halt.** FunctionFS says whether it worked, and EAGAIN while a request is still queued
  (f_fs.c, `ffs_epfile_io`). GadgetFS answers EBADMSG whatever the controller said, and EAGAIN only
  where the endpoint is not enabled (legacy/inode.c, `ep_read_iter`, `get_ready_ep`).
* **AIO.** GadgetFS must not be used with it: `blocking_file` says why. (Nor would it give the
  data: from Linux 6.4 on, a read into one buffer reaches it as an iterator that `dup_iter` does
  not copy, GadgetFS takes "no copy" for "this is a write", and completes the request with the
  length of the data alone: `ep_aio_complete`.)
"""

import ctypes
from enum import Enum, auto

_GADGETFS_MAGIC = 0xAEE71EE7
"""legacy/inode.c; FunctionFS's is in linux/magic.h, and is not needed here."""

_STATFS_BYTES = 256
"""More than struct statfs has on any machine."""


class FileKind(Enum):
    """Whose endpoint file it is."""

    FUNCTIONFS = auto()
    """FunctionFS's, and any other file: nothing special is done."""
    GADGETFS = auto()

    @classmethod
    def of(cls, file: int) -> "FileKind":
        """The kind of an open file. Raises OSError."""
        statfs = ctypes.create_string_buffer(_STATFS_BYTES)
        if _LIBC.fstatfs(file, statfs) != 0:
            error = ctypes.get_errno()
            raise OSError(error, "fstatfs")
        kind = ctypes.c_ulong.from_buffer(statfs).value & 0xFFFFFFFF
        return cls.GADGETFS if kind == _GADGETFS_MAGIC else cls.FUNCTIONFS


_LIBC = ctypes.CDLL(None, use_errno=True)
