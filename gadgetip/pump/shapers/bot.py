"""`bot`: mass storage over the bulk-only transport.

Every command is one command block (CBW) out, a data stage whose length and direction the CBW
announces, and one status block (CSW) in. Reading the CBW tells exactly what will move, so the
pieces may be large, and everything the command needs is submitted at once: the CBW, the data and
the URB that waits for the CSW travel together. Through a plain USB/IP client each of the three
waits for the one before; here a command costs one round trip.

A device sees nothing of a URB that waits in its host's controller, so this is safe with every
device that is hardware. Emulated ones (QEMU's) are handed the URB itself and may stall it or lose
it. Both are noticed, settled without the host seeing any of it, and from then on the shaper is
*patient*: it asks for the CSW when the data stage is through, for a second round trip.

    COMMAND   a read waits for the host's CBW
       |      CBW valid: forwarded; data URBs follow it; the URB for the CSW behind them
     DATA     IN: what returns is written to the host, piece by piece
       |      OUT: what the host sends is posted, piece by piece
    STATUS    the next IN URB that returns is the CSW; written to the host, then COMMAND

Where the device does something else (same specification, section 6.7, the thirteen cases):

* it ends the IN data early with a short packet: the next IN URB in line, posted for data that
  will not come, receives the CSW; URBs left over are unlinked before the next command;
* it stalls IN: what is behind is unlinked, the host gets what arrived and then a halt, the halt
  is cleared at the device, and a URB waits for the CSW;
* it stalls OUT: if the host has more to send, it is halted; if it has sent all, it could only
  wonder, so the halt is cleared at the device and the CSW tells;
* it sends a CSW in place of data: recognised by signature and tag, and passed on as it came.

A Bulk-Only Mass Storage Reset ends whatever is under way; after it a CBW is expected.
"""

import asyncio
import errno
from functools import partial

from gadgetip.pump.lanes import BotLane, LaneState, Role
from gadgetip.pump.remote_endpoint import Outcome
from gadgetip.pump.shapers.base import (
    PASSING,
    WHEN_STOPPED,
    ShaperContext,
    Side,
    pause_before_again,
)
from gadgetip.pump.shapers.bot_hold import BotHold
from gadgetip.pump.shapers.bot_recovery import NO_COMMAND, WATCH_S
from gadgetip.pump.shapers.bot_wrappers import (
    CBW_LENGTH,
    CSW_LENGTH,
    CommandBlockWrapper,
    is_bulk_only_reset,
    is_status_of,
    read_status,
    round_up,
)
from gadgetip.usb import SetupPacket
from gadgetip.wire import RetSubmit

MAX_REQUEST_BYTES = 32 * 1024
"""The kernel allocates each request on an endpoint file in one piece. Up to here it tries until it
succeeds (PAGE_ALLOC_COSTLY_ORDER); above it a board with little memory fails sooner or later. A
write that fails is a hole in the host's data, so no write is longer; a read is tried again."""


class BotShaper(BotHold):
    """The pair of bulk endpoints of one bulk-only mass storage interface."""

    def __init__(self, out: Side, in_: Side, context: ShaperContext) -> None:
        super().__init__(out, in_, context)
        self._command_bytes = round_up(CBW_LENGTH, out.route.host_max_packet)
        self._read_bytes = out.route.transfer_bytes
        self.window_in = in_.route.window_urbs if in_.route.read_ahead else 1
        self._expecting = False
        """Whether a read waits for a CBW."""
        self.lane: BotLane | None = None

    @property
    def unconfirmed(self) -> int:
        """Data-out bytes that the device has not confirmed; the host still waits for their CSW."""
        return self._bytes_out + (self.lane.unconfirmed if self.lane is not None else 0)

    def claims(self, setup: SetupPacket) -> bool:
        """A Bulk-Only Mass Storage Reset cancels the command under way."""
        return is_bulk_only_reset(setup, self.out.route.interface)

    def begin(self) -> None:
        """Expect a CBW."""
        self._expect_command()

    def forget(self) -> None:
        """Forget the command under way: after this a CBW is expected."""
        super().forget()
        self.out.statistics.discarded += self._bytes_out
        self._bytes_out = 0
        self._stalls = 0
        self._expecting = False
        self._stop_watching()
        self._begin_command(NO_COMMAND)

    # --- the command ------------------------------------------------------------------------

    def _expect_command(self) -> None:
        if not self.running:
            return
        if self._waiting_command is not None:
            if not self.recovering(self.out):
                command, self._waiting_command = self._waiting_command, None
                self._command_came(command)
        elif not self._expecting:
            self._expecting = True
            self.out.replica.read(self._command_bytes, self._command_read)

    def _command_read(self, error: int, data: memoryview) -> None:
        self._expecting = False
        if error:
            self.read_failed(self.out, error, self._expect_command)
        elif self.running or self.held:
            self._command_arrived(bytes(data))

    def _command_arrived(self, data: bytes) -> None:
        if data:  # a zero-length packet is no command and gets no answer
            self._waiting_command = data
        if data and self.running and (self.in_.remote.in_flight or self.recovering(self.in_)):
            self.recover(self.out, self._supersede())
        else:
            self._expect_command()

    def _command_came(self, data: bytes) -> None:
        command = CommandBlockWrapper.read(data)
        if self._answers_itself(command) or self._lent(command, data):
            return
        self._begin_command(command or NO_COMMAND)
        self._under_way = True
        self._note_command()
        self._post(data, is_command=True)
        if self._command.data_length and not self._command.data_in:
            self._take_data()
        self._ask()
        if command is None:
            # It is the device's to refuse, and may get no CSW: the host's next word is a CBW.
            self._expect_command()

    def _lent(self, command: CommandBlockWrapper | None, data: bytes) -> bool:
        """Whether the lane carries out this command, and those behind it."""
        if self.lane is None or command is None or not self.running or self._later:
            return False
        for side in self.sides:
            if side.remote.in_flight or side.replica.pending or self.recovering(side):
                return False
        if not self.lane.lend(data, patient=self._patient, read_bytes=self._read_bytes):
            return False
        self._begin_command(NO_COMMAND)
        return True

    def adopt(self, state: LaneState) -> None:
        """Go on where the lane was, in the middle of a command or before the next."""
        data = state.bytes("command")
        command = CommandBlockWrapper.read(data)
        self._expecting = bool(state.number("expecting"))
        self._bytes_out += state.number("bytes_out")
        self._note_units(state.number("units"))
        if state.number("under_way") and command is not None:
            self._begin_command(command)
            self._under_way = True
            self._asked, self._moved = state.number("asked"), state.number("moved")
            self._data_over = bool(state.number("data_over"))
            self._status_asked = bool(state.number("status_asked"))
            self._status_seen = bool(state.number("status_seen"))
            kept = state.bytes("kept") if state.number("kept_all") else None
            self._note_kept(kept, self.out.route.transfer_bytes)
        self._adopt_urbs(state)
        self._adopt_requests(state)
        if self._under_way and self._status_asked and not self._status_seen:
            self._watch_soon(was_ahead=True)
        asyncio.get_running_loop().call_soon(self._go_on_from_lane)

    def _go_on_from_lane(self) -> None:
        """Do what the lane could not, where nothing that is in flight will lead to it."""
        if not self.running:
            return
        if not self._under_way:
            self._expect_command()
            return
        if self._command.data_length and not self._command.data_in:
            self._take_data()
        self._ask()
        self._finish()

    def _adopt_urbs(self, state: LaneState) -> None:
        for urb in state.urbs:
            if not urb.is_in:
                is_command = urb.role is Role.COMMAND
                self.out.remote.adopt(urb.seqnum, partial(self._posted, urb.size, is_command))
            elif urb.role is Role.STATUS:
                self.in_.remote.adopt(urb.seqnum, self._status_returned)
            else:
                self.in_.remote.adopt(urb.seqnum, partial(self._data_returned, urb.size))

    def _adopt_requests(self, state: LaneState) -> None:
        for request in state.requests:
            if request.is_write:
                # The lane may have put the CSW behind the last of the data.
                is_both = request.role is Role.STATUS and request.size > CSW_LENGTH
                given = partial(self._both_given if is_both else self._given, request.data)
                self.in_.replica.adopt_write(request.number, len(request.data), given)
            elif request.role is Role.COMMAND:
                self.out.replica.adopt_read(request.number, self._command_read)
            else:
                taken = partial(self._data_taken, request.size)
                self.out.replica.adopt_read(request.number, taken)

    def _watch_soon(self, *, was_ahead: bool = False) -> None:
        """Look at a device that was asked for its CSW ahead of time, or is now."""
        is_ahead = was_ahead or self._data_unsettled()
        if self._command.data_in and not self._patient and is_ahead:
            loop = asyncio.get_running_loop()
            self._watch = loop.call_later(WATCH_S, self._watch_status, self._command)

    def _ask(self) -> None:
        """Let URBs wait at the device: for the data, as the window allows, then for the CSW."""
        if not self._under_way or self.held or self.recovering(self.in_):
            return
        remote, route = self.in_.remote, self.in_.route
        if self._command.data_in:
            while (
                not self._data_over
                and self._asked < self._command.data_length
                and remote.in_flight + self.in_.replica.pending < self.window_in
            ):
                size = min(route.transfer_bytes, self._command.data_length - self._asked)
                self._asked += size
                # Whole packets: where the data ends early, a CSW must fit into what is left.
                whole = round_up(size, route.device_max_packet)
                remote.submit_in(whole, partial(self._data_returned, size))
            if self._asked < self._command.data_length and not self._data_over:
                return
        elif self._moved < self._command.data_length and not self._data_over:
            return  # the CSW follows the last of the host's data
        if self._status_asked or (self._patient and self._data_unsettled()):
            return
        self._status_asked = True
        remote.submit_in(self._status_bytes, self._status_returned)
        self._watch_soon()

    # --- data in ----------------------------------------------------------------------------

    def _data_returned(self, size: int, outcome: Outcome, ret: RetSubmit) -> None:
        if self.stopping and outcome is Outcome.DONE:
            self.in_.statistics.discarded += len(ret.data)
            return
        if self._data_over and outcome is Outcome.DONE:
            # Posted for data that the device ended early: what it sends next is the CSW.
            self._status_returned(outcome, ret)
            return
        if outcome is not Outcome.DONE:
            self._in_failed(outcome, ret)
            return
        self.in_.statistics.urbs += 1
        short = len(ret.data) < size
        if len(ret.data) != size and is_status_of(ret.data, self._command.tag):
            self._data_over = True
            self._status_returned(outcome, ret)
            return
        self._give(ret.data, ended=short)
        if self._moved >= self._command.data_length:
            self._data_over = True
        if not self._status_asked:
            self._ask()

    def _give(self, data: bytes, *, ended: bool) -> None:
        """Write data to the host; where the device ended early the host must see a short packet."""
        fresh = data[max(0, self._host_has - self._moved) :]
        self._moved += len(data)
        self._note_data(data)
        if self._has_hole:
            self.in_.statistics.discarded += len(data)
            self._data_over = self._data_over or ended
            return
        for at in range(0, len(fresh), MAX_REQUEST_BYTES):
            piece = fresh[at : at + MAX_REQUEST_BYTES]
            self._write(piece)
        if ended:
            self._data_over = True
            self._end_data_in()

    def _write(self, data: bytes) -> None:
        if self._behind_halt is not None:
            self._behind_halt.append(data)
            return
        self.in_.replica.write(data, partial(self._given, data))

    def _given(self, data: bytes, error: int) -> None:
        if error in PASSING and not self.stopping and not self.in_.replica.pending:
            self.later(pause_before_again(error), partial(self._write, data))
            return
        if error:
            self.in_.statistics.discarded += len(data)
            if error not in WHEN_STOPPED and not self.stopping:
                self.context.noticed(
                    f"endpoint 0x{self.in_.route.address:02x}: {len(data)} bytes could not be "
                    f"given to the host (error {-error}): it is halted"
                )
                self._has_hole = True
                if not self.recovering(self.in_):
                    self._behind_halt = []
                    self.recover(self.in_, self._settle_lost_write())
            return
        self.in_.statistics.moved += len(data)
        if self.running and not self.recovering(self.in_) and not self._status_asked:
            self._ask()

    def _both_given(self, data: bytes, error: int) -> None:
        """As `_given`, for the end of the data with the CSW behind it."""
        at = len(data) - CSW_LENGTH
        has_failed = error and error not in WHEN_STOPPED and not self.stopping
        self._given(data[:at] if has_failed and error not in PASSING else data, error)
        if self._has_hole and has_failed:
            self._write(data[at:])

    # --- data out ---------------------------------------------------------------------------

    def _take_data(self) -> None:
        replica, route = self.out.replica, self.out.route
        while (
            self.running
            and not self._command.data_in
            and not self._data_over
            and self._asked < self._command.data_length
            and replica.pending + self.out.remote.in_flight < route.window_urbs
        ):
            size = min(self._read_bytes, self._command.data_length - self._asked)
            self._asked += size
            whole = round_up(size, route.host_max_packet)
            replica.read(whole, partial(self._data_taken, size))

    def _data_taken(self, size: int, error: int, data: memoryview) -> None:
        if not error and not self._under_way and not self.stopping:
            # Left over from the command before: what the host says behind its CSW is a CBW.
            self._command_arrived(bytes(data))
            return
        if error == -errno.ENOMEM and self._read_bytes > MAX_REQUEST_BYTES:
            # A read is no promise: the host's data waits, and is taken in smaller pieces.
            self._read_bytes = MAX_REQUEST_BYTES
            self._asked -= size
            self._take_data()
            return
        if error:
            self._asked -= size
            self.read_failed(self.out, error, self._take_data)
            return
        # After a read that failed, one that was meant for the last bytes may get a whole packet.
        self._asked += max(0, len(data) - size)
        self._moved += len(data)
        if self._absorbing:
            self.out.statistics.discarded += len(data)
            if self._moved >= self._command.data_length:
                self._tell_failed()
            else:
                self._take_data()
            return
        if self._data_over or self.stopping:
            self.out.statistics.discarded += len(data)
            return
        self._post(bytes(data))
        if self._moved >= self._command.data_length:
            self._data_over = True
            self._ask()
            self._finish()
        else:
            self._take_data()

    def _post(self, data: bytes, *, is_command: bool = False) -> None:
        self._keep(data)
        if self.held:
            self._bytes_out += len(data)
        else:
            self._send(data, is_command=is_command)

    def _send(self, data: bytes, *, is_command: bool) -> None:
        size = len(data)
        self._bytes_out += size
        self.out.remote.submit_out(data, partial(self._posted, size, is_command))

    def _posted(self, size: int, is_command: bool, outcome: Outcome, ret: RetSubmit) -> None:
        if self.held:  # it is kept, and its bytes are nobody's loss yet
            return
        self._bytes_out -= size
        self._out_settled.set()
        statistics = self.out.statistics
        statistics.urbs += 1
        if outcome is Outcome.DONE:
            statistics.moved += size
            if not self._data_over and not self._command.data_in:
                self._take_data()
            elif not self._status_asked:
                self._ask()
            return
        statistics.moved += min(ret.actual_length, size)
        statistics.discarded += size - min(ret.actual_length, size)
        if outcome is Outcome.GONE:
            self.context.device_gone()
        elif outcome is not Outcome.CANCELLED and self.running:
            if outcome is Outcome.FAILED:
                self._failed(self.out, ret)
            self._out_refused = True
            settle = self._settle_refused_command if is_command else self._settle_out_halt
            self.recover(self.out, settle())

    # --- status -----------------------------------------------------------------------------

    def _status_returned(self, outcome: Outcome, ret: RetSubmit) -> None:
        if self.stopping and outcome is Outcome.DONE:
            self.in_.statistics.discarded += len(ret.data)
            return
        if outcome is Outcome.STALLED and not self._command.data_in and self._bytes_out:
            self.recover(self.in_, self._settle_status_stall(ret.data))
            return
        if outcome is not Outcome.DONE:
            self._in_failed(outcome, ret)
            return
        self._stop_watching()
        self._stalls = 0
        self.in_.statistics.urbs += 1
        self._status_asked = True
        if not ret.data and not self._empty_seen:
            self._pass_empty_packet()
            return
        self._status_seen = True
        self._note_status(read_status(ret.data, self._command.tag))
        self._write(ret.data)
        self._finish()

    def _pass_empty_packet(self) -> None:
        """Pass on a zero-length packet in place of the CSW; the CSW is still to come.

        Some devices end their data with one that nobody needs. Hosts know them and ask again
        (drivers/usb/storage/transport.c, `usb_stor_Bulk_transport`), once.
        """
        self._empty_seen = True
        self._write(b"")
        if not self.in_.remote.in_flight:
            self.in_.remote.submit_in(self._status_bytes, self._status_returned)

    def _finish(self) -> None:
        """Go on to the next command once the status is there and the host has sent its data."""
        through = self._under_way and self._status_seen and self._data_over
        if not through or self.held or self.recovering(self.out) or self.recovering(self.in_):
            return
        self._under_way = False
        self._stop_watching()
        if self.in_.remote.in_flight or (self.out.replica.pending and not self._expecting):
            self.recover(self.in_, self._retire_leftovers())
        else:
            self._expect_command()
