"""The keyboard load's oracle finds what it is there for."""

from tests.soak.keys import KeyOracle

A, B = 30, 48
NONE: frozenset[int] = frozenset()


def test_a_key_that_stays_down_is_found() -> None:
    oracle = KeyOracle(limit_s=2)
    oracle.pressed(A, 0)
    oracle.host_sees(frozenset({A}), 1)
    oracle.released(A, 5)
    oracle.host_sees(frozenset({A}), 6)
    assert not oracle.faults
    oracle.host_sees(frozenset({A}), 7.5)
    assert len(oracle.faults) == 1
    assert oracle.worst_s == 2.5


def test_a_key_may_be_held_as_long_as_one_likes() -> None:
    oracle = KeyOracle(limit_s=2)
    oracle.pressed(A, 0)
    oracle.host_sees(frozenset({A}), 100)
    assert not oracle.faults


def test_a_key_that_is_held_over_a_loss_must_come_up() -> None:
    oracle = KeyOracle(limit_s=2)
    oracle.pressed(A, 0)
    oracle.link_lost(10)
    oracle.host_sees(frozenset({A}), 13)
    assert oracle.faults


def test_a_key_that_came_up_owes_nothing() -> None:
    oracle = KeyOracle(limit_s=2)
    oracle.pressed(A, 0)
    oracle.released(A, 1)
    oracle.host_sees(NONE, 2)
    oracle.pressed(A, 10)
    oracle.host_sees(frozenset({A}), 20)
    assert not oracle.faults


def test_a_key_pressed_anew_is_not_late() -> None:
    oracle = KeyOracle(limit_s=2)
    oracle.pressed(A, 0)
    oracle.released(A, 1)
    oracle.pressed(A, 2)
    oracle.host_sees(frozenset({A}), 10)
    assert not oracle.faults


def test_the_final_state_is_the_devices() -> None:
    oracle = KeyOracle(limit_s=2)
    oracle.pressed(A, 0)
    oracle.finally_sees(frozenset({A}))
    assert not oracle.faults
    oracle.finally_sees(frozenset({A, B}))
    oracle.finally_sees(NONE)
    assert len(oracle.faults) == 2
