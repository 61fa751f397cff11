"""A passphrase is taken out, and nothing else."""

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.appliance.striking_out import strike_out, struck

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
