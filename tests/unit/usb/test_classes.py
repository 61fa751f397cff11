import pytest

from gadgetip.usb import DeviceClass, class_code, class_name


@pytest.mark.parametrize(
    ("codes", "name"),
    [
        ((0x08, 0x06, 0x50), "mass storage, SCSI, bulk-only"),
        ((0x08, 0x06, 0x62), "mass storage, SCSI, UAS"),
        ((0x03, 0x01, 0x01), "human interface, boot, keyboard"),
        ((0x03, 0x01, 0x02), "human interface, boot, mouse"),
        ((0x03, 0x00, 0x00), "human interface"),
        ((0x02, 0x02, 0x01), "communications, serial (ACM), AT commands"),
        ((0x02, 0x02, 0x00), "communications, serial (ACM)"),
        ((0x0B, 0x00, 0x00), "smart card, CCID"),
        ((0x0E, 0x02, 0x01), "video, streaming"),
        ((0x01, 0x03, 0x00), "audio, MIDI streaming"),
        ((0xFF, 0x12, 0x34), "vendor specific"),
        ((0x77, 0x00, 0x00), "unknown class 77"),
    ],
)
def test_names(codes: tuple[int, int, int], name: str) -> None:
    assert class_name(*codes) == name


def test_codes() -> None:
    assert class_code(0x08, 0x06, 0x50) == "08/06/50"
    assert class_code(0xEF, 0x02, 0x01) == "ef/02/01"


@pytest.mark.parametrize("device_class", DeviceClass)
def test_every_class_has_a_name(device_class: DeviceClass) -> None:
    assert class_name(device_class, 0xEE, 0xEE) == device_class.label
