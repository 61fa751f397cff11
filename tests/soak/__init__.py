"""The soak: attachments under load while things go wrong, and nothing is lost unsaid.

    device on dummy_udc.0 … .4 ── server ──USB/IP── gadgetip ── replica on dummy_udc.5 … .7 ── host

Three devices, a disk, a keyboard and a serial port, are used without pause (`storage`, `keyboard`,
`serial`), and each use is judged by an oracle that knows what must be there (`blocks`, `keys`,
`lines`, `reports`). Meanwhile `disturbances`, drawn by a `schedule` from a seed, cut connections,
restart the server, move devices, kill processes and reset the host's ports. `make soak` runs it for
half an hour; `tests/system/test_soak_supervised.py` for five minutes.
"""
