from gadgetip.supervisor.asking import EAGER_S, POLITE_S, Asking


def test_often_after_news_politely_later() -> None:
    now = [0.0]
    asking = Asking(0.5, lambda: now[0])
    assert asking.interval_s() == 0.5
    now[0] = EAGER_S
    assert asking.interval_s() == POLITE_S
    asking.renew()
    assert asking.interval_s() == 0.5


def test_never_more_often_than_was_asked_for() -> None:
    now = [0.0]
    asking = Asking(30.0, lambda: now[0])
    assert asking.interval_s() == 30.0
    now[0] = 2 * EAGER_S
    assert asking.interval_s() == 30.0
