"""Reading what a device says of itself, when it tells the truth and when it does not."""

import asyncio
import errno
from dataclasses import replace

import pytest

from gadgetip.errors import LinkLostError
from gadgetip.pump import ControlTimeoutError, StallError
from gadgetip.remote import descriptors, import_device, read_device_tree
from gadgetip.usb import (
    DescriptorError,
    DescriptorType,
    DeviceTree,
    SetupPacket,
    StringTable,
    build_string_descriptor,
)
from tests.unit.gadget.devices import HS_STICK, SERIAL, UAS_STICK, device, stick, strings

from .examples import as_read, exported
from .server import Answer, Exported, Server, serving

DEVICE_IS_ASKED = NotImplementedError()
STALL = -errno.EPIPE


async def read(it: Exported) -> DeviceTree:
    async with serving(Server(it)) as server:
        imported = await import_device(server.address, it.record.busid)
        urbs = imported.urbs().attach()
        try:
            return await read_device_tree(urbs, imported.speed)
        finally:
            # Whoever has the stream next must not find unanswered questions on it.
            if urbs.ended is None:
                assert imported.connection.pending == imported.connection.pending_unlinks == 0
            urbs.close()


def answering(tree: DeviceTree, kind: int, answer: Answer, index: int | None = None) -> Exported:
    """A device that answers the requests for one kind of descriptor in its own way."""
    it = exported("1-2", tree)

    def reply(setup: SetupPacket) -> Answer | NotImplementedError:
        asked, number = setup.wValue >> 8, setup.wValue & 0xFF
        if asked == kind and index in {None, number}:
            return answer
        return DEVICE_IS_ASKED

    it.answer = reply
    return it


@pytest.mark.parametrize("tree", [HS_STICK, UAS_STICK, replace(SERIAL, strings=StringTable())])
def test_what_comes_out_is_what_the_device_is(tree: DeviceTree) -> None:
    assert asyncio.run(read(exported("1-2", tree))) == as_read(tree)


def test_strings_in_as_many_languages_as_a_replica_has() -> None:
    langids = (0x0409, 0x0407, 0x040C)
    tree = asyncio.run(
        read(exported("1-2", device(stick(), texts=strings({1: "m", 2: "p", 3: "s"}, langids))))
    )
    assert tree.strings.langids == langids[:2]
    assert tree.strings.get(3, 0x0407) == "s"
    assert tree.strings.get(3, 0x040C) is None


def test_only_strings_that_something_names_are_asked_for() -> None:
    asked: list[int] = []
    it = exported("1-2")

    def answer(setup: SetupPacket) -> Answer | NotImplementedError:
        if setup.wValue >> 8 == DescriptorType.STRING:
            asked.append(setup.wValue & 0xFF)
        return DEVICE_IS_ASKED

    it.answer = answer
    asyncio.run(read(it))
    assert asked == [0, 1, 2, 3, 0xEE]  # and Microsoft's, as Windows does


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        (STALL, 2),
        (b"", 2),
        (b"\x04", 2),
        (b"\x04\x02xx", 2),  # a descriptor of another type
    ],
)
def test_a_string_that_the_device_does_not_give_is_left_out(answer: Answer, index: int) -> None:
    tree = asyncio.run(read(answering(HS_STICK, DescriptorType.STRING, answer, index)))
    assert tree.strings.get(1) == "SanDisk"
    assert tree.strings.get(2) is None
    assert tree.strings.get(3) == "4C530001"


@pytest.mark.parametrize("answer", [STALL, b"", b"\x02\x03", b"\x00\x03", b"\x04\x01\x09\x04"])
def test_a_device_without_languages_has_no_strings(answer: Answer) -> None:
    tree = asyncio.run(read(answering(HS_STICK, DescriptorType.STRING, answer, 0)))
    assert tree.strings.texts == {}
    assert tree.configurations == HS_STICK.configurations


@pytest.mark.parametrize("index", [0, 1, 3])
def test_a_device_that_hangs_at_a_string_is_not_asked_for_more(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was asked is taken back before anybody else speaks on the stream."""
    monkeypatch.setattr(descriptors, "REQUEST_LIMIT_S", 0.05)
    tree = asyncio.run(read(answering(HS_STICK, DescriptorType.STRING, None, index)))
    assert tree.strings.indices == tuple(range(1, index))
    assert tree.configurations == HS_STICK.configurations


def test_hostile_strings_are_kept_as_they_are() -> None:
    text = "\x1b[2J\n\u202e\ud800"
    answer = build_string_descriptor(text)
    tree = asyncio.run(read(answering(HS_STICK, DescriptorType.STRING, answer, 2)))
    assert tree.strings.get(2) == text


@pytest.mark.parametrize("answer", [STALL, b"", b"\x05\x0f", b"\x05\x0f\x05\x00\x00", None])
def test_a_bos_is_for_whoever_has_one(answer: Answer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "REQUEST_LIMIT_S", 0.05)
    tree = asyncio.run(read(answering(UAS_STICK, DescriptorType.BOS, answer)))
    assert tree.bos == (answer if isinstance(answer, bytes) and len(answer) == 5 else b"")
    assert tree.strings == UAS_STICK.strings


def test_a_device_below_usb_2_01_is_not_asked_for_a_bos() -> None:
    tree = replace(HS_STICK, bos=UAS_STICK.bos)
    assert asyncio.run(read(exported("1-2", tree))).bos == b""


QUALIFIER = bytes.fromhex("0a 06 00 02 00 00 00 40 01 00")


@pytest.mark.parametrize("answer", [QUALIFIER, STALL, None])
def test_a_qualifier_is_for_whoever_has_one(
    answer: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "REQUEST_LIMIT_S", 0.05)
    tree = asyncio.run(read(answering(HS_STICK, DescriptorType.DEVICE_QUALIFIER, answer)))
    assert tree.qualifier == (answer if isinstance(answer, bytes) else b"")
    assert tree.strings == HS_STICK.strings


MS_OS = bytes((18, 3)) + "MSFT100".encode("utf-16-le") + b"\x20\0"


@pytest.mark.parametrize(
    ("answer", "code"),
    [(MS_OS, 0x20), (STALL, None), (MS_OS[:17], None), (b"", None), (None, None)],
)
def test_microsofts_string_is_for_whoever_has_one(
    answer: Answer, code: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(descriptors, "REQUEST_LIMIT_S", 0.05)
    tree = asyncio.run(read(answering(HS_STICK, DescriptorType.STRING, answer, 0xEE)))
    assert tree.ms_os_vendor_code == code
    assert tree.strings == HS_STICK.strings


def test_a_device_below_usb_2_is_asked_for_neither() -> None:
    asked: list[int] = []
    descriptor = HS_STICK.device.replace(bcdUSB=0x0110)
    it = exported("1-2", replace(HS_STICK, device=descriptor))

    def answer(setup: SetupPacket) -> Answer | NotImplementedError:
        asked.append(setup.wValue)
        return DEVICE_IS_ASKED

    it.answer = answer
    tree = asyncio.run(read(it))
    assert (tree.qualifier, tree.ms_os_vendor_code) == (b"", None)
    assert not {0x03EE, DescriptorType.DEVICE_QUALIFIER << 8} & set(asked)


BAD_CONFIGURATIONS = [
    b"",
    b"\x09",
    b"\x09\x02\x09\x00",
    b"\x09\x02\x08\x00\x01\x01\x00\x80\x32",  # shorter than itself
    b"\x09\x02\xff\xff\x01\x01\x00\x80\x32",  # 64 KiB announced, 9 bytes there
    b"\x09\x04\x20\x00\x01\x01\x00\x80\x64",
    stick()[:-1],
    stick().replace(b"\x07\x05\x81", b"\x07\x05\x80"),
    stick().replace(b"\x07\x05\x81", b"\x00\x05\x81"),
]


@pytest.mark.parametrize("data", BAD_CONFIGURATIONS)
def test_malformed_configurations_get_no_further(data: bytes) -> None:
    with pytest.raises(DescriptorError):
        asyncio.run(read(answering(HS_STICK, DescriptorType.CONFIGURATION, data)))


@pytest.mark.parametrize("data", [b"", HS_STICK.device.data[:17], stick()[:18], b"\0" * 18])
def test_malformed_device_descriptors_get_no_further(data: bytes) -> None:
    with pytest.raises(DescriptorError):
        asyncio.run(read(answering(HS_STICK, DescriptorType.DEVICE, data)))


def test_a_configuration_that_the_device_does_not_give() -> None:
    descriptor = HS_STICK.device.replace(bNumConfigurations=2)
    it = answering(HS_STICK, DescriptorType.DEVICE, descriptor.data)
    with pytest.raises(StallError):
        asyncio.run(read(it))


def test_a_device_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(descriptors, "REQUEST_LIMIT_S", 0.05)
    with pytest.raises(ControlTimeoutError):
        asyncio.run(read(answering(HS_STICK, DescriptorType.CONFIGURATION, None)))


def test_a_server_that_goes_away_meanwhile() -> None:
    it = exported("1-2")

    def answer(setup: SetupPacket) -> Answer | NotImplementedError:
        if setup.wValue >> 8 == DescriptorType.STRING:
            raise ConnectionResetError
        return DEVICE_IS_ASKED

    it.answer = answer
    with pytest.raises(LinkLostError):
        asyncio.run(read(it))
