"""Runs inside the guest as its only command: executes what clients outside ask for.

Every virtio-serial port serves one client at a time, in a thread of its own, so that one person's
shell does not keep another's test waiting. A client that goes away takes its command with it.
Only the standard library is used, because importing through the guest's root takes long.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from pathlib import Path

from tests.machine import guest
from tests.machine.protocol import PORT_NAME, PORTS, Decoder, Message, encode, pack, unpack

PENDING_LIMIT = 1 << 18  # output waiting for a slow client, beyond which the command waits too


class Command:
    """A process of a client, its output as one stream, and its terminal if it wanted one."""

    def __init__(self, request: Message) -> None:
        self.terminal: int | None = None
        argv: list[str] = request["argv"]
        size: list[int] | None = request.get("terminal")
        if size is None:
            self.output, inner = os.pipe()
            stdin: int = subprocess.DEVNULL
        else:
            self.output, inner = os.openpty()
            self.terminal = self.output
            self.resize(*size)
            stdin = inner
            argv = ["setsid", "--ctty", *argv]
        try:
            self.process = subprocess.Popen(
                argv,
                stdin=stdin,
                stdout=inner,
                stderr=inner,
                cwd=request["cwd"],
                env=request["env"],
                start_new_session=size is None,
            )
        except OSError:
            os.close(self.output)
            raise
        finally:
            os.close(inner)
        os.set_blocking(self.output, False)
        self.exit = os.pidfd_open(self.process.pid)

    def resize(self, rows: int, columns: int) -> None:
        """The client's terminal has another size now."""
        if self.terminal is not None:
            size = struct.pack("HHHH", rows, columns, 0, 0)
            fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, size)

    def type(self, data: bytes) -> None:
        """What the client's user typed."""
        if self.terminal is not None:
            os.write(self.terminal, data)

    def read(self) -> bytes | None:
        """Some output; None when there is none now; empty when there will be none."""
        try:
            return os.read(self.output, 1 << 15)
        except BlockingIOError:
            return None
        except OSError:  # EIO is how a terminal says that nobody has it open
            return b""

    def finish(self) -> tuple[bytes, int]:
        """Once the process ended: the output that is left, and the status as a shell has it.

        A process that it left behind may hold the output open: this does not wait for that.
        """
        status = self.process.wait()
        rest = b""
        while data := self.read():
            rest += data
        self._close()
        return rest, status if status >= 0 else 128 - status

    def kill(self) -> None:
        """End the process and its group."""
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            self.process.kill()
        self.process.wait()
        self._close()

    def _close(self) -> None:
        os.close(self.output)
        os.close(self.exit)


class Session:
    """One port: reads requests, runs one command at a time, streams its output."""

    def __init__(self, port: Path) -> None:
        self._port = os.open(port, os.O_RDWR | os.O_NONBLOCK)
        self._abandoned = False
        self._forget()

    def serve(self) -> None:
        """Serve clients, one after the other, for ever."""
        while True:
            poll = select.poll()
            poll.register(self._port, select.POLLIN | (select.POLLOUT if self._pending else 0))
            if self._command is not None and len(self._pending) < PENDING_LIMIT:
                if not self._output_ended:
                    poll.register(self._command.output, select.POLLIN)
                poll.register(self._command.exit, select.POLLIN)
            ready = dict(poll.poll())
            self._serve_port(ready.pop(self._port, 0))
            if self._command is not None and ready:
                self._serve_command(self._command, ready)

    def _forget(self) -> None:
        self._decoder = Decoder()
        self._pending = b""
        self._command: Command | None = None
        self._output_ended = False

    def _send(self, message: Message) -> None:
        self._pending += encode(message)

    def _serve_port(self, events: int) -> None:
        if events & select.POLLHUP:  # nobody has the other end
            # Seen once, it may be the last client's: the kernel hands out data at once, and tells a
            # little later who has hung up or come, so that what a new client wants is known first.
            if self._abandoned:
                self._drop()
            self._abandoned = True
            time.sleep(0.05)
            return
        self._abandoned = False
        if events & select.POLLIN:
            try:
                data = os.read(self._port, 1 << 16)
            except BlockingIOError:
                data = b""
            for message in self._decoder.feed(data):
                self._handle(message)
        if events & select.POLLOUT:
            try:
                written = os.write(self._port, self._pending[: 1 << 15])
            except BlockingIOError:
                return
            self._pending = self._pending[written:]

    def _serve_command(self, command: Command, ready: dict[int, int]) -> None:
        if command.exit in ready:
            rest, status = command.finish()
            if rest:
                self._send({"is": "output", "data": pack(rest)})
            self._send({"is": "exit", "status": status})
            self._command = None
        elif command.output in ready:
            data = command.read()
            if data:
                self._send({"is": "output", "data": pack(data)})
            self._output_ended = data == b""

    def _drop(self) -> None:
        if self._command is not None:
            self._command.kill()
        self._forget()

    def _handle(self, message: Message) -> None:
        match message.get("do"):
            case "hello":
                self._drop()
                self._send({"is": "hello", "nonce": message["nonce"]})
            case "exec":
                self._execute(message)
            case "input" if self._command is not None:
                self._command.type(unpack(message["data"]))
            case "resize" if self._command is not None:
                self._command.resize(message["rows"], message["columns"])
            case "signal" if self._command is not None:
                os.killpg(self._command.process.pid, message["number"])
            case "blocked":
                running = None if self._command is None else self._command.process.pid
                self._send({"is": "blocked", "text": guest.where_it_hangs(running)})
                threading.Thread(target=guest.press_sysrq, args=("w", "l"), daemon=True).start()

    def _execute(self, message: Message) -> None:
        if self._command is not None:
            self._send({"is": "error", "text": "this port's command is still running"})
            return
        self._output_ended = False
        try:
            self._command = Command(message)
        except OSError as error:
            self._send({"is": "output", "data": pack(f"{error}\n".encode())})
            self._send({"is": "exit", "status": 127})


def main() -> None:
    """Set the guest up, then serve every port until the machine is killed."""
    guest.set_up()
    sessions = [Session(Path("/dev/virtio-ports") / PORT_NAME.format(n)) for n in range(PORTS)]
    threads = [threading.Thread(target=session.serve) for session in sessions]
    for thread in threads:
        thread.start()
    print("bench: ready", file=sys.stderr, flush=True)
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
