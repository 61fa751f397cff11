"""Reports of sanitizers are told apart, and ours from others'."""

from hypothesis import given
from hypothesis import strategies as st

from tests.native.reports import parse_reports

ASAN = """\
=================================================================
==7==ERROR: AddressSanitizer: heap-buffer-overflow on address 0x602 at pc 0x7f bp 0x7f sp 0x7f
READ of size 1 at 0x602 thread T0
    #0 0x7f in wire_parse gadgetip/pump/native/wire.c:23
    #1 0x7f in ffi_call (/lib/libffi.so.8+0x7)
"""
LEAKS = """\
==7==ERROR: LeakSanitizer: detected memory leaks

Direct leak of 64 byte(s) in 1 object(s) allocated from:
    #0 0x7f in malloc (/usr/lib/libasan.so.8+0xb)
    #1 0x5 in PyMem_RawMalloc (/usr/bin/python3.11+0x1)

Indirect leak of 8 byte(s) in 1 object(s) allocated from:
    #0 0x7f in malloc (/usr/lib/libasan.so.8+0xb)
    #1 0x7f  (/somewhere/gadgetip/pump/_native.abi3.so+0x1139)

SUMMARY: AddressSanitizer: 72 byte(s) leaked in 2 allocation(s).
"""
UBSAN = (
    "gadgetip/pump/native/wire.c:9:14: runtime error: shift exponent 32 is too large\n"
    "\x1b[1m/other/thing.c:9:14:\x1b[1m\x1b[31m runtime error: \x1b[0mindex 9 out of bounds\n"
)
TSAN = """\
==================
WARNING: ThreadSanitizer: data race (pid=7)
  Write of size 4 at 0x7f by thread T1:
    #0 count gadgetip/pump/native/engine.c:55 (_native.abi3.so+0x11d4)
==================
WARNING: ThreadSanitizer: data race (pid=7)
  Write of size 8 at 0x7b by main thread:
    #0 free <null> (libtsan.so.2+0x3)
    #1 PyObject_Free <null> (python3.11+0x3)
==================
"""


def test_the_whole_of_a_day() -> None:
    reports = parse_reports(ASAN + LEAKS + UBSAN + TSAN)
    assert [(report.title.split(" (pid")[0], report.ours) for report in reports] == [
        (ASAN.splitlines()[1], True),
        ("Direct leak of 64 byte(s) in 1 object(s) allocated from:", False),
        ("Indirect leak of 8 byte(s) in 1 object(s) allocated from:", True),
        (UBSAN.splitlines()[0], True),
        ("/other/thing.c:9:14: runtime error: index 9 out of bounds", False),
        ("WARNING: ThreadSanitizer: data race", True),
        ("WARNING: ThreadSanitizer: data race", False),
    ]


@given(st.text())
def test_other_words_are_no_report(text: str) -> None:
    assert parse_reports("nothing of note\n" + text) == []
