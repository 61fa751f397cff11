"""Which of the three roles a machine can play, from its facts.

A desktop has no controller, a board seldom exports; asking either for what it will never do would
bury the line that matters. A machine that can play none is told about all three.
"""

from enum import StrEnum

from gadgetip.diagnosis.facts import BoardFacts, ModuleFacts


class Role(StrEnum):
    """What a machine is for gadgetip."""

    SERVER = "server"
    BOARD = "board"
    CLIENT = "client"


def possible_roles(modules: ModuleFacts, board: BoardFacts) -> tuple[Role, ...]:
    """The roles to look at where none was named.

    A board is what has a controller, or is made to have one: a Raspberry Pi, a controller that can
    be both. Modules for gadgets alone make no board, for every distribution has them.
    """
    roles = []
    if modules.is_here("usbip_host") or modules.can_be_loaded("usbip_host"):
        roles.append(Role.SERVER)
    if board.udcs or board.raspberry is not None or board.dual_role:
        roles.append(Role.BOARD)
    if modules.is_here("vhci_hcd") or modules.can_be_loaded("vhci_hcd"):
        roles.append(Role.CLIENT)
    return tuple(roles) or tuple(Role)
