"""How a connected TCP socket notices that its peer is dead, for whoever speaks on it.

A client whose machine lost power or its network says nothing any more, and only timers tell. Two
cases, each with a timer of its own (net/ipv4/tcp_timer.c, Linux 6.12):

* Nothing is on its way to the client: `tcp_keepalive_timer` probes after TCP_KEEPIDLE and then
  every TCP_KEEPINTVL. With TCP_USER_TIMEOUT set, TCP_KEEPCNT does not count at all: the connection
  ends as soon as nothing was heard for that time and at least one probe went out.
* Something is on its way (or the client's window is closed): keepalive waits, and the
  retransmission (or window probe) timer ends the connection once TCP_USER_TIMEOUT has passed since
  the first retransmission (`retransmits_timed_out`, `tcp_probe_timer`). A client that is alive and
  does not read is ended by it too.

The two can follow each other: a client dies, is silent almost as long as the first allows, and
then the device sends something, which starts the second. So the limit has to hold twice over, and
what follows it needs time as well: the stub kills the transfers and resets the device (0.1 to 1 s).
Hence 45 % of the limit: of 20 s, 9 s for each; 18 s in the worst case, 9 to 10 s in the usual one.

Stock usbipd sets none of this. Its kernel's defaults notice a dead client after two hours.
"""

import socket

SHARE = 0.45
KEEPALIVE_INTERVAL_S = 1
KEEPALIVE_PROBES = 5


def user_timeout_ms(dead_client_s: float) -> int:
    """TCP_USER_TIMEOUT for a client that must be noticed within `dead_client_s` seconds."""
    return max(int(dead_client_s * SHARE * 1000), 1000)


def notice_death(stream: socket.socket, dead_client_s: float) -> None:
    """Make the stream prompt, and its end certain within `dead_client_s` seconds of silence.

    Only TCP has timers; another kind of stream socket is left alone. The settings belong to the
    socket, so they stay with it when the kernel's stub takes it over.
    """
    if stream.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    timeout_ms = user_timeout_ms(dead_client_s)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(timeout_ms // 3000, 1))
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_INTERVAL_S)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, KEEPALIVE_PROBES)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, timeout_ms)
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
