"""The parsers of the doctor: proper texts, and any text at all."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gadgetip.diagnosis.configuration import MAX_SERVERS, parse_servers
from gadgetip.diagnosis.gather_machine import read_power_save
from gadgetip.diagnosis.kernel_texts import (
    Overlay,
    dwc2_mode,
    module_name,
    parse_addresses_ipv6,
    parse_config_txt,
    parse_device_tree_text,
    parse_listeners,
    parse_meminfo_kib,
    parse_module_files,
    parse_modules,
    parse_mounted,
    parse_number,
    parse_release,
)

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    for parse in (
        *(parse_modules, parse_module_files, parse_config_txt, parse_listeners, parse_mounted),
        *(parse_addresses_ipv6, parse_number, parse_release, read_power_save),
    ):
        parse(text)
    parse_meminfo_kib(text, "MemAvailable")


@given(st.binary())
def test_any_bytes_are_read(data: bytes) -> None:
    parse_device_tree_text(data)
    assert parse_servers("x", data).exists


@given(st.lists(NAMES))
def test_modules(names: list[str]) -> None:
    text = "".join(f"{n} 16384 0 - Live 0xffffffffc0000000\n" for n in names)
    assert parse_modules(text) == {module_name(n) for n in names}


@given(st.lists(NAMES), st.sampled_from([".ko", ".ko.xz", ".ko.gz", ".ko.zst"]))
def test_module_files(names: list[str], ending: str) -> None:
    dep = "".join(f"kernel/drivers/usb/{n}{ending}: kernel/lib/x{ending}\n" for n in names)
    builtin = "".join(f"kernel/drivers/{n}{ending}\n" for n in names)
    wanted = {module_name(n) for n in names}
    assert parse_module_files(dep) == wanted
    assert parse_module_files(builtin) == wanted


def test_what_is_no_module_file() -> None:
    assert parse_module_files("# comment\nalias usb:v1 storage\nkernel/a.koala:\n") == frozenset()


@given(NAMES, st.lists(st.from_regex(r"[a-z_]{1,8}=[a-z0-9]{1,8}", fullmatch=True)))
def test_an_overlay(name: str, parameters: list[str]) -> None:
    line = f" dtoverlay = {','.join([name, *parameters])} # a comment, dtoverlay=other\n"
    assert parse_config_txt(line) == (Overlay(name, tuple(parameters), "all"),)


def test_config_txt() -> None:
    text = (
        "#dtoverlay=dwc2\n[pi4]\ndtoverlay=vc4-kms-v3d\n[ALL]\nenable_uart=1\n"
        "dtoverlay=dwc2,dr_mode=host\r\ndtoverlay=\ndtoverlay=dwc2 , dr_mode = peripheral\n"
    )
    assert parse_config_txt(text) == (
        Overlay("vc4-kms-v3d", (), "pi4"),
        Overlay("dwc2", ("dr_mode=host",), "all"),
        Overlay("dwc2", ("dr_mode = peripheral",), "all"),
    )


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("", None),
        ("dtoverlay=dwc", None),
        ("dtoverlay=dwc2", ""),
        ("dtoverlay=dwc2,dr_mode=otg", "otg"),
        ("dtoverlay=dwc2,dr_mode=host\ndtoverlay=dwc2,dr_mode=peripheral", "peripheral"),
    ],
)
def test_dwc2_mode(text: str, mode: str | None) -> None:
    assert dwc2_mode(parse_config_txt(text)) == mode


@pytest.mark.parametrize(
    ("text", "number"), [("12\n", 12), ("", None), ("-1", None), ("1 2", None), ("9" * 25, None)]
)
def test_numbers(text: str, number: int | None) -> None:
    assert parse_number(text) == number


@pytest.mark.parametrize(
    ("text", "release"),
    [("6.12.117+deb12-amd64", (6, 12)), ("6.1", (6, 1)), ("six", None), ("6", None)],
)
def test_releases(text: str, release: tuple[int, int] | None) -> None:
    assert parse_release(text) == release


def test_memory() -> None:
    text = "MemTotal:  430000 kB\nMemAvailable:    47000 kB\n"
    assert parse_meminfo_kib(text, "MemAvailable") == 47000
    assert parse_meminfo_kib(text, "SwapFree") is None


def test_mounts() -> None:
    text = "configfs /sys/kernel/config configfs rw 0 0\nbroken\n"
    assert parse_mounted(text) == {("configfs", "/sys/kernel/config")}


@given(st.sets(st.integers(0, 65535)), st.sets(st.integers(0, 65535)))
def test_listeners(listening: set[int], connected: set[int]) -> None:
    rows = ["  sl  local_address rem_address   st"]
    rows += [f"   0: 00000000:{port:04X} 00000000:0000 0A 0" for port in listening]
    rows += [f"   1: 0100007F:{port:04X} 0100007F:0CA8 01 0" for port in connected]
    assert parse_listeners("\n".join(rows)) == listening


@given(st.ip_addresses(v=6), st.sampled_from(["00", "10", "20"]))
def test_ipv6(address: ipaddress.IPv6Address, scope: str) -> None:
    line = f"{int(address):032x} 02 40 {scope} 80 eth0\n"
    assert parse_addresses_ipv6(line) == ((str(address),) if scope == "00" else ())


@pytest.mark.parametrize(
    ("text", "value"), [("Power save: on\n", True), ("Power save: off\n", False), ("", None)]
)
def test_power_save(text: str, value: bool | None) -> None:
    assert read_power_save(text) is value


def test_servers_are_each_asked_once() -> None:
    found = parse_servers(
        "f",
        b'attachment = [{server = "a"}, {server = "a"}, {server = 5}, 7, {}, '
        b'{server = "b:99", enabled = true}, {server = "c", enabled = false}]\nboard = 1',
    )
    assert found.servers == ("a", "b:99")
    assert not found.fault


@pytest.mark.parametrize("data", [b"a = ", b"\xff", b"[" * 5000])
def test_a_file_that_is_no_toml(data: bytes) -> None:
    assert "no valid TOML" in parse_servers("f", data).fault


def test_not_endless_many_servers() -> None:
    text = "".join(f'[[attachment]]\nserver = "s{i}"\n' for i in range(100))
    assert len(parse_servers("f", text.encode()).servers) == MAX_SERVERS
