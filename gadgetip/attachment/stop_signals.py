"""The signals by which a user, a terminal or systemd ends an attachment."""

import signal

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
