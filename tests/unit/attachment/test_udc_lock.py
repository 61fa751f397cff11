import os
from pathlib import Path

import pytest

from gadgetip.attachment import udc_lock
from gadgetip.attachment.udc_lock import UdcLock
from gadgetip.errors import ExitStatus, PrerequisiteError


@pytest.fixture(autouse=True)
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(udc_lock, "LOCK_DIRECTORY", tmp_path / "run" / "gadgetip")
    monkeypatch.setattr(udc_lock, "LOCK_LIMIT_S", 0.02)
    monkeypatch.setattr(udc_lock, "LOCK_POLL_S", 0.005)
    return tmp_path / "run" / "gadgetip"


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_one_at_a_time() -> None:
    before = open_files()
    with UdcLock("dummy_udc.0"):
        with pytest.raises(
            PrerequisiteError, match=rf"by another gadgetip \(process {os.getpid()}\)"
        ) as error:
            UdcLock("dummy_udc.0").__enter__()
        assert error.value.exit_status is ExitStatus.PREREQUISITE
        with UdcLock("dummy_udc.1"):
            pass
    with UdcLock("dummy_udc.0"):
        pass
    assert open_files() == before


def test_an_error_inside_lets_go() -> None:
    with pytest.raises(KeyError), UdcLock("dummy_udc.0"):
        raise KeyError
    with UdcLock("dummy_udc.0"):
        pass


def test_the_file_of_a_dead_process_is_no_lock(directory: Path) -> None:
    directory.mkdir(parents=True)
    (directory / "dummy_udc.0.lock").write_text("99999999999\nlonger than what comes now\n")
    with UdcLock("dummy_udc.0"):
        assert (directory / "dummy_udc.0.lock").read_text() == f"{os.getpid()}\n"


def test_a_holder_that_ends_meanwhile_is_waited_for(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = UdcLock("dummy_udc.0").__enter__()
    monkeypatch.setattr(udc_lock, "LOCK_LIMIT_S", 30.0)
    # Whoever is waited for ends while the other sleeps.
    monkeypatch.setattr("gadgetip.attachment.udc_lock.time.sleep", lambda _: held.__exit__())
    with UdcLock("dummy_udc.0"):
        pass


def test_a_lock_lives_as_long_as_its_last_holder() -> None:
    """The worker inherits it: a killed keeper does not free a controller that is still in use."""
    lock = UdcLock("dummy_udc.0").__enter__()
    inherited = os.dup(lock._file)
    lock.__exit__()
    with pytest.raises(PrerequisiteError):
        UdcLock("dummy_udc.0").__enter__()
    os.close(inherited)
    with UdcLock("dummy_udc.0"):
        pass


@pytest.mark.parametrize(("content", "holder"), [(b"", r"\?"), (b"123\n", "123")])
def test_who_has_it_is_told_as_far_as_it_is_known(
    directory: Path, content: bytes, holder: str
) -> None:
    with UdcLock("dummy_udc.0"):
        (directory / "dummy_udc.0.lock").write_bytes(content)
        with pytest.raises(PrerequisiteError, match=rf"\(process {holder}\): stop that one"):
            UdcLock("dummy_udc.0").__enter__()
