"""The form in which people write the configuration: TOML, read strictly.

`docs/configuration.md` is the reference of the keys. What is wrong in it is refused as a whole.

`[board]` is for images, which take it over while they boot. Anywhere else nobody would, so that it
is an error rather than a wish without effect. Hence two kinds of file that name themselves alike.
"""

import re
from dataclasses import replace

from gadgetip.errors import UsageError
from gadgetip.link import HostAddress
from gadgetip.matching import MatchSelector, read_matches
from gadgetip.profiles import AUTO, MAX_HOLD_S, ON_LOSS, is_path, is_profile_name
from gadgetip.strict_toml import FileKind, StrictTable, parse_document
from gadgetip.supervisor.board_form import read_board
from gadgetip.supervisor.config import PUMPS, SINKS, Config, ConfiguredAttachment, Settings

SCHEMA = "config/1"

MAX_ATTACHMENTS = 64
MIN_RETRY_S, MAX_RETRY_S = 0.1, 3600
MIN_POLL_MS, MAX_POLL_MS = 50, 60_000
MAX_TEXT_CHARACTERS = 255

_ALL_PUMPS = ("auto", "native", "python", "kernel")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def parse_config(text: str, source: str, *, image: bool = False) -> Config:
    """Read a configuration, an image's or any other machine's; messages call the file `source`.

    Raises `FileError` with every fault (20 at most), and nothing else whatever the text is.
    """
    return parse_document(text, source, IMAGE_CONFIG_KIND if image else CONFIG_KIND)


def _read_config(table: StrictTable) -> Config:
    config = _read_both(table)
    if table.has("board"):
        table.table("board")
        table.fault("board", "[board] is for images alone: take it out")
    table.close()
    return config


def _read_image_config(table: StrictTable) -> Config:
    config = _read_both(table)
    if table.has("board"):
        config = replace(config, board=read_board(table.table("board")))
    table.close()
    return config


def _read_both(table: StrictTable) -> Config:
    return Config(
        settings=_read_settings(table.table("supervisor")),
        attachments=_read_attachments(table),
    )


def _read_settings(table: StrictTable) -> Settings:
    default = Settings()
    settings = Settings(
        retry_min_s=table.number("retry_min_s", MIN_RETRY_S, MAX_RETRY_S, default.retry_min_s),
        retry_max_s=table.number("retry_max_s", MIN_RETRY_S, MAX_RETRY_S, default.retry_max_s),
        poll_ms=table.whole("poll_ms", MIN_POLL_MS, MAX_POLL_MS, default.poll_ms),
        hooks=table.text("hooks", default.hooks, _directory_problem),
    )
    if settings.retry_min_s > settings.retry_max_s:
        table.fault("retry_min_s", "retry_min_s is more than retry_max_s")
    table.close()
    return settings


def _read_attachments(whole: StrictTable) -> tuple[ConfiguredAttachment, ...]:
    tables = whole.tables("attachment")
    if len(tables) > MAX_ATTACHMENTS:
        whole.fault(
            "attachment", f"[[attachment]]: there are {len(tables)}: {MAX_ATTACHMENTS} are the most"
        )
        return ()
    attachments: list[ConfiguredAttachment] = []
    names: set[str] = set()
    for table in tables:
        attachment = _read_attachment(table)
        if attachment.name and attachment.name in names:
            problem = f'name is "{attachment.name}": an earlier [[attachment]] has it too'
            table.fault("name", problem)
        names.add(attachment.name)
        attachments.append(attachment)
        table.close()
    return tuple(attachments)


def _read_attachment(table: StrictTable) -> ConfiguredAttachment:
    table.need("name", "it is what status, log, start and stop take")
    table.need("server", "say which machine exports the device")
    name = table.text("name", "", _name_problem)
    server = table.text("server", "", _server_problem)
    matches = read_matches(table, needed=True)
    to = table.one_of("to", SINKS, "gadget")
    udc = table.text("udc", AUTO, _udc_problem)
    profile = table.text("profile", AUTO, _profile_problem)
    pump = table.one_of("pump", _ALL_PUMPS, AUTO)
    enabled = table.flag("enabled", default=True)
    on_loss = table.one_of("on_loss", ON_LOSS, None)
    hold_s = table.number("hold_s", 0, MAX_HOLD_S, None)
    if to == "vhci":
        for key, value, default in (
            ("udc", udc, AUTO),
            ("profile", profile, AUTO),
            ("on_loss", on_loss, None),
            ("hold_s", hold_s, None),
        ):
            if value != default:
                table.fault(key, f'{key} goes with to = "gadget"')
    if pump not in PUMPS[to]:
        table.fault("pump", f'pump is "{pump}": to = "{to}" has {", ".join(PUMPS[to])}')
    if on_loss == "hold" and not hold_s:
        table.fault("on_loss", 'on_loss is "hold": say for how many seconds with hold_s')
    return ConfiguredAttachment(
        name=name,
        server=HostAddress.parse(server) if server else HostAddress(""),
        wanted=MatchSelector(matches),
        to=to,
        udc=udc,
        profile=profile,
        pump=pump,
        enabled=enabled,
        on_loss=on_loss,
        hold_s=hold_s,
    )


def _name_problem(text: str) -> str | None:
    if _NAME.fullmatch(text):
        return None
    return "a name has 1 to 64 letters, digits, -, _ and ., and begins with a letter or digit"


def _server_problem(text: str) -> str | None:
    try:
        HostAddress.parse(text)
    except UsageError as error:
        return str(error)
    return _text_problem(text)


def _udc_problem(text: str) -> str | None:
    if "/" in text or text in {".", ".."}:
        return "write the name that `gadgetip udc` shows"
    return _text_problem(text)


def _profile_problem(text: str) -> str | None:
    if is_path(text):
        # Whoever runs it has another working directory than whoever writes it.
        return _text_problem(text) if text.startswith("/") else "write an absolute path, or a name"
    if text == AUTO or is_profile_name(text):
        return None
    return 'write "auto", a name that `gadgetip profile list` shows, or an absolute path'


def _text_problem(text: str) -> str | None:
    if text and len(text) <= MAX_TEXT_CHARACTERS and text.isprintable():
        return None
    return f"it has 1 to {MAX_TEXT_CHARACTERS} printable characters"


def _directory_problem(text: str) -> str | None:
    if text and not text.startswith("/"):
        return 'write an absolute path, or "" for no hooks'
    return _text_problem(text) if text else None


CONFIG_KIND = FileKind(SCHEMA, "a configuration", _read_config)
"""Configurations, among the kinds of files."""

IMAGE_CONFIG_KIND = FileKind(SCHEMA, "a configuration", _read_image_config)
"""Configurations of images, which may have `[board]`."""
