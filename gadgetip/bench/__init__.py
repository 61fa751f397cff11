"""bench: what `gadgetip bench` measures, on the user's own hardware.

Two places can be measured from, and neither sees everything. The board sees the traffic of an
attachment, the round trip and its own processor, but not when the host began to wait: `watching`
looks at a running attachment while somebody uses the device, `figures` makes numbers of what was
seen, and `verdict` says what bounds it, with the arithmetic. A Linux host sees what its user gets:
`disk` times reads and writes, `reports` the intervals between a keyboard's or mouse's reports.
"""
