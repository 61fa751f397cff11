"""What the kernel says of a real connection over loopback."""

import socket

from gadgetip.link import connection_info
from tests.unit.pump.stub import tcp_pair


def test_what_has_moved_and_how_long_it_takes() -> None:
    ours, theirs = tcp_pair()
    with ours, theirs:
        before, peer_before = connection_info(ours), connection_info(theirs)
        assert before is not None
        assert peer_before is not None
        for end in (ours, theirs):
            end.setblocking(True)
        ours.sendall(bytes(3000))
        assert len(theirs.recv(3000, socket.MSG_WAITALL)) == 3000
        theirs.sendall(b"done")
        assert ours.recv(4, socket.MSG_WAITALL) == b"done"
        info, peer = connection_info(ours), connection_info(theirs)
        assert info is not None
        assert peer is not None
        # What has been acknowledged counts as sent; the answer carried the acknowledgement.
        assert info.bytes_sent - before.bytes_sent == 3000
        assert info.bytes_received - before.bytes_received == 4
        assert peer.bytes_received - peer_before.bytes_received == 3000
        assert 0 < info.round_trip_s < 1
        assert info.shortest_round_trip_s is not None
        assert 0 <= info.shortest_round_trip_s <= info.round_trip_s
        assert info.retransmits == 0


def test_what_is_no_connection() -> None:
    left, right = socket.socketpair()
    with left, right:
        assert connection_info(left) is None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        assert connection_info(datagrams) is None
    ours, theirs = tcp_pair()
    theirs.close()
    ours.close()
    assert connection_info(ours) is None
