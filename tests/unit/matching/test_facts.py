from gadgetip.matching import facts_of_descriptors, facts_of_tree
from gadgetip.usb import StringTable
from tests.unit.gadget.devices import DEVICE, HS_STICK, device, stick


def test_what_a_device_says_of_itself() -> None:
    facts = facts_of_tree(HS_STICK, "1-2")
    assert (facts.busid, facts.id, facts.serial) == ("1-2", "0781:5581", "4C530001")
    assert facts.names == ("Ultra", "SanDisk Ultra")
    assert facts.classes == ("00/00/00", "08/06/50")
    assert facts.classes_are_all


def test_a_file_of_descriptors_tells_no_strings() -> None:
    facts = facts_of_descriptors(HS_STICK)
    assert (facts.id, facts.classes) == ("0781:5581", ("00/00/00", "08/06/50"))
    assert (facts.busid, facts.serial, facts.names) == (None, None, None)


def test_a_device_without_strings_is_known_to_have_none() -> None:
    silent = DEVICE.replace(iManufacturer=0, iProduct=0, iSerialNumber=0)
    facts = facts_of_descriptors(device(stick(), descriptor=silent, texts=StringTable()))
    assert (facts.serial, facts.names) == ("", ())
