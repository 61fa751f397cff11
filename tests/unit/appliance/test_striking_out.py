"""A passphrase is taken out, and nothing else."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.striking_out import MAX_GUESSES, mend, strike_out, struck
from gadgetip.strict_toml import MAX_FILE_BYTES

from .configs import CONFIG, PASSPHRASE


def taken_out(text: str) -> str:
    data = text.encode()
    edit = strike_out("f", data)
    assert edit is not None
    assert data[edit.offset : edit.offset + len(edit.old)] == edit.old
    result = struck(data, edit)
    assert len(result) == len(data)
    return result.decode()


def test_the_rest_stays_as_it_is() -> None:
    before, after = CONFIG.splitlines(), taken_out(CONFIG).splitlines()
    assert after[-1] == 'psk = "moved"                    # the one on the router'
    assert after[:-1] == before[:-1]


@pytest.mark.parametrize(
    "wifi",
    [
        '[board.wifi]\npsk = "correct horse"',
        "[board.wifi]\n'psk' = 'correct horse' # psk = 'x'",
        '[board.wifi]\n"psk"\t=\t"""correct horse"""',
        "[board.wifi]\npsk = '''\ncorrect horse'''\nssid = 'y'",
        '[board.wifi]\npsk = "correct \\u0068orse"\r\nssid = "y"\r\n',
        '[board]\nwifi = { ssid = "y", psk = "correct horse", country = "DE" }',
        'board.wifi.psk = "correct horse"',
        '[x]\npsk = "correct horse"\n[board.wifi]\npsk = "correct horse"',
        '# psk = "correct horse"\n[board.wifi]\n# don\'t\npsk = "correct horse"',
        '[board.wifi]\nssid = "ü psk = \\"x\\""\npsk = "correct horse"',
        '\ufeff[board.wifi]\npsk = "correct horse"',
        '[board]\nwifi = { ssid = """\n# x""", psk = "correct horse" } # psk = "x"',
        '[board.wifi]\nssid = """\npsk = "x"\n"""\npsk = "correct horse"',
        '[board.wifi]\nssid = \'psk = "x"\'\n"psk"="correct horse"',
        '[board.wifi]\nssid = """a\\""" psk = "x" """""\npsk = "correct horse"',
    ],
)
def test_however_it_is_written(wifi: str) -> None:
    text = taken_out(wifi)
    before, after = (tomllib.loads(each.removeprefix("\ufeff")) for each in (wifi, text))
    assert before["board"]["wifi"].pop("psk") == PASSPHRASE
    assert after["board"]["wifi"].pop("psk") == "moved"
    assert before == after


def test_a_key_that_hides() -> None:
    assert strike_out("f", b'[board.wifi]\n"p\\u0073k" = "correct horse"') is None


@given(st.text(min_size=8, max_size=63), st.text(), st.sampled_from(['"', "'", '"""', "'''"]))
def test_any_passphrase(psk: str, comment: str, quote: str) -> None:
    text = f"# {comment}\n[board.wifi]\npsk = {quote}{psk}{quote}  # {comment}\nssid = 'x'\n"
    try:
        before = tomllib.loads(text)
    except ValueError:
        return
    if set(before["board"]["wifi"]) != {"psk", "ssid"} or len(before["board"]["wifi"]["psk"]) < 8:
        return
    after = taken_out(text)
    assert tomllib.loads(after)["board"]["wifi"] == {"psk": "moved", "ssid": "x"}


def count_readings(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The lengths of what is parsed from now on."""
    lengths: list[int] = []
    real = tomllib.loads

    def loads(text: str) -> dict[str, object]:
        lengths.append(len(text))
        return real(text)

    monkeypatch.setattr(tomllib, "loads", loads)
    return lengths


@pytest.mark.parametrize(
    "line",
    [
        '# psk = "correct horse"\n',
        '#psk="correct horse" psk="correct horse"\n',
        '\t # "psk" = "moved"\n',
        "# psk = '''\n",
        "",
    ],
)
def test_a_file_full_of_comments_is_read_twice(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Each further reading of it takes a slow board seconds."""
    text = (line * (MAX_FILE_BYTES // max(len(line), 1)))[: MAX_FILE_BYTES - len(CONFIG) - 1]
    readings = count_readings(monkeypatch)
    after = taken_out(f"{text}\n{CONFIG}")
    assert len(readings) == 2
    assert after.startswith(text)
    assert PASSPHRASE not in after[len(text) :]


@pytest.mark.parametrize(
    ("quote", "line"), [("'''", 'psk = "correct horse"\n'), ('"""', "psk = 'correct horse'\n")]
)
def test_a_text_full_of_what_looks_like_it(
    monkeypatch: pytest.MonkeyPatch, quote: str, line: str
) -> None:
    readings = count_readings(monkeypatch)
    taken_out(f"other = {quote}{line * 10_000}{quote}\n{CONFIG}")
    assert len(readings) == 2


def test_guesses_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a reader let such keys through, which none does."""
    readings = count_readings(monkeypatch)
    others = "".join(f'[x{number}]\npsk = "correct horse"\n' for number in range(100))
    assert strike_out("f", f"{others}{CONFIG}".encode()) is None
    assert len(readings) == 1 + MAX_GUESSES


@given(st.integers(0, 12), st.booleans(), st.text("psk = '\"#\n\\mo", max_size=30))
def test_an_interrupted_one_is_ended(cut: int, first: bool, comment: str) -> None:
    right = CONFIG.replace(f'"{PASSPHRASE}"', '"moved"'.ljust(len(PASSPHRASE) + 2))
    lines = "".join(f"# {line}\n" for line in ['psk = "moved"', *comment.split("\n")])
    written, meant = (f"{lines}{each}".encode() for each in (CONFIG, right))
    middle = written.index(f'"{PASSPHRASE}"'.encode()) + 1 + cut
    torn = (written[:middle] + meant[middle:]) if first else (meant[:middle] + written[middle:])
    edit = mend("f", torn, meant)
    assert struck(torn, edit) == meant
    assert (edit is None) is (torn == meant)
