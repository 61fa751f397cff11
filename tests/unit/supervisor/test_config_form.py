"""The configuration, as people write it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.link import HostAddress
from gadgetip.matching import Match, MatchSelector
from gadgetip.strict_toml import FileError
from gadgetip.supervisor.config import Config, ConfiguredAttachment, Settings
from gadgetip.supervisor.config_form import parse_config

HEAD = 'schema = "config/1"\n'
STICK = HEAD + '[[attachment]]\nname = "stick"\nserver = "nas"\nmatch = { id = "0781:5581" }\n'


def faults(text: str) -> list[str]:
    with pytest.raises(FileError) as caught:
        parse_config(text, "f")
    return [f"{fault.line}: {fault.problem}" for fault in caught.value.faults]


def test_what_is_left_out() -> None:
    assert parse_config(HEAD, "f") == Config(Settings(), ())
    [stick] = parse_config(STICK, "f").attachments
    wanted = MatchSelector((Match(ids=("0781:5581",)),))
    assert stick == ConfiguredAttachment("stick", HostAddress("nas"), wanted)


def test_every_key() -> None:
    text = f"""{HEAD}
[supervisor]
retry_min_s = 1
retry_max_s = 60
poll_ms = 100
hooks = ""

[[attachment]]
name = "stick"
server = "nas.lan:3241"
match = {{ id = "0781:5581", serial = "4C53*" }}
to = "gadget"
udc = "20980000.usb"
profile = "/etc/own.toml"
enabled = false
on_loss = "hold"
hold_s = 30

[[attachment]]
name = "programmer"
server = "[fd00::7]"
match = [{{ id = "0483:5740" }}, {{ id = "0483:df11" }}]
to = "vhci"
"""
    config = parse_config(text, "f")
    assert config.settings == Settings(1, 60, 100, "")
    stick, programmer = config.attachments
    assert stick == ConfiguredAttachment(
        name="stick",
        server=HostAddress("nas.lan", 3241),
        wanted=MatchSelector((Match(ids=("0781:5581",), serials=("4C53*",)),)),
        udc="20980000.usb",
        profile="/etc/own.toml",
        enabled=False,
        on_loss="hold",
        hold_s=30,
    )
    assert programmer.wanted.tables == (Match(ids=("0483:5740",)), Match(ids=("0483:df11",)))
    assert (programmer.server, programmer.to) == (HostAddress("fd00::7"), "vhci")
    assert config.attachment("programmer") is programmer
    assert config.attachment("x") is None


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (STICK + 'to = "gadgets"', '[[attachment]] to is "gadgets": it is no to: did you mean'),
        (STICK + 'nmae = "x"', "[[attachment]] has no key nmae: did you mean name?"),
        (STICK + 'udc = "a/b"', '[[attachment]] udc is "a/b": write the name that `gadgetip udc`'),
        (
            STICK + 'profile = "./own.toml"',
            '[[attachment]] profile is "./own.toml": write an absolu',
        ),
        (STICK + 'profile = "own.toml"', '[[attachment]] profile is "own.toml": write an absolute'),
        (STICK + 'profile = "my own"', '[[attachment]] profile is "my own": write "auto", a name'),
        (STICK + 'on_loss = "hold"', '[[attachment]] on_loss is "hold": say for how many seconds'),
        (STICK + 'to = "vhci"\nudc = "x"', '[[attachment]] udc goes with to = "gadget"'),
        (STICK + 'to = "vhci"\nhold_s = 1', '[[attachment]] hold_s goes with to = "gadget"'),
        (STICK + 'pump = "kernel"', '[[attachment]] pump is "kernel": to = "gadget" has auto, nat'),
        (
            STICK + 'to = "vhci"\npump = "python"',
            'pump is "python": to = "vhci" has auto, kernel',
        ),
        (STICK + STICK[len(HEAD) :], '[[attachment]] name is "stick": an earlier [[attachment]]'),
        (STICK.replace("stick", "a b"), '[[attachment]] name is "a b": a name has 1 to 64'),
        (STICK.replace('"nas"', '"nas:0"'), "[[attachment]] server is \"nas:0\": '0' is no port"),
        (STICK.replace("match = ", "matches = "), "[[attachment]] match is missing"),
        (HEAD + "[[attachment]]", "[[attachment]] name is missing"),
        (HEAD + '[board]\nhostname = "x"', "[board] is for images alone: take it out"),
        (HEAD + "[supervisor]\nretry_min_s = 40", "[supervisor] retry_min_s is more than"),
        (HEAD + "[supervisor]\npoll_ms = 1", "[supervisor] poll_ms is 1: it has to be 50 to 60000"),
        (HEAD + '[supervisor]\nhooks = "x"', '[supervisor] hooks is "x": write an absolute path'),
        (HEAD + "[[attachment]]\n" * 65, "there are 65: 64 are the most"),
    ],
)
def test_what_is_wrong(text: str, problem: str) -> None:
    assert any(problem in fault for fault in faults(text)), faults(text)


def test_the_sample_of_the_docs() -> None:
    page = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    sample = page.split("```toml\n")[1].split("```")[0]
    config = parse_config(sample, "docs/configuration.md")
    assert [each.name for each in config.attachments] == ["stick", "programmer"]


VALUES = st.recursive(
    st.one_of(st.integers(), st.booleans(), st.text(max_size=8), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.sampled_from(["id", "serial", "not", "x"]), inner, max_size=3),
    ),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["name", "server", "match", "to", "udc", "profile", "pump", "on_loss", "hold_s", "poll_ms"]
)


def toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, str):
        return "'" + value + "'"
    return repr(value)


@given(st.sampled_from(["supervisor", "attachment"]), st.dictionaries(KEYS, VALUES, max_size=6))
def test_whatever_is_written(table: str, keys: dict[str, object]) -> None:
    header = f"[[{table}]]" if table == "attachment" else f"[{table}]"
    lines = [f"{key} = {toml(value)}" for key, value in keys.items()]
    text = HEAD + "\n".join([header, *lines])
    try:
        config = parse_config(text, "f")
    except FileError:
        assert all(fault.isprintable() for fault in faults(text))
    else:
        assert len(config.attachments) == (table == "attachment")
