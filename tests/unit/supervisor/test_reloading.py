"""What a reload touches."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from gadgetip.link import HostAddress
from gadgetip.matching import Match, MatchSelector
from gadgetip.supervisor.config import Config, ConfiguredAttachment, Settings
from gadgetip.supervisor.reloading import Changes, changes

A = ConfiguredAttachment("a", HostAddress("nas"), MatchSelector((Match(ids=("1:2",)),)))
B = replace(A, name="b")
C = replace(A, name="c")


def test_only_what_changed() -> None:
    old = Config(Settings(), (A, B))
    new = Config(Settings(poll_ms=100), (C, replace(B, hold_s=3.0)))
    found = changes(old, new)
    assert found == Changes(added=("c",), removed=("a",), changed=("b",))
    assert str(found) == "added: c; removed: a; changed: b"


def test_the_order_is_no_change() -> None:
    assert changes(Config(Settings(), (A, B)), Config(Settings(), (B, A))) == Changes()
    assert str(Changes()) == "no attachment changed"


CONFIGS = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 2)).map(
    lambda holds: Config(
        Settings(), tuple(replace(A, name=name, hold_s=hold) for name, hold in holds.items())
    )
)


@given(CONFIGS, CONFIGS)
def test_every_difference_is_one_thing(old: Config, new: Config) -> None:
    found = changes(old, new)
    assert changes(old, old) == Changes()
    for name in "abcd":
        before, after = old.attachment(name), new.attachment(name)
        assert (name in found.added) == (before is None and after is not None)
        assert (name in found.removed) == (before is not None and after is None)
        assert (name in found.changed) == (
            before is not None and after is not None and before != after
        )
