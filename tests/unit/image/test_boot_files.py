"""What somebody finds on the card who puts it into a PC for the first time."""

import re
from pathlib import Path

from gadgetip.appliance.problem_text import problems_of
from gadgetip.supervisor.config_form import parse_config
from tests.unit.appliance.configs import KEY

BOOT = Path(__file__).parents[3] / "board/image/boot"
SKELETON = (BOOT / "gadgetip.toml").read_text()
SETTING = re.compile(r"^#(?=\[|[a-z_]+ = )", re.MULTILINE)


def test_as_it_is_the_configuration_is_right_and_asks_for_nothing() -> None:
    assert problems_of(SKELETON.encode()) == ()
    assert parse_config(SKELETON, "f", image=True).attachments == ()


def test_with_its_lines_uncommented_it_is_right() -> None:
    text = SETTING.sub("", SKELETON).replace("ssh-ed25519 AAAA...", KEY)
    config = parse_config(text, "f", image=True)
    assert [each.name for each in config.attachments] == ["stick"]
    assert config.board is not None
    assert config.board.ssh_keys
    assert config.board.wifi is not None


def test_old_notepads_show_lines() -> None:
    data = (BOOT / "README.txt").read_bytes()
    assert data.count(b"\r\n") == data.count(b"\n") > 30
    assert data.isascii()
    assert max(map(len, data.splitlines())) <= 78
