"""server: the machine that owns the device; what it has, what it exports, and to whom.

`inventory` says what is plugged in here and `safety` what should stay here; `policy` and `bindings`
say what the owner wishes, `exports` decides from all of it what is exported under which name. A
`stub` takes an exported device away from this machine's own drivers and carries its URBs: the
kernel's `usbip-host`, or ours in user space. The `daemon` listens, admits clients and brings them
and the stubs together.
"""
