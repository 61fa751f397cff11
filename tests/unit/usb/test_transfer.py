from gadgetip.usb import Direction, TransferType


def test_the_numbers_are_the_specifications() -> None:
    assert [each.name for each in TransferType] == ["CONTROL", "ISOCHRONOUS", "BULK", "INTERRUPT"]
    assert (int(Direction.OUT), int(Direction.IN)) == (0, 1)
