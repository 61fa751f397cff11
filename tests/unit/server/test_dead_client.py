import socket

import pytest

from gadgetip.server.dead_client import notice_death, user_timeout_ms


@pytest.mark.parametrize("limit", [5.0, 20.0, 60.0])
def test_the_limit_holds_twice_over(limit: float) -> None:
    # Silence while idle, then silence while something is under way, then the reset.
    assert 2 * user_timeout_ms(limit) / 1000 + 0.05 * limit < limit


def test_the_settings_are_on_the_socket() -> None:
    with socket.socket() as stream:
        notice_death(stream, 20.0)
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 9000
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 3
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL) == 1
        assert stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        assert stream.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1


def test_a_stream_that_is_no_tcp_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        notice_death(ours, 20.0)
