import json
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gadgetip.matching import Match
from gadgetip.server import policy as policy_module
from gadgetip.server.policy import (
    DEFAULT_POLICY,
    DenyRule,
    ExportRule,
    Policy,
    load_policy,
    parse_policy,
)
from gadgetip.strict_toml import FileError

HEAD = 'schema = "policy/1"\n'
RULE = HEAD + '[[export]]\nname = "x"\nmatch = { id = "0483:5740" }\n'

CONTRACT = """\
schema = "policy/1"

[serve]
listen = ["127.0.0.1", "::1"]
port = 3240
stub = "auto"
max_sessions = 16
max_sessions_per_client = 4
max_new_connections_per_s = 5
dead_client_s = 20

[[export]]
name = "programmer"
publish_as = "programmer"
match = [{ id = "0483:5740", busid = "1-1.4" }, { id = "0483:df11", busid = "1-1.4" }]
when = "plugged"
clients = ["192.168.1.0/24", "fd00::/8"]

[[deny]]
match = { class = "03/*/*", busid = "1-2*" }
"""


def fault_of(text: str) -> str:
    with pytest.raises(FileError) as error:
        parse_policy(text, "p.toml")
    assert str(error.value).isprintable()
    return str(error.value)


def test_a_whole_policy() -> None:
    assert parse_policy(CONTRACT, "p.toml") == Policy(
        exports=(
            ExportRule(
                name="programmer",
                matches=(
                    Match(ids=("0483:5740",), busids=("1-1.4",)),
                    Match(ids=("0483:df11",), busids=("1-1.4",)),
                ),
                publish_as="programmer",
                when="plugged",
                clients=(ip_network("192.168.1.0/24"), ip_network("fd00::/8")),
            ),
        ),
        denies=(DenyRule((Match(classes=("03/*/*",), busids=("1-2*",)),)),),
    )


def test_what_is_left_out_is_the_default() -> None:
    assert parse_policy(HEAD, "p.toml") == DEFAULT_POLICY
    assert parse_policy(HEAD + "export = []\ndeny = []\n[serve]\n", "p.toml") == DEFAULT_POLICY
    (rule,) = parse_policy(RULE, "p.toml").exports
    assert rule == ExportRule("x", (Match(ids=("0483:5740",)),), None, "plugged", ())


def test_every_key_of_serve() -> None:
    text = """[serve]
listen = ["0:0::0", "192.168.1.2", "fe80::1%eth0"]
port = 1
stub = "userspace"
max_sessions = 256
max_sessions_per_client = 1
max_new_connections_per_s = 1000
dead_client_s = 7.5
"""
    listen = ("::", "192.168.1.2", "fe80::1%eth0")
    expected = Policy(listen, 1, "userspace", 256, 1, 1000, 7.5)
    assert parse_policy(HEAD + text, "p.toml") == expected
    assert parse_policy(HEAD + '[serve]\nlisten = "::"', "p.toml").listen == ("::",)


@pytest.mark.parametrize(
    ("body", "line", "said"),
    [
        ("[server]", 2, "a policy has no key server: did you mean serve?"),
        ("[serve]\nports = 1", 3, "[serve] has no key ports: did you mean port?"),
        ("[serve]\nport = 0", 3, "port is 0: it has to be 1 to 65535"),
        ("[serve]\nport = '3240'", 3, "port is a text: it has to be a whole number"),
        ("[serve]\nstub = 'kernal'", 3, "it is no stub: did you mean kernel?"),
        ("[serve]\nlisten = 'nas.lan'", 3, "write an IPv4 or IPv6 address without a port"),
        ("[serve]\nlisten = '127.0.0.1:3240'", 3, "address without a port"),
        ("[serve]\nlisten = ['::1',\n'[::1]']", 4, "address without a port"),
        ("[serve]\nlisten = ['::1', '0:0::1']", 3, "listen has ::1 twice"),
        ("[serve]\nlisten = []", 3, "listen is an empty list: leave it out"),
        ("[serve]\nlisten = 1", 3, "listen is a whole number: it has to be a text or a list"),
        ("[serve]\nmax_sessions = 257", 3, "it has to be 1 to 256"),
        ("[serve]\nmax_sessions_per_client = 0", 3, "it has to be 1 to 256"),
        ("[serve]\nmax_new_connections_per_s = 0", 3, "it has to be 1 to 1000"),
        ("[serve]\ndead_client_s = 1", 3, "it has to be 2 to 3600"),
        ("[[export]]\nmatch = { id = '*:*' }", 2, "name is missing"),
        ("[[export]]\nname = 'a b'\nmatch = { id = '*:*' }", 3, "a name has 1 to 64 letters"),
        ("[[export]]\nname = 'x'", 2, "match is missing: say which devices are meant"),
        ("[[export]]\nname = 'x'\nmatch = []", 4, "match is an empty list"),
        ("[[export]]\nname = 'x'\nmatch = {}", 4, "[export.match] fits every device"),
        ("[[deny]]", 2, "[[deny]] match is missing"),
        ("[[deny]]\nmatch = { id = '483:*' }", 3, "write VID:PID"),
        ("[[deny]]\nmatch = { id = '*:*' }\nname = 'x'", 4, "[[deny]] has no key name"),
        ("[deny]\nmatch = { id = '*:*' }", 2, "it has to be a list of tables, [[deny]]"),
    ],
)
def test_faults_have_a_line_and_an_advice(body: str, line: int, said: str) -> None:
    message = fault_of(HEAD + body)
    assert message.startswith(f"p.toml:{line}: ")
    assert said in message


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("when = 'pluged'", "it is no when: did you mean plugged?"),
        ("publish = 'x'", "[[export]] has no key publish: did you mean publish_as?"),
        ("clients = []", "clients is an empty list: leave it out"),
        ("clients = '192.168.1.7/24'", 'the network is "192.168.1.0/24"'),
        ("clients = 'fd00::1/8'", 'the network is "fd00::/8"'),
        ("clients = 'nas.lan'", "write an address or a network"),
        ("clients = ''", "write an address or a network"),
        ("clients = ['10.0.0.1', '10.0.0.1/32']", "clients has 10.0.0.1/32 twice"),
        ("publish_as = ''", "1 to 31 bytes and no spaces"),
        ("publish_as = 'a b'", "1 to 31 bytes and no spaces"),
        ("publish_as = 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx'", "1 to 31 bytes"),
        ("publish_as = 'ääääääääääääääää'", "1 to 31 bytes"),
        ('publish_as = "\\u001b[2J"', "1 to 31 bytes"),
        ("publish_as = '0483:5740'", "means something else than a bus id"),
        ("publish_as = 'serial=x'", "means something else"),
        ("publish_as = 'x=y'", "1 to 31 bytes"),
        ("publish_as = '../x'", "must not begin"),
        ("publish_as = 'a/x'", 'nor hold a "/"'),
        ("publish_as = '--all'", "must not begin"),
        ("publish_as = '1-1.4'", "the kernel gives such names to ports"),
        ("publish_as = '1-1'", "the kernel gives such names to ports"),
        ("publish_as = '1-1:1.0'", "the kernel gives such names to ports"),
        ("publish_as = 'usb1'", "the kernel gives such names to ports"),
    ],
)
def test_faults_of_a_rule(key: str, said: str) -> None:
    message = fault_of(RULE + key)
    assert message.startswith("p.toml:5: [[export]] ")
    assert said in message


def test_a_rule_may_publish_its_own_port() -> None:
    text = HEAD + "[[export]]\nname = 'x'\npublish_as = '1-1.4'\nmatch = { busid = '1-1.4' }"
    assert parse_policy(text, "p.toml").exports[0].publish_as == "1-1.4"
    assert "the kernel gives" in fault_of(text.replace("busid = '1-1.4'", "busid = '1-1'"))
    globs = text.replace("1-1.4", "1-1*")
    assert parse_policy(globs, "p.toml").exports[0].publish_as == "1-1*"


def test_names_are_told_apart() -> None:
    assert 'name is "x": an earlier [[export]] has it too' in fault_of(RULE + RULE[len(HEAD) :])
    second = RULE[len(HEAD) :].replace('"x"', '"y"') + "publish_as = 'p'\n"
    both = RULE + "publish_as = 'p'\n" + second
    assert fault_of(both).startswith('p.toml:9: [[export]] publish_as is "p": an earlier')


def test_a_client_may_be_one_address() -> None:
    (rule,) = parse_policy(RULE + "clients = ['10.0.0.7', 'fd00::7']", "p.toml").exports
    assert rule.clients == (ip_network("10.0.0.7/32"), ip_network("fd00::7/128"))


def test_another_kind_of_file() -> None:
    said = 'schema is "profile/1": this release does not know that, but "policy/1"'
    assert said in fault_of('schema = "profile/1"\nname = "x"')


def test_where_the_policy_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usual, other = tmp_path / "policy.toml", tmp_path / "other.toml"
    monkeypatch.setattr(policy_module, "POLICY_FILE", usual)
    assert load_policy(None) == DEFAULT_POLICY
    usual.write_text(HEAD + "[serve]\nport = 1")
    assert load_policy(None).port == 1
    with pytest.raises(FileError, match=r"other\.toml: No such file"):
        load_policy(other)
    other.write_text(HEAD + "[serve]\nport = 2")
    assert load_policy(other).port == 2
    usual.unlink()
    usual.mkdir()
    with pytest.raises(FileError, match="Is a directory"):
        load_policy(None)
    usual.rmdir()
    usual.symlink_to("nowhere")
    with pytest.raises(FileError, match="No such file"):
        load_policy(None)


LINES = st.sampled_from([*CONTRACT.splitlines(), "'''", '"""', "x = [", "]", "{", "\\", "=", "\r"])


@given(st.lists(LINES | st.text(max_size=20), max_size=30).map("\n".join))
@example(CONTRACT)
@example("a = '\ud800'")
def test_any_text_is_a_policy_or_an_error(text: str) -> None:
    error = None
    try:
        hash(parse_policy(text, "p.toml"))
    except FileError as raised:
        error = raised
    if error:
        assert str(error).isprintable()
        assert all(1 <= fault.line <= text.count("\n") + 1 for fault in error.faults)


VALUES = st.recursive(
    st.integers(-2, 2**17).map(str)
    | st.sampled_from(["true", "'auto'", "'1-1'", "'::1'", "'10.0.0.0/8'", "'*:*'", "1.5", "''"])
    | st.text(st.characters(blacklist_categories=["C"], blacklist_characters="'"), max_size=40).map(
        lambda text: f"'{text}'"
    ),
    lambda inner: (
        st.lists(inner, max_size=3).map(lambda v: f"[{', '.join(v)}]")
        | inner.map(lambda v: f"{{ id = {v} }}")
    ),
    max_leaves=5,
)


@given(st.data())
def test_any_value_of_any_key_is_understood_or_refused_in_its_line(data: st.DataObject) -> None:
    lines = CONTRACT.splitlines()
    settings = [index for index, line in enumerate(lines) if " = " in line and index]
    at = data.draw(st.sampled_from(settings))
    key = lines[at].split(" = ")[0]
    lines[at] = f"{key} = {data.draw(VALUES)}"
    named: set[int] = set()
    try:
        parse_policy("\n".join(lines), "p.toml")
    except FileError as error:
        named = {fault.line - 1 for fault in error.faults}
    assert named <= {at}


def test_the_examples_of_the_reference_are_policies() -> None:
    text = (Path(__file__).parents[3] / "docs" / "policy.md").read_text()
    section = text.split("## By example")[1].split("## How it is decided")[0]
    examples = [
        "\n".join(line.strip() for line in block)
        for block in _indented_blocks(section.splitlines())
    ]
    assert len(examples) == 7
    for example_text in examples:
        whole = example_text if example_text.startswith("schema") else HEAD + example_text
        assert parse_policy(whole, "policy.md").exports


def _indented_blocks(lines: list[str]) -> list[list[str]]:
    """Runs of lines that are indented by four, and the empty lines between them."""
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.startswith("    ") or (not line and blocks[-1]):
            blocks[-1].append(line)
        elif blocks[-1]:
            blocks.append([])
    return [block for block in blocks if block]


def test_lists_have_an_end() -> None:
    for key, most, table in (("listen", 16, "serve"), ("clients", 256, "[export]")):
        addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(most + 1)]
        rest = 'name = "a"\nmatch = {id = "*:*"}\n' if key == "clients" else ""
        head = f'schema = "policy/1"\n[{table}]\n{rest}'
        parse_policy(f"{head}{key} = {json.dumps(addresses[:-1])}", "policy.toml")
        with pytest.raises(FileError, match=f"{key} has {most + 1} entries: {most} are the most"):
            parse_policy(f"{head}{key} = {json.dumps(addresses)}", "policy.toml")
