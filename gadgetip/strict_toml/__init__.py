"""strict_toml: the files that people write, read strictly.

TOML is read so that nothing in it is ignored: an unknown key, a wrong type and an impossible value
are faults with a line, a key and the nearest known spelling. A file says which kind it is (`schema
= "profile/1"`). The kinds live in other rooms; this one knows what they have in common.
"""

from gadgetip.strict_toml.document import (
    MAX_FILE_BYTES,
    FileKind,
    decode_document,
    load_document,
    parse_document,
)
from gadgetip.strict_toml.faults import FileError, FileFault, nearest, shown, shown_key
from gadgetip.strict_toml.strict_table import StrictTable

__all__ = [
    "MAX_FILE_BYTES",
    "FileError",
    "FileFault",
    "FileKind",
    "StrictTable",
    "decode_document",
    "load_document",
    "nearest",
    "parse_document",
    "shown",
    "shown_key",
]
