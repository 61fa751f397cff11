"""Configurations of an image, as a person writes them."""

import base64
import struct

KEY = "ssh-ed25519 " + base64.b64encode(struct.pack(">I", 11) + b"ssh-ed25519" + bytes(36)).decode()

PASSPHRASE = "correct horse"

CONFIG = f"""\
# My dongle
schema = "config/1"

[[attachment]]
name = "stick"
server = "nas.lan"
match = {{ id = "0781:5581" }}

[board]
hostname = "dongle"             # its name
timezone = "Europe/Berlin"
ssh_keys = ["{KEY}"]

[board.wifi]
country = "DE"
ssid = "lab"
psk = "{PASSPHRASE}"            # the one on the router
"""
