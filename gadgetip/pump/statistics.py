"""What has moved through one endpoint, counted once and for all users of the figures."""

from dataclasses import dataclass


@dataclass(slots=True)
class EndpointStatistics:
    """Counters of one endpoint since the replica was bound.

    `moved` is bytes delivered to the side they were meant for; `discarded` is bytes that one side
    was told were taken and the other never got, which is always reported as well.
    """

    urbs: int = 0
    moved: int = 0
    discarded: int = 0
    halts: int = 0
    errors: int = 0
