from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.errors import LocalProtocolError
from gadgetip.usb import (
    Configuration,
    Descriptor,
    DescriptorError,
    DescriptorType,
    Endpoint,
    EndpointCompanionDescriptor,
    EndpointDescriptor,
    InterfaceAssociationDescriptor,
    TransferType,
    build_configuration,
    parse_configuration,
    parse_header,
)

from .examples import (
    BOT_HIGH_SPEED,
    BOT_SUPER_SPEED,
    CONFIGURATIONS,
    KEYBOARD,
    MICROPHONE,
    SERIAL_COMPOSITE,
    WEBCAM,
)
from .strategies import configurations, unhurried, wire


@unhurried
@given(configurations())
def test_every_byte_and_every_place_survive(tree: Configuration) -> None:
    data = wire(tree)
    assert parse_configuration(data) == tree
    assert build_configuration(parse_configuration(data)) == data
    for offset, descriptor in tree.descriptors():
        assert data[offset : offset + descriptor.bLength] == descriptor.data


@pytest.mark.parametrize("data", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_real_devices_survive(data: bytes) -> None:
    tree = parse_configuration(data)
    assert build_configuration(tree) == data
    assert tree.retotal() == tree


def parses_or_is_refused(data: bytes) -> None:
    try:
        tree = parse_configuration(data)
    except DescriptorError as error:
        refusal = error
    else:
        assert build_configuration(tree) == data
        return
    assert 0 <= refusal.fault.offset <= len(data)
    assert str(refusal).isprintable()


@given(st.binary(max_size=200))
def test_random_bytes_do_no_harm(data: bytes) -> None:
    parses_or_is_refused(data)


@given(st.binary(max_size=120), st.integers(0, 4))
def test_random_bytes_behind_a_good_header_do_no_harm(rest: bytes, interfaces: int) -> None:
    total = (9 + len(rest)).to_bytes(2, "little")
    parses_or_is_refused(b"\x09\x02" + total + bytes((interfaces, 1, 0, 0x80, 50)) + rest)


@given(st.sampled_from(list(CONFIGURATIONS.values())), st.data())
def test_mutated_devices_do_no_harm(original: bytes, data: st.DataObject) -> None:
    mutated = bytearray(original)
    for _ in range(data.draw(st.integers(1, 3))):
        mutated[data.draw(st.integers(0, len(mutated) - 1))] = data.draw(st.integers(0, 0xFF))
    parses_or_is_refused(bytes(mutated))


@given(st.sampled_from(list(CONFIGURATIONS.values())), st.data(), st.binary(max_size=9))
def test_cut_and_spliced_devices_do_no_harm(
    original: bytes, data: st.DataObject, put: bytes
) -> None:
    begin = data.draw(st.integers(9, len(original)))
    end = data.draw(st.integers(begin, len(original)))
    spliced = original[:begin] + put + original[end:]
    parses_or_is_refused(spliced)
    # The same with a wTotalLength that does not give it away at once.
    parses_or_is_refused(spliced[:2] + len(spliced).to_bytes(2, "little") + spliced[4:])


@pytest.mark.parametrize("data", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_every_truncation_is_refused(data: bytes) -> None:
    for length in range(len(data)):
        with pytest.raises(DescriptorError):
            parse_configuration(data[:length])


def test_a_configuration_of_64_kib_is_read_and_written() -> None:
    # Nothing but the smallest descriptors there are: the most of them that fit.
    header = bytes.fromhex("0902ffff0001008032")
    data = header + b"\x02\xee" * 32763
    assert len(data) == 0xFFFF
    tree = parse_configuration(data)
    assert len(tree.leading) == 32763
    assert build_configuration(tree) == data


def test_the_header_alone_tells_the_length() -> None:
    assert parse_header(WEBCAM[:9]).wTotalLength == len(WEBCAM)


def test_storage_at_high_speed() -> None:
    (setting,) = parse_configuration(BOT_HIGH_SPEED).settings
    assert setting.descriptor.class_triple == (0x08, 0x06, 0x50)
    assert [endpoint.address for endpoint in setting.endpoints] == [0x81, 0x02]
    assert all(e.companion is None and not e.extra for e in setting.endpoints)


def test_companions_belong_to_their_endpoints() -> None:
    endpoint = parse_configuration(BOT_SUPER_SPEED).endpoint(0x02)
    assert endpoint.descriptor.max_packet == 1024
    assert endpoint.companion is not None
    assert endpoint.companion.bMaxBurst == 15


def test_a_companion_without_its_endpoint_is_kept_as_extra() -> None:
    tree = parse_configuration(BOT_SUPER_SPEED)
    (setting,) = tree.settings
    companion = EndpointCompanionDescriptor.new(bMaxBurst=1)
    stray = replace(setting, extra=(companion,))
    again = parse_configuration(build_configuration(tree.with_settings([stray])))
    assert again.settings[0].extra == (companion,)
    assert again.endpoint(0x81).companion == tree.endpoint(0x81).companion


def test_class_descriptors_are_found_per_interface() -> None:
    (setting,) = parse_configuration(KEYBOARD).settings
    (hid,) = setting.find(DescriptorType.HID)
    assert hid.data[7:] == b"\x41\x00"
    webcam = parse_configuration(WEBCAM)
    assert len(webcam.setting(0).find(DescriptorType.CS_INTERFACE)) == 3
    assert len(webcam.setting(0).find(DescriptorType.CS_ENDPOINT)) == 1
    assert len(webcam.setting(1).find(DescriptorType.CS_INTERFACE)) == 1
    assert not webcam.setting(1, 3).find(DescriptorType.CS_INTERFACE)


def test_an_association_leads_the_interface_it_precedes() -> None:
    tree = parse_configuration(SERIAL_COMPOSITE)
    assert tree.leading == ()
    storage, control, data = tree.settings
    assert storage.leading == data.leading == ()
    assert storage.endpoints[-1].extra == ()
    assert control.leading == tree.associations
    assert tree.associations[0].iFunction == 5
    assert tree.associations[0].interfaces == range(1, 3)


def test_an_association_before_the_first_interface_leads_the_configuration() -> None:
    tree = parse_configuration(WEBCAM)
    assert tree.leading == tree.associations
    assert tree.settings[0].leading == ()


def test_an_association_that_introduces_nothing_stays_where_it_is() -> None:
    association = InterfaceAssociationDescriptor.new(bInterfaceCount=1)
    tree = parse_configuration(KEYBOARD)
    (setting,) = tree.settings
    behind = replace(setting.endpoints[0], extra=(association,))
    for odd in (
        replace(setting, endpoints=(behind,)),
        replace(setting, extra=(association, *setting.extra)),
    ):
        edited = tree.with_settings([odd])
        assert parse_configuration(build_configuration(edited)) == edited


def test_what_follows_an_association_goes_with_it() -> None:
    tree = parse_configuration(SERIAL_COMPOSITE)
    storage, control, data = tree.settings
    vendor = Descriptor(b"\x03\x41\x00")
    edited = tree.with_settings(
        [
            replace(
                storage,
                endpoints=(storage.endpoints[0], replace(storage.endpoints[1], extra=(vendor,))),
            ),
            replace(control, leading=(*control.leading, vendor)),
            data,
        ]
    )
    assert parse_configuration(build_configuration(edited)) == edited


def test_alternate_settings_are_grouped_by_interface() -> None:
    tree = parse_configuration(WEBCAM)
    assert list(tree.interfaces) == [0, 1]
    assert [each.alternate for each in tree.interfaces[1]] == list(range(12))
    assert tree.setting(1, 7).endpoint(0x81).descriptor.transactions_per_microframe == 2
    assert tree.interface_of(0x81) == 1
    # The first setting that has it.
    assert tree.endpoint(0x81).descriptor.max_packet == 0x80


def test_audio_endpoints_keep_their_nine_bytes() -> None:
    endpoint = parse_configuration(MICROPHONE).endpoint(0x84)
    assert endpoint.descriptor.bLength == 9
    assert endpoint.descriptor.transfer_type is TransferType.ISOCHRONOUS
    assert [each.bDescriptorType for each in endpoint.extra] == [0x25, 0x41]


def test_an_edit_is_totalled() -> None:
    tree = parse_configuration(SERIAL_COMPOSITE)
    without = tree.with_settings(tree.settings[1:])
    assert without.descriptor.bNumInterfaces == 2
    assert without.descriptor.wTotalLength == len(SERIAL_COMPOSITE) - 23
    # The association came first now, so it is the configuration's.
    again = parse_configuration(build_configuration(without))
    assert again.leading == without.settings[0].leading
    more = replace(tree.settings[0], endpoints=tree.settings[0].endpoints[:1])
    assert tree.with_settings([more]).settings[0].descriptor.bNumEndpoints == 1


def test_an_edit_that_is_not_totalled_is_not_built() -> None:
    tree = parse_configuration(SERIAL_COMPOSITE)
    with pytest.raises(LocalProtocolError, match="wTotalLength"):
        build_configuration(replace(tree, settings=tree.settings[:1]))
    # One endpoint less and as many bytes more: only the count is wrong.
    storage = tree.settings[0]
    fewer = replace(storage, extra=(Descriptor(b"\x07" * 7),), endpoints=storage.endpoints[:1])
    with pytest.raises(LocalProtocolError, match="bNumEndpoints 2"):
        build_configuration(replace(tree, settings=(fewer, *tree.settings[1:])))


def test_too_large_an_edit_is_refused() -> None:
    tree = parse_configuration(KEYBOARD)
    with pytest.raises(LocalProtocolError, match="wTotalLength"):
        replace(tree, leading=(Descriptor(b"\xff" * 255),) * 260).retotal()


def test_asking_for_what_is_not_there_is_our_bug() -> None:
    tree = parse_configuration(KEYBOARD)
    with pytest.raises(LocalProtocolError, match="0x02"):
        tree.endpoint(0x02)
    with pytest.raises(LocalProtocolError, match="0x02"):
        tree.settings[0].endpoint(0x02)
    with pytest.raises(LocalProtocolError, match="interface 0 setting 1"):
        tree.setting(0, 1)


def test_trees_are_values() -> None:
    assert hash(parse_configuration(WEBCAM)) == hash(parse_configuration(WEBCAM))
    descriptor = EndpointDescriptor.new(bEndpointAddress=0x81, wMaxPacketSize=8)
    assert Endpoint(descriptor) == Endpoint(descriptor.replace(bInterval=0))
