"""service: what a process of ours that stays has in common with the others.

A control socket by which the commands talk to it (`control`, `asking`), what systemd wants from it
(`systemd`), lines for its journal (`journal`), and a lock so that there is one of it (`file_lock`).
`server` and `supervisor` are built on this room; it knows no device and no attachment.
"""
