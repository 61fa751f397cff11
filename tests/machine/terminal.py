"""An interactive shell in the guest: this terminal, raw, joined to one made there."""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import tty
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.machine.client import Agent


def interact(agent: Agent, argv: list[str], *, cwd: str, env: dict[str, str]) -> int:
    """Run a command on a terminal in the guest until it ends; its status.

    Without a terminal here (a pipe), lines go in and output comes out just the same.
    """
    keyboard = sys.stdin.fileno()
    if not os.isatty(keyboard):
        agent.begin(argv, cwd=cwd, env=env, terminal=(24, 80))
        return _join(agent, keyboard)
    size = os.get_terminal_size(keyboard)
    agent.begin(argv, cwd=cwd, env=env, terminal=(size.lines, size.columns))
    before = termios.tcgetattr(keyboard)

    def resized(*_: object) -> None:
        now = os.get_terminal_size(keyboard)
        agent.resize(now.lines, now.columns)

    signal.signal(signal.SIGWINCH, resized)
    tty.setraw(keyboard)
    try:
        return _join(agent, keyboard)
    finally:
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(keyboard, termios.TCSADRAIN, before)


def _join(agent: Agent, keyboard: int) -> int:
    sources: list[int] = [agent.fileno(), keyboard]
    while True:
        ready = select.select(sources, [], [])[0]
        if keyboard in ready:
            typed = os.read(keyboard, 4096)
            if typed:
                agent.type(typed)
            else:
                agent.type(b"\x04")  # the end of input is what Ctrl-D means to a shell
                sources.remove(keyboard)
        if agent.fileno() in ready:
            for message in agent.read():
                status = agent.progress(message, _write)
                if status is not None:
                    return status


def _write(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
