"""The numbers are those of the kernel's headers."""

from gadgetip.wire import OpCode, OpStatus, TransferFlag


def test_every_status_has_a_sentence() -> None:
    sentences = {status.sentence for status in OpStatus}
    assert len(sentences) == len(OpStatus) == 6


def test_wire_names() -> None:
    assert OpCode(0x8003).wire_name == "OP_REQ_IMPORT"
    assert {code: OpCode(code).wire_name for code in (0x8005, 0x0005, 0x0003)} == {
        0x8005: "OP_REQ_DEVLIST",
        0x0005: "OP_REP_DEVLIST",
        0x0003: "OP_REP_IMPORT",
    }


def test_transfer_flags() -> None:
    flags = TransferFlag.SHORT_NOT_OK | TransferFlag.DIR_IN | TransferFlag.DMA_MAP_SG
    assert flags == 0x40201
