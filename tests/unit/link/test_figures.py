import socket

from gadgetip.link import StreamFigures


def test_what_a_stream_has_carried() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        socket.create_connection(listener.getsockname()) as client,
    ):
        server, _ = listener.accept()
        with server:
            client.sendall(b"x" * 1000)
            assert len(server.recv(1000, socket.MSG_WAITALL)) == 1000
            server.sendall(b"y" * 50)
            assert client.recv(50, socket.MSG_WAITALL) == b"y" * 50
            figures = StreamFigures.of(client)
            assert figures is not None
            # One more than was sent: the SYN has a sequence number too.
            assert figures.sent in {1000, 1001}
            assert figures.received == 50
            assert 0 < figures.round_trip_s < 5


def test_what_is_no_tcp_stream() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert StreamFigures.of(one) is None
