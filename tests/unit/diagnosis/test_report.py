"""What a report is made of, how it is bounded, and that nothing private is in it."""

import io
import stat
import tarfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.diagnosis import report as module
from gadgetip.diagnosis.report import (
    SECTION_LIMIT_CHARACTERS,
    TIME_LIMIT_S,
    make_report,
    write_report,
)
from gadgetip.diagnosis.sections import SECTIONS, Section, concerns_usb, whole_lines
from gadgetip.errors import GadgetipError

SERIAL = "4C530001230401119021"


def section(name: str, text: str) -> Section:
    return Section(name, name.title(), lambda: text)


@given(
    st.text("0123456789ABCDEFGHIJ", min_size=8, max_size=24),
    st.lists(st.text(max_size=60), min_size=2, max_size=4),
    st.booleans(),
)
def test_no_serial_survives_in_any_section(serial: str, texts: list[str], known: bool) -> None:
    """Known from the machine, or because one section's words point at it."""
    sections = [section(f"s{i}", f"{text} {serial}x") for i, text in enumerate(texts)]
    pointing = section("log", f"usb 1-1: SerialNumber: {serial}\n")
    if not known:
        sections.append(pointing)
    made = make_report(sections=sections, serials=[serial] if known else [])
    assert serial not in made.text()
    assert serial.lower() not in made.text().lower()


def test_a_section_that_is_cut_has_no_half_of_a_serial() -> None:
    half = SECTION_LIMIT_CHARACTERS // 2
    text = "-" * (half - 10) + SERIAL + "-" * half + "\n"
    made = make_report(sections=[section("a", text)], serials=[SERIAL])
    assert SERIAL[:8] not in made.text()
    assert len(made.text()) < SECTION_LIMIT_CHARACTERS + 200
    assert "left out" in made.text()


def test_a_section_that_fails_is_a_line() -> None:
    def fails() -> str:
        raise PermissionError(13, "Permission denied", "/proc/kmsg")

    made = make_report(sections=[Section("a", "A", fails), section("b", "here")], serials=[])
    assert "(cannot be collected: [Errno 13] Permission denied" in made.text()
    assert "here" in made.text()


def test_time_is_bounded() -> None:
    times = iter([0.0, TIME_LIMIT_S - 1, TIME_LIMIT_S + 1])
    made = make_report(
        sections=[section("a", "first"), section("b", "second")],
        serials=[],
        clock=lambda: next(times),
    )
    assert "first" in made.text()
    assert "second" not in made.text()
    assert "no time left" in made.text()


def test_addresses_only_when_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "machine_and_user_names", lambda: ["dongle", "nas.lan"])
    one = section("a", "dongle 192.168.1.20 nas.lan")
    assert "dongle 192.168.1.20" in make_report(sections=[one], serials=[]).text()
    made = make_report(sections=[one], serials=[], addresses=True)
    for word in ("dongle", "192.168", "nas.lan"):
        assert word not in made.text()
    assert made.replaced == {"names": 2, "addresses": 1}


def test_text_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "r.txt"
    made = make_report(sections=[section("a", "ü \ud800")], serials=[])
    write_report(path, made)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text().startswith("==== A\n\nü ?")


@pytest.mark.parametrize("name", ["r.txt", "r.tar.gz"])
def test_nothing_is_written_over(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("older")
    with pytest.raises(GadgetipError, match="exists: remove it first, or choose another file"):
        write_report(path, make_report(sections=[section("a", "b")], serials=[]))
    assert path.read_text() == "older"


def test_archive(tmp_path: Path) -> None:
    made = make_report(sections=[section("a", f"x {SERIAL}"), section("b", "")], serials=[SERIAL])
    path = tmp_path / "r.tar.gz"
    write_report(path, made)
    with tarfile.open(fileobj=io.BytesIO(path.read_bytes())) as archive:
        texts = {
            entry.name: archive.extractfile(entry).read()  # type: ignore[union-attr]
            for entry in archive
        }
    assert texts == {
        "gadgetip-report/a.txt": b"A\n\nx <serial-1>\n",
        "gadgetip-report/b.txt": b"B\n\n(nothing)\n",
    }


def test_a_file_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    made = make_report(sections=[], serials=[])
    for path in (tmp_path / "no/such/place.txt", tmp_path / "link"):
        with pytest.raises(GadgetipError, match="choose another file"):
            write_report(path, made)


def test_every_section_works_here() -> None:
    """On whatever machine runs the tests: nothing raises, everything is text."""
    made = make_report(addresses=True)
    assert [name for name, _, _ in made.parts] == [each.name for each in SECTIONS]
    assert "cannot be collected" not in made.text()
    assert "gadgetip " in made.text()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("[1.0] usb 1-1: new high-speed USB device", True),
        ("[1.0] dwc2 20980000.usb: bound driver", True),
        ("[1.0] configfs-gadget gadget.0: high-speed", True),
        ("[1.0] EXT4-fs (mmcblk0p2): mounted", False),
    ],
)
def test_lines_that_concern_usb(line: str, expected: bool) -> None:
    assert concerns_usb(line) is expected


@given(st.text(), st.integers(1, 40))
def test_whole_lines(text: str, limit: int) -> None:
    cut = text.encode()[:limit].decode("utf-8", "ignore")
    kept = whole_lines(cut, limit)
    assert cut.startswith(kept)
    assert kept == cut or len(cut.encode()) >= limit
