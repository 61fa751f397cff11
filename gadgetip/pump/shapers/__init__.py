"""shapers: how the bytes of an endpoint are cut on either side.

Neither USB/IP nor the gadget interface shows where the host's transfer ends. A URB longer than one
packet stays pending when the device stops on a full packet without a short one, an unlink never
returns the part that has arrived, and the host hangs. So cutting is where correctness lives, and
each way of cutting is one file here:

* `packet`: one packet is the unit on both wires; right for anything unknown;
* `interrupt`: the same with a window so shallow that a stale queue never delays a new report;
* `short`: the transfer is the unit, for protocols that end each one with a short or empty packet;
* `bot`: mass storage, bulk-only: knows from the command block how much will move, and where to;
* `uas`: USB Attached SCSI: packets, of which data is asked for only while a command wants some.

A shaper takes whole pieces of work: `packet` one endpoint, `bot` the pair of an interface, `uas`
its four pipes.
"""

from gadgetip.pump.shapers.base import DeviceChangedError, Shaper, ShaperContext, Side
from gadgetip.pump.shapers.bot import BotShaper
from gadgetip.pump.shapers.in_shaper import InShaper
from gadgetip.pump.shapers.out_shaper import OutShaper
from gadgetip.pump.shapers.packet_in import PacketInShaper
from gadgetip.pump.shapers.packet_out import PacketOutShaper
from gadgetip.pump.shapers.short_in import ShortInShaper
from gadgetip.pump.shapers.short_out import ShortOutShaper
from gadgetip.pump.shapers.uas import UasShaper

__all__ = [
    "BotShaper",
    "DeviceChangedError",
    "InShaper",
    "OutShaper",
    "PacketInShaper",
    "PacketOutShaper",
    "Shaper",
    "ShaperContext",
    "ShortInShaper",
    "ShortOutShaper",
    "Side",
    "UasShaper",
]
