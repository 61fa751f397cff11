import json
from pathlib import Path

import pytest

from .running import Command


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "profile.toml").write_text('schema = "profile/1"\nname = "x"\n')
    (tmp_path / "policy.toml").write_text(
        'schema = "policy/1"\n[[deny]]\nmatch = { serial = "x" }\n'
    )
    (tmp_path / "bad.toml").write_text('schema = "policy/1"\n[serve]\nprot = 1\nport = 0\n')
    (tmp_path / "config.toml").write_text('schema = "config/9"\n')
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_what_is_right(gadgetip: Command) -> None:
    run = gadgetip("check", "profile.toml", "policy.toml")
    assert run.status == 0
    assert run.out == (
        "profile.toml: a profile, x\npolicy.toml: a policy, 0 [[export]] and 1 [[deny]]\n"
    )


@pytest.mark.usefixtures("folder")
def test_every_fault_is_printed(gadgetip: Command) -> None:
    run = gadgetip("check", "-q", "bad.toml", "policy.toml", "none.toml", "config.toml")
    assert run.status == 1
    unknown = 'this release does not know that, but "profile/1" and "policy/1" and "config/1"'
    assert run.out.splitlines() == [
        "bad.toml:3: [serve] has no key prot: did you mean port?",
        "bad.toml:4: [serve] port is 0: it has to be 1 to 65535",
        "none.toml: No such file or directory",
        f'config.toml:1: schema is "config/9": {unknown}',
    ]


@pytest.mark.usefixtures("folder")
def test_json(gadgetip: Command) -> None:
    run = gadgetip("check", "--json", "policy.toml", "bad.toml", "none.toml")
    assert run.status == 1
    right, bad, none = json.loads(run.out)
    assert right == {"file": "policy.toml", "schema": "policy/1", "ok": True, "faults": []}
    assert [fault["line"] for fault in bad["faults"]] == [3, 4]
    assert bad["faults"][0]["problem"] == "[serve] has no key prot: did you mean port?"
    assert none["ok"] is False
    assert none["faults"][0]["line"] is None


def test_something_has_to_be_checked(gadgetip: Command) -> None:
    assert gadgetip("check").status == 2
