"""What the bench builds GadgetFS from, and what board/dkms refuses to build it from."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.machine import gadgetfs
from tests.machine.errors import BenchError
from tests.machine.kernel import Kernel

RELEASE = "6.12.117+deb12-amd64"
CONSTANT = "#define RBUF_SIZE\t\t256\n"
FETCH = gadgetfs.RECIPE / "fetch-source"


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    directory = tmp_path / "headers"
    (directory / "include/config").mkdir(parents=True)
    (directory / "include/config/kernel.release").write_text(RELEASE + "\n")
    return directory


def fetch(headers: Path, source: Path) -> tuple[int, str, Path]:
    """The exit status of `fetch-source`, what it said, and what it was to write."""
    output = headers.parent / "build" / "inode.c"
    done = subprocess.run(
        [FETCH, headers, output, source], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr, output


def test_the_packages_of_a_kernel() -> None:
    headers, source = gadgetfs.names(RELEASE)
    assert headers == [
        "linux-headers-6.12.117+deb12-amd64",
        "linux-headers-6.12.117+deb12-common",
        "linux-kbuild-6.12.117+deb12",
    ]
    assert source == "linux-source-6.12"


def test_up_to_debian_12_one_package_of_tools_serves_a_series() -> None:
    headers, source = gadgetfs.names("6.1.0-57-amd64")
    assert headers == [
        "linux-headers-6.1.0-57-amd64",
        "linux-headers-6.1.0-57-common",
        "linux-kbuild-6.1",
    ]
    assert source == "linux-source-6.1"


@pytest.mark.parametrize("release", ["6.18.44-custom", "6.12.117+deb12-arm64", ""])
def test_the_packages_of_another_kernel_are_not_guessed(release: str) -> None:
    with pytest.raises(BenchError, match="not a Debian kernel"):
        gadgetfs.names(release)


def test_the_makefile_is_told_where_the_headers_are() -> None:
    made = "# /usr/src/\ninclude /usr/src/linux-headers-6.12-common/Makefile\n"
    told = gadgetfs.redirect(made, Path("/tmp/x"))
    assert told == "# /usr/src/\ninclude /tmp/x/usr/src/linux-headers-6.12-common/Makefile\n"


def test_a_module_of_the_present_recipe_is_only_looked_at(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    machine = Kernel(tmp_path, RELEASE)
    module = gadgetfs.installed(machine)
    module.parent.mkdir(parents=True)
    module.touch()
    module.with_suffix(".recipe").write_text(gadgetfs.digest() + "\n")
    assert gadgetfs.obtain(machine) == module
    assert "cached" in capsys.readouterr().out


def test_one_constant_is_changed_and_nothing_else(headers: Path, tmp_path: Path) -> None:
    source = tmp_path / "inode.c"
    source.write_text(f"before 256\n{CONSTANT}u8 rbuf[RBUF_SIZE]; /* 256 */\n")
    status, _, output = fetch(headers, source)
    assert status == 0
    assert output.read_text() == source.read_text().replace(
        CONSTANT, CONSTANT.replace("256", "4096")
    )


@pytest.mark.parametrize("packed", [False, True])
def test_a_tree_and_a_tarball_are_sources_too(
    headers: Path, tmp_path: Path, *, packed: bool
) -> None:
    tree = tmp_path / "linux-source-6.12"
    file = tree / gadgetfs.SOURCE_FILE
    file.parent.mkdir(parents=True)
    file.write_text(CONSTANT)
    source = tree
    if packed:
        source = Path(shutil.make_archive(str(tree), "xztar", tmp_path, tree.name))
    status, _, output = fetch(headers, source)
    assert status == 0
    assert output.read_text() == CONSTANT.replace("256", "4096")


@pytest.mark.parametrize(
    "content",
    ["", CONSTANT.replace("256", "512"), CONSTANT * 2, CONSTANT + "#define RBUF_SIZE 1\n"],
)
def test_another_constant_is_refused_in_one_line(
    headers: Path, tmp_path: Path, content: str
) -> None:
    source = tmp_path / "inode.c"
    source.write_text(content)
    status, said, output = fetch(headers, source)
    assert status == 1
    assert "does not define RBUF_SIZE as 256 exactly once" in said
    assert said.count("\n") == 1
    assert not output.exists()


def test_a_source_that_is_not_there_is_refused(headers: Path, tmp_path: Path) -> None:
    status, said, _ = fetch(headers, tmp_path / "nothing.tar.xz")
    assert status == 1
    assert said == f"fetch-source: {tmp_path}/nothing.tar.xz does not exist\n"


def test_headers_that_are_none_are_refused(tmp_path: Path) -> None:
    status, said, _ = fetch(tmp_path, tmp_path)
    assert status == 1
    assert f"{tmp_path} holds no kernel headers" in said
