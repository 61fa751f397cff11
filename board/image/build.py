"""An image, from nothing to the compressed file; each step says how long it took."""

import hashlib
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from board.image import boot_partition, card, initramfs, kernel_modules, root
from board.image import file_systems as fs
from board.image.boards import Board
from board.image.debian import DEBIAN, Archive, BuildError, Origin

HERE = Path(__file__).parent
OVERLAY = HERE / "root"
UNITS = HERE / "root.units"


@dataclass(frozen=True, slots=True)
class Inputs:
    """What an image is made of, besides the sources.

    `package` is gadgetip's for the board's architecture, `epoch` the one time that everything gets
    (seconds since 1970), `firmware` a folder with files that Debian lacks, `kernel` a package
    instead of the newest.
    """

    package: Path
    version: str
    epoch: int
    cache: Path
    origin: Origin = DEBIAN
    firmware: Path | None = None
    kernel: str | None = None
    keep: bool = False

    @property
    def built(self) -> str:
        """The time, as a person reads it."""
        return datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def build(board: Board, inputs: Inputs, target: Path) -> Path:
    """Build target/gadgetip-NAME.img.xz, with .bmap, .sha256, .json and .packages beside it."""
    work = fs.fresh(target / f"work-{board.name}")
    archive = Archive(board.architecture, inputs.cache / "apt" / board.architecture, inputs.origin)
    with _step("asking Debian's archive"):
        archive.update()
        kernel_version, kernel = _kernel(board, archive, inputs.kernel)
        busybox_version, busybox = archive.unpacked("busybox-static")
    with _step("Debian"):
        debian_tar, versions = root.debian(board, archive, inputs.cache)
    with _step("what goes over it"):
        overlay = fs.fresh(work / "overlay")
        modules = _modules(kernel, overlay)
        versions += [
            kernel_version,
            busybox_version,
            *_firmware(board, archive, overlay, inputs.firmware),
        ]
        _our_files(board, inputs, overlay)
        fs.make_uniform(overlay, inputs.epoch)
    with _step("gadgetip and the rest"):
        root_tar = work / "root.tar"
        root.complete(debian_tar, inputs.package, overlay, UNITS, root_tar, inputs.epoch)
    with _step("the slot"):
        slot = fs.fresh(work / "slot")
        fs.squashfs(slot / "root.squashfs", root_tar, inputs.epoch)
        shutil.copyfile(next(kernel.glob("boot/vmlinuz-*")), slot / "vmlinuz")
        archive_bytes = initramfs.build(board, _busybox(busybox), modules, inputs.epoch)
        (slot / "initrd.img").write_bytes(archive_bytes)
        trees = _trees(board, kernel, slot / "dtb")
        slot_image = work / "slot.ext4"
        size = fs.ext4_size(slot)
        if size > card.SLOT_A.size:
            raise BuildError(
                f"the system needs {size >> 20} MiB, a slot has {card.SLOT_A.size >> 20}"
            )
        fs.ext4(slot_image, slot, size, f"slot {board.name}", inputs.epoch, journal=False)
    with _step("the card"):
        boot = fs.fresh(work / "boot")
        versions += boot_partition.fill(boot, board, archive, trees, inputs.epoch)
        image = target / f"gadgetip-{board.name}.img"
        manifest = _assemble(board, inputs, work, image)
    with _step("compressing"):
        result = _publish(image, manifest, sorted({*versions, f"gadgetip={inputs.version}"}))
    if not inputs.keep:
        shutil.rmtree(work)
        image.unlink()
    return result


def _kernel(board: Board, archive: Archive, asked: str | None) -> tuple[str, Path]:
    """The kernel that was asked for, or the newest that the mirror really has."""
    names = [asked] if asked else archive.kernels(board.kernel)
    for name in names[:-1]:
        try:
            return archive.unpacked(name)
        except BuildError as error:
            print(
                f"image: WARNING: the mirror lists {name} and does not have it: {error}", flush=True
            )
    return archive.unpacked(names[-1])


def _modules(kernel: Path, overlay: Path) -> Path:
    """The kernel's modules that a board needs, unpacked, in the overlay; returns their folder."""
    (source,) = kernel.glob("usr/lib/modules/*")
    release = source.name
    scratch = overlay.with_name("modules")
    shutil.copytree(source, scratch / "lib/modules" / release, dirs_exist_ok=True)
    kernel_modules.index(scratch, release)
    tree = scratch / "lib/modules" / release
    dependencies = kernel_modules.read_dependencies((tree / "modules.dep").read_text())
    chosen = overlay / "usr/lib/modules" / release
    for path in kernel_modules.selected(dependencies):
        target = chosen / path.removesuffix(".xz")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(kernel_modules.content(tree / path))
    for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        shutil.copyfile(tree / name, chosen / name)
    kernel_modules.index(overlay / "usr", release)
    return chosen


def _firmware(board: Board, archive: Archive, overlay: Path, given: Path | None) -> list[str]:
    """The radio's firmware in the overlay; returns the versions of the packages it is from."""
    target = overlay / "usr/lib/firmware"
    versions = []
    if board.firmware:
        version, package = archive.unpacked("firmware-brcm80211")
        versions.append(version)
        for name in board.firmware:
            source = package / "usr/lib/firmware" / name
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name, follow_symlinks=False)
    if given is not None:
        shutil.copytree(given, target, dirs_exist_ok=True)
    for link, file in board.firmware_links.items():
        path = target / link
        if (path.parent / file).exists():
            path.unlink(missing_ok=True)
            path.symlink_to(file)
    if board.lacking and not any((target / name).exists() for name in board.lacking):
        print(
            f"image: WARNING: Debian has no {board.lacking[-1]}. On a {board.title}\n"
            "image: WARNING: whose radio needs it there will be NO WI-FI.\n"
            "image: WARNING: Give it with FIRMWARE_DIR=; docs/images.md says where to get it.",
            flush=True,
        )
    return versions


def _our_files(board: Board, inputs: Inputs, overlay: Path) -> None:
    """The files of `root`, and what this is."""
    shutil.copytree(OVERLAY, overlay, symlinks=True, dirs_exist_ok=True)
    marker = overlay / "etc/gadgetip/image"
    marker.parent.mkdir(parents=True, exist_ok=True)
    about = card.about(board.name, inputs.version, inputs.built) | {"wireless": board.wireless}
    marker.write_text(json.dumps(about) + "\n")


def _busybox(package: Path) -> Path:
    return next(
        path for path in (package / "usr/bin/busybox", package / "bin/busybox") if path.exists()
    )


def _trees(board: Board, kernel: Path, target: Path) -> Path:
    target.mkdir()
    (trees,) = kernel.glob("usr/lib/linux-image-*")
    for name in board.device_trees:
        (source,) = trees.rglob(name)
        shutil.copyfile(source, target / name)
    return target


def _assemble(board: Board, inputs: Inputs, work: Path, image: Path) -> bytes:
    """Everything at its place in the card's image; returns the manifest."""
    fs.fat32(work / "boot.fat", work / "boot", card.BOOT.size, "GADGETIP", inputs.epoch)
    fs.ext4(
        work / "state.ext4",
        None,
        card.STATE.size,
        f"state {board.name}",
        inputs.epoch,
        journal=True,
    )
    slot = work / "slot.ext4"
    manifest = card.manifest(
        board.name, inputs.version, inputs.built, slot.stat().st_size, sha256_of(slot)
    )
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(card.CARD_BYTES)
        file.write(card.partition_table(board.disk))
        for sector in card.BOOT_STATE_SECTORS:
            file.seek(sector * card.SECTOR)
            file.write(card.boot_state_sector())
        file.seek(card.MANIFEST_SECTOR * card.SECTOR)
        file.write(manifest)
    fs.copy_sparsely(work / "boot.fat", image, card.BOOT.start)
    fs.copy_sparsely(slot, image, card.SLOT_A.start)
    fs.copy_sparsely(work / "state.ext4", image, card.STATE.start)
    return manifest


def _publish(image: Path, manifest: bytes, versions: list[str]) -> Path:
    """The compressed image and what lies beside it."""
    subprocess.run(["sync", image], check=True)
    subprocess.run(
        ["bmaptool", "--quiet", "create", "-o", image.with_suffix(".bmap"), image], check=True
    )
    # Blocks of a fixed size: the result is the same for any number of threads.
    command = ["xz", "--keep", "--force", "-6", "--threads=2", "--block-size=8MiB", str(image)]
    subprocess.run(command, check=True)
    result = image.with_name(f"{image.name}.xz")
    image.with_suffix(".json").write_bytes(manifest.rstrip(b"\0") + b"\n")
    image.with_suffix(".packages").write_text("".join(f"{each}\n" for each in versions))
    summed = "".join(
        f"{sha256_of(path)}  {path.name}\n" for path in (result, image.with_suffix(".bmap"))
    )
    result.with_name(f"{result.name}.sha256").write_text(summed)
    return result


def sha256_of(path: Path) -> str:
    """A file's SHA-256, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _step(title: str) -> Iterator[None]:
    begin = time.monotonic()
    print(f"image: {title}", flush=True)
    yield
    print(f"image: {title}: {time.monotonic() - begin:.0f} s", flush=True)
