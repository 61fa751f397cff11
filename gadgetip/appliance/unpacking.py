"""An image as it comes: a file or a pipe, packed by xz or not, read once from beginning to end.

A board has little memory and no disk to unpack to, so nothing is kept but the piece at hand. How
large a piece becomes is said by who asks for it, whatever the packed data would like: a small file
that unpacks to a huge one costs time at most, and only as far as it is read.
"""

import lzma
from collections.abc import Callable

from gadgetip.appliance.image_manifest import NotAnImageError

PIECE = 1 << 20
MEMORY = 96 << 20
"""What unpacking may take, in bytes: `xz -9` needs 65 MiB."""

_XZ = b"\xfd7zXZ\0"
_OTHERS = {
    b"\x1f\x8b": "gzip",
    b"PK\x03\x04": "zip",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
}


class Unpacker:
    """Reads from `source`, which returns at most so many bytes, and none at the end."""

    def __init__(self, source: Callable[[int], bytes]) -> None:
        """Look at the beginning; raises `NotAnImageError` for what is packed otherwise."""
        self._source = source
        self._waiting = b""
        while len(self._waiting) < len(_XZ) and (piece := source(PIECE)):
            self._waiting += piece
        for magic, name in _OTHERS.items():
            if self._waiting.startswith(magic):
                raise NotAnImageError(
                    f"it is packed by {name}: unpack it first, or give the .img.xz"
                )
        self._xz = self._new_stream() if self._waiting.startswith(_XZ) else None
        self.offset = 0
        """How much has been read, in bytes of the unpacked image."""

    def read(self, limit: int) -> bytes:
        """The next bytes, at most `limit` and at least one; none at the end.

        Raises `NotAnImageError` where the packed data are damaged or cut off.
        """
        piece = self._plain(limit) if self._xz is None else self._unpacked(self._xz, limit)
        self.offset += len(piece)
        return piece

    def exactly(self, size: int) -> bytes:
        """So many bytes; raises `NotAnImageError` where the image ends before."""
        pieces = []
        while size:
            piece = self.read(min(size, PIECE))
            if not piece:
                raise NotAnImageError(f"it ends after {self.offset} bytes: it is not all there")
            pieces.append(piece)
            size -= len(piece)
        return b"".join(pieces)

    def skip_to(self, offset: int) -> None:
        """Read on, and throw it away."""
        while self.offset < offset:
            self.exactly(min(PIECE, offset - self.offset))

    def _plain(self, limit: int) -> bytes:
        if not self._waiting:
            return self._source(min(limit, PIECE))
        piece, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return piece

    def _unpacked(self, xz: lzma.LZMADecompressor, limit: int) -> bytes:
        while True:
            if xz.eof:
                # Several streams may follow each other, with zeros in between.
                self._waiting = (xz.unused_data + self._waiting).lstrip(b"\0")
                self._waiting = self._waiting or self._source(PIECE).lstrip(b"\0")
                if not self._waiting:
                    return b""
                self._xz = xz = self._new_stream()
            if xz.needs_input and not self._waiting:
                self._waiting = self._source(PIECE)
                if not self._waiting:
                    raise NotAnImageError(f"it ends after {self.offset} bytes: it is not all there")
            packed, self._waiting = self._waiting, b""
            try:
                piece = xz.decompress(packed, min(limit, PIECE))
            except lzma.LZMAError as error:
                raise NotAnImageError(f"it cannot be unpacked: {error}") from None
            if piece:
                return piece

    @staticmethod
    def _new_stream() -> lzma.LZMADecompressor:
        return lzma.LZMADecompressor(format=lzma.FORMAT_XZ, memlimit=MEMORY)
