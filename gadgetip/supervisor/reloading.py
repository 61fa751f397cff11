"""What a new configuration changes, attachment by attachment.

Attachments are compared as values. One that is equal is left alone, wherever it stands in the file;
the order matters to the controllers only, which are given out anew afterwards.
"""

from dataclasses import dataclass

from gadgetip.supervisor.config import Config


@dataclass(frozen=True, slots=True)
class Changes:
    """Names, in the order of the files."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __str__(self) -> str:
        words = [
            f"{what}: {', '.join(names)}"
            for what, names in (
                ("added", self.added),
                ("removed", self.removed),
                ("changed", self.changed),
            )
            if names
        ]
        return "; ".join(words) or "no attachment changed"


def changes(old: Config, new: Config) -> Changes:
    """From the old to the new configuration."""
    before = {each.name: each for each in old.attachments}
    after = {each.name: each for each in new.attachments}
    return Changes(
        added=tuple(name for name in after if name not in before),
        removed=tuple(name for name in before if name not in after),
        changed=tuple(
            name for name, each in after.items() if name in before and before[name] != each
        ),
    )
