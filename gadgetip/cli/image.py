"""What only an image does, and refuses to do elsewhere."""

from gadgetip.errors import PrerequisiteError
from gadgetip.supervisor.board_config import IMAGE_FILE


def need_image(command: str) -> None:
    """Raises `PrerequisiteError` if this machine was not flashed with an image."""
    if not IMAGE_FILE.exists():
        raise PrerequisiteError(
            f"`board {command}` is for images, and this is none: {IMAGE_FILE} is not there"
        )
