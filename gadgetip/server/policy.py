"""The export policy of this machine, and where its file is."""

from pathlib import Path

from gadgetip.server.policy_form import POLICY_KIND, parse_policy
from gadgetip.server.policy_rules import (
    DEFAULT_POLICY,
    STUBS,
    DenyRule,
    ExportRule,
    Network,
    Policy,
)
from gadgetip.strict_toml import load_document

POLICY_FILE = Path("/etc/gadgetip/policy.toml")

__all__ = [
    "DEFAULT_POLICY",
    "POLICY_FILE",
    "POLICY_KIND",
    "STUBS",
    "DenyRule",
    "ExportRule",
    "Network",
    "Policy",
    "load_policy",
    "parse_policy",
]


def load_policy(path: Path | None) -> Policy:
    """Read the policy in this file; None is `POLICY_FILE` if that exists, else the default.

    Raises `FileError` when it cannot be read or understood. A file that is named has to exist.
    """
    if path is None:
        path = POLICY_FILE
        try:
            path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return DEFAULT_POLICY
        except OSError:  # reading it will say why
            pass
    return load_document(path, POLICY_KIND)
