"""What somebody reads who has put the card back into a PC."""

from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.problem_text import WIDTH, problem_text, problems_of

from .configs import CONFIG as PLAIN
from .configs import PASSPHRASE

RIGHT = b'schema = "config/1"\n[board]\nhostname = "dongle"\n'


def test_nothing_is_wrong() -> None:
    assert problem_text(RIGHT) == ""


def test_what_it_says() -> None:
    wrong = RIGHT.replace(b"hostname", b"hostnaem") + b'[board.wifi]\ncountry = "de"\nssid="x"\n'
    assert problem_text(wrong, earlier=True) == (
        """\
gadgetip.toml cannot be used: 3 things are wrong.

* Line 3: [board] has no key hostnaem: did you mean hostname?

* Line 4: [board.wifi] psk is missing: the passphrase of the network; "" if it
  is open

* Line 5: [board.wifi] country has to be the two capital letters of the
  country, "DE", "GB", "US"

The board goes on with the last gadgetip.toml that was right.

What to do: open gadgetip.toml, beside this file, in a text editor (Notepad
will do), correct it, and start the board again with this card. This file goes
away when all is well.
"""
    )


def test_a_file_that_is_no_toml() -> None:
    text = problem_text(RIGHT + b"[board\n")
    assert "one thing is wrong" in text
    assert "Line 4: this is no TOML" in text
    assert "does nothing until" in text


@given(st.one_of(st.binary(max_size=200), st.text(max_size=200).map(str.encode)))
def test_any_file(data: bytes) -> None:
    for content in (data, RIGHT + data, RIGHT + b'[board.wifi]\npsk = "' + data + b'"\n'):
        text = problem_text(content)
        assert bool(text) == bool(problems_of(content))
        assert all(line.isprintable() for line in text.split("\n"))
        assert all(len(line) <= WIDTH or " " not in line.strip("* ") for line in text.split("\n"))


@given(st.text(st.characters(codec="ascii", min_codepoint=33, max_codepoint=126), min_size=64))
def test_a_passphrase_is_never_in_it(psk: str) -> None:
    quoted = psk.replace("\\", "\\\\").replace('"', '\\"')
    wifi = f'[board.wifi]\ncountry = "DE"\nssid = "lab"\npsk = "{quoted}"\n'
    text = problem_text(RIGHT + wifi.encode())
    assert psk not in "".join(text.split())


def test_the_device_as_a_plain_text() -> None:
    wrong = RIGHT + b'[[attachment]]\nname = "x"\nserver = "y"\nmatch = "0781:5581"\n'
    (problem,) = problems_of(wrong)
    assert problem.endswith('match is a text: it has to be a table, match = { id = "0781:5581" }')


SECRETS = ("secretive lab", PASSPHRASE)
CONFIG = PLAIN.replace('ssid = "lab"', f'ssid = "{SECRETS[0]}"')
QUOTES = ('"', "'", "“", "”", "„", "")


@given(st.data())
def test_no_value_of_a_mutated_file_is_in_it(data: st.DataObject) -> None:
    """Whatever slips while it is edited."""
    lines = CONFIG.splitlines()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        line = lines[at]
        cut = data.draw(st.integers(0, len(line)))
        lines[at] = data.draw(
            st.sampled_from(
                [
                    line.replace('"', data.draw(st.sampled_from(QUOTES))),
                    line.replace('"', data.draw(st.sampled_from(QUOTES)), 1),
                    line.replace("=", data.draw(st.sampled_from(["", ":", "==", " "]))),
                    line[:cut] + data.draw(st.sampled_from([*QUOTES, "#", "\\", "{"])) + line[cut:],
                    line[:cut] + line[cut + 1 :],
                    "",
                ]
            )
        )
    text = data.draw(st.sampled_from(["\n", "\r\n"])).join(lines)
    encoding = data.draw(
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
    )
    page = " ".join(problem_text(text.encode(encoding)).split())
    for value in SECRETS:
        assert value not in page
