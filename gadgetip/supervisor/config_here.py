"""How this machine's configuration is read: an image's may have `[board]`, no other may."""

from gadgetip.strict_toml import FileKind
from gadgetip.supervisor.board_config import IMAGE_FILE
from gadgetip.supervisor.config import Config
from gadgetip.supervisor.config_form import CONFIG_KIND, IMAGE_CONFIG_KIND


def config_kind_here() -> FileKind[Config]:
    """The kind that the files of this machine are."""
    return IMAGE_CONFIG_KIND if IMAGE_FILE.exists() else CONFIG_KIND
