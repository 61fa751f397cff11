"""Restarting the board on somebody's wish, once that somebody has been answered."""

import subprocess

DELAY_S = 2


def restart_soon() -> None:
    """Return at once; what asked for it over ssh has its answer before the network goes."""
    subprocess.Popen(
        ["/bin/sh", "-c", f"sleep {DELAY_S}; exec systemctl reboot"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
