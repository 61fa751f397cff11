"""What provisioning made, kept so that the next boot need not make it again.

Almost every boot finds the file that the last one found. What was made of it then is right now:
unpacking an archive takes a slow board a tenth of a second, where starting Python and judging the
file takes it seconds. Three sums say whether all is as it was: of the card's file, of what names
the image (another version may judge otherwise), and of the archive itself. They lie beside the
archive as sha256sum(1) reads them; who does is board/image/root/usr/libexec/gadgetip/provision.
"""

import hashlib
import io
import tarfile
from collections.abc import Iterable, Mapping

from gadgetip.appliance.changes import Change, MakeLink, WriteFile


def archive(changes: Iterable[Change]) -> bytes:
    """A tar archive, to be unpacked at the root, of all files and links that were made."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        made: set[str] = set()
        for change in changes:
            if not isinstance(change, MakeLink | WriteFile):
                continue
            path = change.path.lstrip("/")
            if isinstance(change, MakeLink):
                link = tarfile.TarInfo(path)
                link.type, link.linkname = tarfile.SYMTYPE, change.target
                tar.addfile(link)
                continue
            directory = path.rpartition("/")[0]
            if directory not in made:
                made.add(directory)
                entry = tarfile.TarInfo(directory)
                entry.type, entry.mode = tarfile.DIRTYPE, change.directory_mode
                tar.addfile(entry)
            file = tarfile.TarInfo(path)
            file.mode, file.size = change.mode, len(change.content)
            tar.addfile(file, io.BytesIO(change.content))
    return buffer.getvalue()


def sums(contents: Mapping[str, bytes]) -> bytes:
    """The SHA-256 of each content, with its path, as `sha256sum --check` reads them."""
    lines = (f"{hashlib.sha256(data).hexdigest()}  {path}\n" for path, data in contents.items())
    return "".join(lines).encode()
