"""`python -m board.image BOARD` builds its image; `make image` prepares what this needs."""

import argparse
import os
import subprocess
import sys
from pathlib import Path

from board.image.boards import BOARDS
from board.image.build import Inputs, build
from board.image.debian import KEYRING, MIRROR, BuildError, Origin


def main() -> int:
    """Build the image that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m board.image", description=__doc__)
    parser.add_argument("board", choices=sorted(BOARDS))
    parser.add_argument(
        "--architecture", action="store_true", help="only print the board's architecture"
    )
    parser.add_argument("--package", type=Path, help="gadgetip's package for that architecture")
    parser.add_argument("--target", type=Path, default=Path("build/image"))
    parser.add_argument("--cache", type=Path, default=_cache())
    parser.add_argument("--snapshot", help="a time of snapshot.debian.org, like 20261130T000000Z")
    parser.add_argument("--mirror", default=MIRROR, help="has debian and debian-security below it")
    parser.add_argument("--keyring", type=Path, default=KEYRING, help="the keys that sign those")
    parser.add_argument("--firmware", type=Path, help="a folder of firmware that Debian lacks")
    parser.add_argument("--kernel", help="a kernel's package, instead of the newest")
    parser.add_argument("--epoch", type=int, help="the one time that all files get")
    parser.add_argument("--keep", action="store_true", help="leave what the image was made of")
    given = parser.parse_args()
    board = BOARDS[given.board]
    if given.architecture:
        print(board.architecture)
        return 0
    if given.package is None or given.epoch is None:
        parser.error("--package and --epoch are needed")
    if os.geteuid():
        parser.error("a root file system is installed, for which it takes root: sudo")
    for path in (given.package, given.keyring, given.firmware):
        if path is not None and not path.exists():
            parser.error(f"{path} is not there")
    if given.firmware is not None and not (given.firmware / "brcm").is_dir():
        parser.error(f"{given.firmware} has no folder brcm; docs/images.md says more")
    version = given.package.name.split("_")[1]
    inputs = Inputs(
        package=given.package.resolve(),
        version=version,
        epoch=given.epoch,
        cache=given.cache,
        origin=Origin(given.mirror, given.keyring.absolute(), given.snapshot),
        firmware=given.firmware,
        kernel=given.kernel,
        keep=given.keep,
    )
    os.umask(0o022)
    given.target.mkdir(parents=True, exist_ok=True)
    try:
        result = build(board, inputs, given.target.resolve())
    except (BuildError, subprocess.CalledProcessError, OSError) as error:
        print(f"image: {error}", file=sys.stderr)
        return 1
    finally:
        _give_back(given.target, given.cache)
    size = result.stat().st_size / 1e6
    print(f"image: {os.path.relpath(result)}: {size:.0f} MB; docs/board.md says how to flash it")
    return 0


def _give_back(*folders: Path) -> None:
    """What sudo made belongs to whoever called it."""
    if user := os.environ.get("SUDO_UID"):
        owner = f"{user}:{os.environ.get('SUDO_GID', user)}"
        subprocess.run(["chown", "-R", "-h", owner, *folders], check=False)


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base, "gadgetip", "image")


if __name__ == "__main__":
    sys.exit(main())
