"""matching: which device is meant.

The command line, profiles, the export policy and attachments all name devices in the same words:
`id`, `serial`, `name`, `class`, `busid`. What is known of a device is `DeviceFacts`, made from
whatever tells it: a server's list, a device's descriptors, this machine's inventory. A `Match` or a
`DeviceSelector` says of such facts yes, no, or None: "not known yet". Both ways of naming a device
are `Wanted`.
"""

from gadgetip.matching.facts import (
    DeviceFacts,
    facts_of_descriptors,
    facts_of_record,
    facts_of_tree,
)
from gadgetip.matching.match import Match, Specificity, best_fits, fits, specificity
from gadgetip.matching.match_form import read_match, read_matches
from gadgetip.matching.selector import DeviceSelector
from gadgetip.matching.wanted import MatchSelector, Wanted

__all__ = [
    "DeviceFacts",
    "DeviceSelector",
    "Match",
    "MatchSelector",
    "Specificity",
    "Wanted",
    "best_fits",
    "facts_of_descriptors",
    "facts_of_record",
    "facts_of_tree",
    "fits",
    "read_match",
    "read_matches",
    "specificity",
]
