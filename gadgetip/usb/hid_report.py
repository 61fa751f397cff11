"""HID report descriptors, as far as one has to read them to let go of every key.

A report descriptor (HID 1.11, 6.2.2) is a run of items that say how the bits of each report are
used. Of interest are the input fields: where each is, and what it says when nothing is pressed and
nothing moves. That is the *neutral* report, made from the last one that was sent:

* an array holds the numbers of what is pressed: 0, which is no number of a key;
* a variable that is relative (a mouse's movement, a wheel) moves by 0;
* a variable of one bit, and whatever is on the pages of keys and buttons, is off;
* what has a null state (a hat switch) takes a value outside its range, if there is one;
* any other absolute variable (where a pen is on its tablet) stays where it was;
* padding stays as it was.

Hostile descriptors are read without a fault: what makes no sense has no fields.
"""

from dataclasses import dataclass

MAX_REPORT_BITS = 64 * 1024 * 8
MAX_FIELDS = 4096
_LONG_ITEM = 0xFE
_KEYBOARD_PAGE, _BUTTON_PAGE = 0x07, 0x09

_INPUT = 0x80
_PUSH, _POP = 0xA4, 0xB4
_USAGE_PAGE, _LOGICAL_MINIMUM, _LOGICAL_MAXIMUM = 0x04, 0x14, 0x24
_REPORT_SIZE, _REPORT_ID, _REPORT_COUNT = 0x74, 0x84, 0x94

_CONSTANT, _VARIABLE, _RELATIVE, _NULL_STATE = 0x01, 0x02, 0x04, 0x40


@dataclass(frozen=True, slots=True)
class _Globals:
    page: int = 0
    logical_minimum: int = 0
    logical_maximum: int = 0
    size: int = 0
    count: int = 0
    report_id: int = 0


@dataclass(frozen=True, slots=True)
class _Field:
    """`count` values of `size` bits each from bit `offset` on; `neutral` is what each becomes."""

    offset: int
    size: int
    count: int
    neutral: int


class InputReports:
    """The input reports of one HID interface, by report id; id 0 where there are no ids."""

    def __init__(self, descriptor: bytes) -> None:
        self._fields: dict[int, list[_Field]] = {}
        self._bits: dict[int, int] = {}
        self.has_ids = False
        self._read(descriptor)

    def id_of(self, report: bytes) -> int:
        """The report id: its first byte, where reports have ids."""
        return report[0] if self.has_ids and report else 0

    def length_of(self, report_id: int) -> int | None:
        """How many bytes a report has, its id included; None for one that is not described."""
        bits = self._bits.get(report_id)
        return None if bits is None else (bits + 7) // 8 + self.has_ids

    def neutral(self, report: bytes) -> bytes:
        """The neutral report that follows `report`; itself where it is not described."""
        report_id = self.id_of(report)
        if self.length_of(report_id) != len(report):
            return report
        head = 8 * self.has_ids
        value = int.from_bytes(report, "little")
        for each in self._fields.get(report_id, ()):
            # All values of a field at once: one by one a long report takes quadratic time.
            at = head + each.offset
            every = (1 << each.size * each.count) - 1
            neutral = each.neutral and each.neutral * (every // ((1 << each.size) - 1))
            value = value & ~(every << at) | neutral << at
        return value.to_bytes(len(report), "little")

    def _read(self, descriptor: bytes) -> None:
        state, saved, at, fields = _Globals(), list[_Globals](), 0, 0
        while at < len(descriptor):
            prefix = descriptor[at]
            if prefix == _LONG_ITEM:
                at += 3 + (descriptor[at + 1] if at + 1 < len(descriptor) else 0)
                continue
            size = (0, 1, 2, 4)[prefix & 3]
            data = descriptor[at + 1 : at + 1 + size]
            at += 1 + size
            tag = prefix & 0xFC
            if tag == _PUSH and len(saved) < MAX_FIELDS:
                saved.append(state)
            elif tag == _POP and saved:
                state = saved.pop()
            elif tag == _INPUT and fields < MAX_FIELDS:
                fields += 1
                self._add(state, int.from_bytes(data, "little"))
            else:
                state = _changed(state, tag, data)
                self.has_ids = self.has_ids or state.report_id != 0

    def _add(self, state: _Globals, flags: int) -> None:
        offset = self._bits.get(state.report_id, 0)
        bits = state.size * state.count
        if offset + bits > MAX_REPORT_BITS:
            return
        self._bits[state.report_id] = offset + bits
        neutral = _neutral(state, flags)
        if neutral is not None and bits:
            field = _Field(offset, state.size, state.count, neutral & (1 << state.size) - 1)
            self._fields.setdefault(state.report_id, []).append(field)


def _neutral(state: _Globals, flags: int) -> int | None:
    """What each value of a field is when nothing is pressed; None: as it was."""
    if flags & _CONSTANT:
        return None
    if state.size == 1 or state.page in {_KEYBOARD_PAGE, _BUTTON_PAGE}:
        return 0
    if flags & _VARIABLE and flags & _RELATIVE:
        return 0
    outside = _outside(state) if flags & _NULL_STATE else None
    return outside if outside is not None or flags & _VARIABLE else 0


def _outside(state: _Globals) -> int | None:
    """A value beyond the logical range; None where every value is in it."""
    low, high = state.logical_minimum, state.logical_maximum
    # What has a negative minimum is in two's complement (HID 1.11, 6.2.2.7).
    sign = 1 << state.size >> 1 if low < 0 else 0
    first, last = -sign, (1 << state.size) - 1 - sign
    if first <= high + 1 <= last:
        return high + 1
    return low - 1 if first <= low - 1 <= last else None


def _changed(state: _Globals, tag: int, data: bytes) -> _Globals:
    """The global state behind one item; items that matter to nobody here change nothing."""
    unsigned = int.from_bytes(data, "little")
    signed = int.from_bytes(data, "little", signed=True)
    page, low, high = state.page, state.logical_minimum, state.logical_maximum
    size, count, report_id = state.size, state.count, state.report_id
    if tag == _USAGE_PAGE:
        page = unsigned
    elif tag == _LOGICAL_MINIMUM:
        low = signed
    elif tag == _LOGICAL_MAXIMUM:
        high = signed
    elif tag == _REPORT_SIZE:
        size = min(unsigned, 4096)
    elif tag == _REPORT_COUNT:
        count = min(unsigned, MAX_REPORT_BITS)
    elif tag == _REPORT_ID:
        report_id = unsigned & 0xFF
    return _Globals(page, low, high, size, count, report_id)
