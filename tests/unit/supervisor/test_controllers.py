"""Who has which controller."""

from hypothesis import given
from hypothesis import strategies as st

from gadgetip.supervisor.controllers import Assignment, Controller, Wish, assign

U1, U2, U3 = Controller("u1"), Controller("u2"), Controller("u3")


def test_in_the_order_of_the_file() -> None:
    answers = assign([Wish("a"), Wish("b")], [U1], {})
    assert answers == {"a": Assignment("u1"), "b": Assignment(reason="a has u1")}


def test_the_first_listed_takes_it_from_a_later_one() -> None:
    assert assign([Wish("a"), Wish("b")], [U1], {"b": "u1"})["a"] == Assignment("u1")
    answers = assign([Wish("a"), Wish("b"), Wish("c")], [U1, U2], {"b": "u1", "c": "u2"})
    assert answers["a"] == Assignment("u2"), "the last listed gives up"
    assert answers["b"] == Assignment("u1")
    assert answers["c"].reason == "b has u1; a has u2"


def test_nobody_is_moved_without_need() -> None:
    answers = assign([Wish("a"), Wish("b")], [U1, U2], {"a": "u2"})
    assert answers == {"a": Assignment("u2"), "b": Assignment("u1")}
    answers = assign([Wish("a"), Wish("b")], [U1, U2], {"b": "u1"})
    assert answers == {"a": Assignment("u2"), "b": Assignment("u1")}


def test_what_somebody_names_is_no_auto_ones() -> None:
    answers = assign([Wish("a"), Wish("b", "u1"), Wish("c", "u1")], [U1], {"a": "u1"})
    assert answers["b"] == Assignment("u1")
    assert answers["c"] == Assignment(reason="b has u1")
    assert answers["a"].reason == "b has u1"
    waits = assign([Wish("a"), Wish("b", "u2")], [U1, Controller("u2", "gadget g1")], {})
    assert waits["b"].reason == "u2 is in use by gadget g1: remove that"


def test_a_foreign_gadget_is_named() -> None:
    foreign = Controller("u1", "gadget g1")
    assert assign([Wish("a")], [foreign], {})["a"].reason == "u1 is in use by gadget g1"
    assert assign([Wish("a", "u9")], [foreign], {})["a"].reason == (
        "this machine has no controller u9"
    )
    assert "no USB device controller" in assign([Wish("a")], [], {})["a"].reason


NAMES = st.sampled_from(["u1", "u2", "u3", "u4"])


@given(
    st.lists(st.one_of(st.none(), NAMES), max_size=6),
    st.lists(st.tuples(NAMES, st.booleans()), unique_by=lambda each: each[0]),
    st.dictionaries(st.integers(0, 5), NAMES),
)
def test_whatever_is_wished(
    wished: list[str | None], there: list[tuple[str, bool]], running: dict[int, str]
) -> None:
    wishes = [Wish(str(index), udc) for index, udc in enumerate(wished)]
    controllers = [Controller(udc, "gadget x" if foreign else None) for udc, foreign in there]
    current = {str(index): udc for index, udc in running.items()}
    answers = assign(wishes, controllers, current)
    assert answers.keys() == {wish.name for wish in wishes}
    given_out = [answer.udc for answer in answers.values() if answer.udc is not None]
    assert len(given_out) == len(set(given_out))
    usable = {each.name for each in controllers if not each.foreign}
    assert set(given_out) <= usable
    for wish in wishes:
        answer = answers[wish.name]
        assert (answer.udc is None) == bool(answer.reason)
        assert wish.udc is None or answer.udc in {None, wish.udc}
    # An earlier one that wants any goes without only where nothing is left for later ones either.
    autos = [answers[wish.name].udc for wish in wishes if wish.udc is None]
    assert None not in autos or all(udc is None for udc in autos[autos.index(None) :])
    # Asked again with what came of it, nothing moves.
    settled = {name: answer.udc for name, answer in answers.items() if answer.udc is not None}
    assert assign(wishes, controllers, settled) == answers
