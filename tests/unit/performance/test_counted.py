from hypothesis import given
from hypothesis import strategies as st

from tests.performance.counted import calls_of

REPORT = """\
strace: Process 12 detached
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 62.10    0.410000         410      1000           epoll_wait
 20.00    0.100000          50      2000        17 recvfrom
  0.00    0.000000           0         3           pwrite64
------ ----------- ----------- --------- --------- ----------------
100.00    0.510000         169      3003        17 total
"""


def test_what_strace_counted() -> None:
    assert calls_of(REPORT) == {"recvfrom": 2000, "epoll_wait": 1000, "pwrite64": 3}
    assert list(calls_of(REPORT)) == ["recvfrom", "epoll_wait", "pwrite64"]


@given(st.text())
def test_anything_else_is_no_call(text: str) -> None:
    assert all(count >= 0 for count in calls_of(text).values())


def test_nothing_was_counted() -> None:
    assert calls_of("") == {}
