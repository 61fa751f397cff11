"""Where the supervisor is asked; in a module of its own, for who asks needs nothing else of it."""

from pathlib import Path

from gadgetip.service.asking import Service

SERVICE = Service(Path("/run/gadgetip/supervisor.sock"), "gadgetip run", "gadgetip")
GROUP = "gadgetip"
"""Whoever is in this group may use the socket, where the group exists."""
