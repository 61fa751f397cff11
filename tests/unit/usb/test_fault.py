import pickle

from gadgetip.usb import DescriptorError, Fault

FAULT = Fault("endpoint", 25, "bEndpointAddress", 0x80, "endpoint 0 has no descriptor")


def test_the_line_names_descriptor_offset_field_and_value() -> None:
    line = "endpoint descriptor at byte 25: bEndpointAddress 0x80: endpoint 0 has no descriptor"
    assert str(FAULT) == line
    assert str(DescriptorError(FAULT)) == line


def test_counts_are_decimal() -> None:
    assert "bLength 12:" in str(FAULT._replace(field="bLength", value=12))


def test_a_fault_moves_with_its_data() -> None:
    assert FAULT.moved(18).offset == 43


def test_the_error_survives_a_process_boundary() -> None:
    assert pickle.loads(pickle.dumps(DescriptorError(FAULT))).fault == FAULT
