"""An image, from nothing to the compressed file; each step says how long it took."""

import hashlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from board.image import boot_partition, card, initramfs, kernel_modules, root
from board.image import file_systems as fs
from board.image.boards import Board
from board.image.debian import DEBIAN, Archive, BuildError, Origin
from board.image.foreign_code import let_run
from gadgetip.appliance.image_manifest import About, Manifest, format_about, format_manifest

HERE = Path(__file__).parent
OVERLAY = HERE / "root"
UNITS = HERE / "root.units"
HOST_TOOLS = (
    "bmap-tools",
    "dosfstools",
    "e2fsprogs",
    "mmdebstrap",
    "mtools",
    "squashfs-tools",
    "xz-utils",
    "zstd",
)


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

    def about(self, board: Board) -> About:
        """What the image says of itself."""
        built = datetime.fromtimestamp(self.epoch, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return About(board.name, self.version, built)


@dataclass(slots=True)
class Record:
    """What a build leaves in writing.

    `versions` are NAME=VERSION of everything that got into the image, `warnings` what its owner has
    to know.
    """

    versions: set[str] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)

    def warn(self, text: str) -> None:
        """Say it now; the end says it again."""
        self.warnings.append(text)
        print(f"image: WARNING: {text}", flush=True)


def build(board: Board, inputs: Inputs, target: Path) -> Path:
    """Build target/gadgetip-NAME.img.xz, with .bmap, .sha256, .json and .packages beside it."""
    let_run(board.architecture)
    work = fs.fresh(target / f"work-{board.name}")
    state = inputs.cache / "apt" / f"{board.architecture}{inputs.origin.name}"
    archive = Archive(board.architecture, state, inputs.origin)
    record = Record({f"gadgetip={inputs.version}", *_host_tools()})
    with _step("asking Debian's archive"):
        for wrong in archive.update():
            record.warn(wrong)
        kernel_version, kernel = _kernel(board, archive, inputs.kernel, record)
        busybox_version, busybox = archive.unpacked("busybox-static")
        record.versions |= {kernel_version, busybox_version}
    with _step("Debian"):
        debian_tar, versions = root.debian(board, archive, inputs.cache)
        record.versions.update(versions)
    with _step("what goes over it"):
        overlay = fs.fresh(work / "overlay")
        modules = _modules(kernel, overlay)
        _firmware(board, archive, overlay, inputs.firmware, record)
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
        record.versions |= boot_partition.fill(boot, board, archive, trees, inputs.epoch)
        image = target / f"gadgetip-{board.name}.img"
        manifest = _assemble(board, inputs, work, image)
    with _step("compressing"):
        result = _publish(image, manifest, record)
    if not inputs.keep:
        shutil.rmtree(work)
        image.unlink()
    for text in record.warnings:
        print(f"image: WARNING: {text}", flush=True)
    return result


def _host_tools() -> list[str]:
    """This machine's packages that write file systems and archives: another xz, other bytes."""
    command = ["dpkg-query", "-W", "-f=this machine: ${Package}=${Version}\\n", *HOST_TOOLS]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()


def _kernel(board: Board, archive: Archive, asked: str | None, record: Record) -> tuple[str, Path]:
    """The kernel that was asked for, or the newest that the mirror really has."""
    names = [asked] if asked else archive.kernels(board.kernel)
    for name in names[:-1]:
        try:
            return archive.unpacked(name)
        except BuildError as error:
            record.warn(f"the mirror lists {name} and does not have it: {error}")
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


def _firmware(
    board: Board, archive: Archive, overlay: Path, given: Path | None, record: Record
) -> None:
    """The radio's firmware in the overlay."""
    target = overlay / "usr/lib/firmware"
    if board.firmware:
        version, package = archive.unpacked("firmware-brcm80211")
        record.versions.add(version)
        for name in board.firmware:
            source = package / "usr/lib/firmware" / name
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target / name, follow_symlinks=False)
    if given is not None:
        shutil.copytree(given, target, dirs_exist_ok=True)
        record.versions.update(
            f"firmware {path.relative_to(given)}: SHA-256 {sha256_of(path)}"
            for path in given.rglob("*")
            if path.is_file()
        )
    for link, file in board.firmware_links.items():
        path = target / link
        if (path.parent / file).exists():
            path.unlink(missing_ok=True)
            path.symlink_to(file)
    if board.lacking and not any((target / name).exists() for name in board.lacking):
        record.warn(
            f"Debian has no {board.lacking[-1]}. On a {board.title} whose radio needs it there "
            "will be NO WI-FI. Give it with FIRMWARE_DIR=; docs/images.md says where to get it."
        )


def _our_files(board: Board, inputs: Inputs, overlay: Path) -> None:
    """The files of `root`, and what this is."""
    shutil.copytree(OVERLAY, overlay, symlinks=True, dirs_exist_ok=True)
    marker = overlay / "etc/gadgetip/image"
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(format_about(inputs.about(board), wireless=board.wireless))


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


def _assemble(board: Board, inputs: Inputs, work: Path, image: Path) -> Manifest:
    """Everything at its place in the card's image; returns what that says of itself."""
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
    manifest = card.manifest(inputs.about(board), slot.stat().st_size, sha256_of(slot))
    image.unlink(missing_ok=True)
    with image.open("wb") as file:
        file.truncate(card.CARD_BYTES)
        for offset, content in card.first_sectors(board.disk, manifest).items():
            file.seek(offset)
            file.write(content)
    fs.copy_sparsely(work / "boot.fat", image, card.BOOT.start)
    fs.copy_sparsely(slot, image, card.SLOT_A.start)
    fs.copy_sparsely(work / "state.ext4", image, card.STATE.start)
    return manifest


def _publish(image: Path, manifest: Manifest, record: Record) -> Path:
    """The compressed image and what lies beside it."""
    subprocess.run(["sync", image], check=True)
    subprocess.run(
        ["bmaptool", "--quiet", "create", "-o", image.with_suffix(".bmap"), image], check=True
    )
    # Blocks of a fixed size: the result is the same for any number of threads.
    command = ["xz", "--keep", "--force", "-6", "--threads=2", "--block-size=8MiB", str(image)]
    subprocess.run(command, check=True)
    result = image.with_name(f"{image.name}.xz")
    image.with_suffix(".json").write_bytes(format_manifest(manifest).rstrip(b"\0") + b"\n")
    versions = "".join(f"{each}\n" for each in sorted(record.versions))
    image.with_suffix(".packages").write_text(versions)
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
