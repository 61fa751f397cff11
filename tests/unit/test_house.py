"""The house: which room may import which. One way, and no way round it."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "gadgetip"

ROOMS: dict[str, frozenset[str]] = {
    "errors": frozenset(),
    "wire": frozenset({"errors"}),
    "usb": frozenset({"errors"}),
    "link": frozenset({"errors"}),
    "pump": frozenset({"errors", "wire", "usb", "link"}),
    "strict_toml": frozenset({"errors", "usb"}),
    "matching": frozenset({"errors", "usb", "wire", "strict_toml"}),
    "remote": frozenset({"errors", "wire", "usb", "link", "pump", "matching"}),
    "gadget": frozenset({"errors", "usb", "pump", "profiles"}),
    "vhci": frozenset({"errors", "usb"}),
    "profiles": frozenset({"errors", "usb", "strict_toml", "matching"}),
    "service": frozenset({"errors"}),
    "server": frozenset({"errors", "usb", "wire", "link", "strict_toml", "matching", "service"}),
    "attachment": frozenset(
        {"errors", "usb", "link", "pump", "matching", "remote", "gadget", "vhci", "profiles"}
    ),
    "supervisor": frozenset(
        {
            "errors",
            "usb",
            "link",
            "pump",
            "strict_toml",
            "matching",
            "remote",
            "gadget",
            "vhci",
            "attachment",
            "profiles",
            "service",
        }
    ),
    "diagnosis": frozenset(
        {"errors", "link", "pump", "remote", "gadget", "vhci", "server", "service"}
    ),
    "appliance": frozenset({"errors", "strict_toml", "service", "supervisor", "diagnosis"}),
    "bench": frozenset({"errors", "link", "attachment"}),
    "cli": frozenset(
        {
            "appliance",
            "bench",
            "diagnosis",
            "errors",
            "usb",
            "wire",
            "link",
            "pump",
            "strict_toml",
            "matching",
            "remote",
            "gadget",
            "vhci",
            "attachment",
            "profiles",
            "server",
            "service",
            "supervisor",
        }
    ),
}
"""Every room, and what it may import of ours."""

PURE = (
    "appliance/boot_state.py",
    "appliance/changes.py",
    "appliance/health.py",
    "appliance/image_manifest.py",
    "appliance/lamp.py",
    "appliance/problem_text.py",
    "appliance/provisioned.py",
    "appliance/provisioning.py",
    "appliance/remembering.py",
    "appliance/selftest.py",
    "appliance/setup_plan.py",
    "appliance/setup_record.py",
    "appliance/slots.py",
    "appliance/striking_out.py",
    "appliance/unpacking.py",
    "appliance/update_plan.py",
    "appliance/wifi.py",
    "bench/choosing.py",
    "bench/disk_use.py",
    "bench/figures.py",
    "bench/kernel_texts.py",
    "bench/latencies.py",
    "bench/sample.py",
    "bench/verdict.py",
    "diagnosis/board.py",
    "diagnosis/client.py",
    "diagnosis/configuration.py",
    "diagnosis/facts.py",
    "diagnosis/finding.py",
    "diagnosis/kernel_texts.py",
    "diagnosis/known_faults.py",
    "diagnosis/machine.py",
    "diagnosis/roles.py",
    "diagnosis/serving.py",
    "gadget/allocation.py",
    "gadget/capabilities.py",
    "gadget/class_overrides.py",
    "gadget/deviations.py",
    "gadget/fifo.py",
    "gadget/function_form.py",
    "gadget/identity.py",
    "gadget/overrides.py",
    "gadget/plan.py",
    "gadget/planned.py",
    "gadget/profile_checks.py",
    "gadget/qualifier.py",
    "gadget/raw_form.py",
    "gadget/settings.py",
    "gadget/shaping.py",
    "gadget/speed_conversion.py",
    "gadget/steering.py",
    "gadget/udc_models.py",
    "profiles/profile.py",
    "profiles/gadget_scheme.py",
    "profiles/toml_form.py",
    "profiles/writing.py",
    "strict_toml/document.py",
    "strict_toml/faults.py",
    "strict_toml/plain_words.py",
    "strict_toml/strict_table.py",
    "strict_toml/toml_lines.py",
    "matching/facts.py",
    "matching/match.py",
    "matching/match_form.py",
    "matching/selector.py",
    "cli/suggestion.py",
    "server/local_device.py",
    "server/policy_form.py",
    "server/policy_rules.py",
    "server/binding_marks.py",
    "server/exports.py",
    "server/safety.py",
    "server/sysfs_form.py",
    "server/admission.py",
    "supervisor/asking.py",
    "supervisor/board_form.py",
    "supervisor/config_form.py",
    "supervisor/controllers.py",
    "supervisor/hook_queue.py",
    "supervisor/log_ring.py",
    "supervisor/messages.py",
    "supervisor/record.py",
    "supervisor/reloading.py",
    "supervisor/states.py",
)
EFFECTS = {"os", "subprocess", "socket", "fcntl", "pathlib", "shutil", "asyncio"}


def imports_of(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_imports_run_one_way(room: str) -> None:
    folder = PACKAGE / room
    files = sorted(folder.rglob("*.py")) if folder.is_dir() else [PACKAGE / f"{room}.py"]
    assert files
    for path in files:
        for module in imports_of(path):
            parts = module.split(".")
            if parts[0] == "gadgetip" and len(parts) > 1 and parts[1] != room:
                assert parts[1] in ROOMS[room], f"{path.name} imports {module}"


def test_every_room_is_known() -> None:
    folders = {p.parent.name for p in PACKAGE.glob("*/__init__.py")}
    rooms = folders | {p.stem for p in PACKAGE.glob("*.py")}
    assert rooms - {"__init__", "__main__"} == set(ROOMS)


@pytest.mark.parametrize("path", PURE)
def test_decisions_touch_nothing(path: str) -> None:
    assert not {module.split(".")[0] for module in imports_of(PACKAGE / path)} & EFFECTS
