import json
import multiprocessing
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import GadgetipError, PrerequisiteError
from gadgetip.server import bindings as module
from gadgetip.server.bindings import (
    Binding,
    Bindings,
    Places,
    add_binding,
    binding_for,
    load_bindings,
    meant_by,
    remove_binding,
)
from gadgetip.server.bindings_form import build_bindings, parse_bindings

from .local_devices import KEYBOARD, STICK, stick

BY_SERIAL = Binding("0781:5581", "4C53", "1-1")
BY_PORT = Binding("046d:c31c", None, "1-2.1")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(
        tmp_path / "lib" / "bindings.json",
        tmp_path / "run" / "bindings.json",
        tmp_path / "run" / "bindings.lock",
    )


def test_marks_are_kept(places: Places) -> None:
    assert load_bindings(places) == Bindings()
    assert add_binding(BY_SERIAL, places)
    assert not add_binding(BY_SERIAL, places)
    once = replace(BY_PORT, once=True, forced=True)
    assert add_binding(once, places)
    assert load_bindings(places) == Bindings((BY_SERIAL, once))
    assert parse_bindings(places.kept.read_bytes(), once=False) == (BY_SERIAL,)
    assert parse_bindings(places.once.read_bytes(), once=True) == (once,)
    assert remove_binding(BY_SERIAL, places)
    assert not remove_binding(BY_SERIAL, places)
    assert load_bindings(places) == Bindings((once,))
    assert remove_binding(once, places)
    assert load_bindings(places) == Bindings()


def test_a_mark_is_kept_if_anybody_wished_so(places: Places) -> None:
    once = replace(BY_SERIAL, once=True)
    assert add_binding(once, places)
    assert add_binding(BY_SERIAL, places)
    assert load_bindings(places) == Bindings((BY_SERIAL,))
    assert parse_bindings(places.once.read_bytes(), once=True) == ()
    assert not add_binding(once, places)
    assert load_bindings(places) == Bindings((BY_SERIAL,))


def test_force_stays(places: Places) -> None:
    assert add_binding(BY_SERIAL, places)
    assert add_binding(replace(BY_SERIAL, forced=True), places)
    assert not add_binding(BY_SERIAL, places)
    assert load_bindings(places) == Bindings((replace(BY_SERIAL, forced=True),))


def test_everybody_may_read_and_root_writes(places: Places) -> None:
    add_binding(BY_SERIAL, places)
    assert stat.S_IMODE(places.kept.stat().st_mode) == 0o644
    assert stat.S_IMODE(places.lock.stat().st_mode) == 0o600
    assert list(places.kept.parent.iterdir()) == [places.kept]


def test_links_are_not_followed(places: Places, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    places.kept.parent.mkdir()
    places.kept.symlink_to(victim)
    with pytest.raises(GadgetipError, match=r"bindings\.json: it is a symbolic link: remove it"):
        load_bindings(places)
    places.kept.unlink()
    (places.kept.parent / ".bindings.json.new").symlink_to(victim)
    assert add_binding(BY_SERIAL, places)
    assert victim.read_text() == "precious"
    assert load_bindings(places) == Bindings((BY_SERIAL,))


def test_what_is_no_file(places: Places) -> None:
    places.kept.parent.mkdir()
    os.mkfifo(places.kept)
    with pytest.raises(GadgetipError, match="it is no plain file"):
        load_bindings(places)
    places.kept.unlink()
    places.kept.mkdir()
    with pytest.raises(GadgetipError, match="no plain file"):
        load_bindings(places)


ENTRY = {"id": "0781:5581", "serial": "4C53", "busid": "1-1", "forced": False}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "it is no JSON"),
        ("[" * 100_000, "it is no JSON"),
        ("[]", "it is no list of bindings"),
        ('{"schema": "bindings/2", "bindings": []}', "it is no list of bindings of the format"),
        ('{"schema": "bindings/1"}', "it is no list of bindings"),
        (" " * (256 * 1024 + 1), "it has more than 256 KiB"),
        ([ENTRY, ENTRY], "it has a binding twice"),
        ([ENTRY] * 513, "it holds more than 512"),
        ([3], "binding 1 is none"),
        ([{**ENTRY, "x": 1}], "binding 1 is none"),
        ([{**ENTRY, "id": "0781:558"}], "binding 1 has no VID:PID"),
        ([{**ENTRY, "id": None}], "binding 1 has no VID:PID"),
        ([{**ENTRY, "serial": ""}], "no usable serial number"),
        ([{**ENTRY, "serial": "x" * 127}], "no usable serial number"),
        ([{**ENTRY, "serial": 5}], "no usable serial number"),
        ([{**ENTRY, "busid": "../1-1"}], "no usable bus id"),
        ([{**ENTRY, "busid": "1-1\n"}], "no usable bus id"),
        ([{**ENTRY, "serial": None, "busid": None}], "neither a serial number nor a bus id"),
        ([{**ENTRY, "forced": 1}], "forced is neither true nor false"),
    ],
)
def test_a_damaged_file_is_one_clear_error(places: Places, content: object, said: str) -> None:
    if not isinstance(content, str):
        content = json.dumps({"schema": "bindings/1", "bindings": content})
    places.kept.parent.mkdir()
    places.kept.write_text(content)
    for call in (load_bindings, lambda p: add_binding(BY_PORT, p)):
        with pytest.raises(GadgetipError) as error:
            call(places)
        assert said in str(error.value)
        assert str(error.value).startswith(f"{places.kept}: ")
        assert str(error.value).endswith(": remove it, and bind anew what is to be exported")
    assert places.kept.read_text() == content


@given(st.binary(max_size=300))
def test_any_bytes_are_marks_or_a_value_error(data: bytes) -> None:
    problem = ""
    try:
        parse_bindings(data, once=False)
    except ValueError as error:
        problem = str(error)
    assert problem.isprintable()


SERIALS = st.none() | st.text(min_size=1, max_size=126)
MARKS = st.lists(
    st.builds(
        Binding,
        st.from_regex(r"[0-9a-f]{4}:[0-9a-f]{4}", fullmatch=True),
        SERIALS,
        st.sampled_from(["1-1", "2-1.4.3"]),
        st.booleans(),
    ),
    max_size=5,
    unique_by=lambda mark: mark.key,
)


@given(MARKS)
def test_what_is_written_is_read(marks: list[Binding]) -> None:
    assert parse_bindings(build_bindings(marks), once=False) == tuple(marks)


def test_no_right_to_write(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    def no(*_: object, **__: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("os.open", no)
    with pytest.raises(PrerequisiteError, match="run it as root"):
        add_binding(BY_SERIAL, places)
    with pytest.raises(PrerequisiteError, match="run it as root"):
        load_bindings(places)


def _add_ten(places: Places, first: int) -> None:
    for number in range(first, first + 10):
        add_binding(Binding("0000:0000", None, f"1-{number}"), places)


def test_writers_wait_for_each_other(places: Places) -> None:
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_add_ten, args=(places, n * 10)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    assert len(load_bindings(places)) == 40


def test_a_lock_that_nobody_lets_go(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LOCK_LIMIT_S", 0.1)
    with (
        module._locked(places),
        pytest.raises(GadgetipError, match="is held by another gadgetip"),
    ):
        add_binding(BY_SERIAL, places)


def test_how_a_device_is_marked() -> None:
    devices = [STICK, KEYBOARD]
    assert binding_for(STICK, devices) == BY_SERIAL
    assert binding_for(KEYBOARD, devices, once=True) == replace(BY_PORT, once=True)
    copies = [STICK, stick("1-3")]
    assert binding_for(STICK, copies) == Binding("0781:5581", None, "1-1")
    other_product = stick("1-3", idProduct=1)
    assert binding_for(STICK, [STICK, other_product]) == BY_SERIAL
    endless = stick("1-1", "x" * 127)
    assert binding_for(endless, [endless]) == Binding("0781:5581", None, "1-1")


def test_which_device_is_meant() -> None:
    elsewhere = stick("2-1")
    marks = Bindings((BY_SERIAL, BY_PORT))
    assert marks.of(STICK, [STICK]) == BY_SERIAL
    assert marks.of(elsewhere, [elsewhere]) == BY_SERIAL
    assert marks.of(KEYBOARD, [STICK, KEYBOARD]) == BY_PORT
    assert marks.of(replace(KEYBOARD, busid="1-3"), [KEYBOARD]) is None
    assert marks.of(replace(KEYBOARD, idProduct=1), [KEYBOARD]) is None
    assert marks.of(stick("1-1", "other"), [STICK]) is None
    # Of copies, the one where it was bound.
    assert meant_by(BY_SERIAL, [STICK, elsewhere]) == (STICK,)
    assert marks.of(elsewhere, [STICK, elsewhere]) is None
    assert meant_by(BY_SERIAL, [elsewhere, stick("2-2")]) == ()
    by_port_too = Bindings((BY_SERIAL, Binding("0781:5581", None, "2-1")))
    assert by_port_too.of(elsewhere, [STICK, elsewhere]) == Binding("0781:5581", None, "2-1")
