"""A file that a person wrote, or somebody who means harm: profiles, policies and
configurations.

Whatever is in it, it is read, or refused with a `FileError` whose message is one line that prints
as it is. Text comes as it is on the tape, or as lines that belong into such files in any order.
"""

from gadgetip.profiles.toml_form import PROFILE_KIND
from gadgetip.server.policy_form import POLICY_KIND
from gadgetip.strict_toml import FileError, decode_document
from gadgetip.supervisor.config_form import IMAGE_CONFIG_KIND
from tests.fuzz.draw import Draw

LINES = (
    *('schema = "profile/1"', 'schema = "policy/1"', 'schema = "config/1"'),
    *('name = "x"', 'summary = "s"', "[supervisor]", "[[attachment]]", "[board]"),
    *("[[match]]", "[gadget]", "[gadget.identity]", "[[interface]]", "[[endpoint]]", "[link]"),
    *("[serve]", "[[export]]", "[[deny]]", 'id = "0483:5740"', 'class = "02/02/*"'),
    *('serial = "TEST*"', 'busid = "1-1.4"', 'not = { serial = "T*" }', 'name = ["a", "b"]'),
    *('match = { id = "0483:5740" }', 'match = [{ id = "0483:df11", busid = "1-1.4" }]'),
    *('when = "plugged"', 'when = "bound"', 'clients = ["192.168.1.0/24", "fd00::/8"]'),
    *('publish_as = "programmer"', 'listen = ["127.0.0.1", "::1"]', "port = 3240"),
    *('stub = "auto"', "max_sessions = 16", "dead_client_s = 20", "max_sessions_per_client = 4"),
    *('backend = "auto"', 'max_speed = "high-speed"', "forward_reset = true", "number = 2"),
    *("address = 0x82", 'shaper = "packet"', "window_urbs = 16", "transfer_bytes = 16384"),
    *("drop = true", "alternate_setting = 0", "interval_us = 1000", "hold_s = 0"),
    *('server = "nas.lan:3240"', 'to = "gadget"', 'to = "vhci"', 'udc = "auto"'),
    'class = "ff/00/00"',
    *('profile = "auto"', "enabled = false", 'on_loss = "hold"', "hold_s = 30"),
    *("retry_min_s = 0.5", "retry_max_s = 30", "poll_ms = 500", 'hooks = "/etc/hooks"'),
    *('hostname = "dongle"', 'timezone = "Europe/Berlin"', "[board.wifi]", 'country = "DE"'),
    *('ssid = "lab"', 'psk = "correct horse"', 'ssh_keys = ["ssh-ed25519 AAAA me"]'),
    *("bcdDevice = 0x0200", "max_power_ma = 500", 'on_loss = "unplug"', "unknown = 1"),
)
VALUES = (
    *("-1", "0", "1", "65535", "65536", "1e400", "nan", "inf", "true", "[]", "{}", '""'),
    *("[[]]", '"\\u0000"', '"\\u001b[2J"', "1979-05-27", "9" * 40, '"*"', '"[a"', '["x", 1]'),
    *("{ id = 5 }", "[{}]", '"10.0.0.0/99"', '"::/0"', '"../x"', "0x8000_0000_0000", "'''a\nb'''"),
)


KINDS = (PROFILE_KIND, POLICY_KIND, IMAGE_CONFIG_KIND)


def run(data: bytes) -> int:
    """Read what `data` makes of a file."""
    draw = Draw(data)
    kind = draw.integer(0, 3)
    text = draw.raw(draw.left) if kind == 0 else _composed(draw)
    try:
        decode_document(text, "f.toml", *KINDS)
    except FileError as error:
        shown = str(error)
        assert shown.isprintable(), shown
        assert len(shown) < 2000, len(shown)
    return 1


def _composed(draw: Draw) -> bytes:
    schema = draw.pick(LINES[: len(KINDS)])
    lines = [schema, *(['name = "x"'] if schema == LINES[0] else [])]
    while draw.left and len(lines) < 60:
        line = draw.pick(LINES)
        if draw.one_in(6) and "=" in line:
            line = f"{line.split('=')[0]}= {draw.pick(VALUES)}"
        if draw.one_in(24):
            at = draw.integer(0, len(line))
            line = line[:at] + draw.raw(2).decode("latin-1") + line[at:]
        lines.append(line)
    return "\n".join(lines).encode("utf-8", "surrogateescape")
