"""Profiles as text, for the tests of this room."""

HEAD = 'schema = "profile/1"\nname = "x"\n'
"""What every profile begins with; two lines."""

CONTRACT = """\
schema = "profile/1"
name = "stm32-serial"
summary = "STM32 virtual serial port"

[[match]]
id = "0483:5740"
class = "02/02/*"
not = { serial = "TEST*" }

[gadget]
backend = "auto"
max_speed = "high-speed"
forward_reset = true

[gadget.identity]
serialnumber = "BENCH-7"
bcdDevice = 0x0200
max_power_ma = 500

[[interface]]
number = 2
drop = true
[[interface]]
number = 1
alternate_setting = 0

[[endpoint]]
address = 0x82
shaper = "packet"
window_urbs = 16
transfer_bytes = 16384
interval_us = 1000
read_ahead = true

[link]
on_loss = "unplug"
hold_s = 0
control_timeout_ms = 5000
"""
