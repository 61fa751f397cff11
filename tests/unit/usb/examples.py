"""Devices as they are met in the field, written out by hand from their specifications."""


def _bytes(text: str) -> bytes:
    """Hexadecimal digits, with what follows a ; on a line being for the reader."""
    return bytes.fromhex("".join(line.partition(";")[0] for line in text.splitlines()))


BOT_DEVICE = _bytes("""
    12 01 00 02 00 00 00 40 81 07 81 55 00 01 01 02 03 01
""")

BOT_HIGH_SPEED = _bytes("""
    09 02 20 00 01 01 00 80 64
    09 04 00 00 02 08 06 50 00   ; mass storage, SCSI, bulk-only
    07 05 81 02 00 02 00         ; bulk IN 512
    07 05 02 02 00 02 00         ; bulk OUT 512
""")

BOT_SUPER_SPEED = _bytes("""
    09 02 2c 00 01 01 00 80 70
    09 04 00 00 02 08 06 50 00
    07 05 81 02 00 04 00         ; bulk IN 1024
    06 30 0f 00 00 00            ; bursts of 16
    07 05 02 02 00 04 00
    06 30 0f 00 00 00
""")

KEYBOARD = _bytes("""
    09 02 22 00 01 01 00 a0 32
    09 04 00 00 01 03 01 01 00   ; boot keyboard
    09 21 11 01 00 01 22 41 00   ; HID 1.11, report descriptor of 65 bytes
    07 05 81 03 08 00 0a         ; interrupt IN 8, every 10 ms
""")

# A storage interface in front, so that the association stands between two interfaces.
SERIAL_COMPOSITE = _bytes("""
    09 02 62 00 03 01 00 c0 32
    09 04 00 00 02 08 06 50 00
    07 05 81 02 00 02 00
    07 05 01 02 00 02 00
    08 0b 01 02 02 02 01 05      ; interfaces 1 and 2 are one ACM function
    09 04 01 00 01 02 02 01 00
    05 24 00 10 01               ; header, CDC 1.10
    05 24 01 00 02               ; call management, data interface 2
    04 24 02 02                  ; abstract control management
    05 24 06 01 02               ; union of 1 and 2
    07 05 82 03 0a 00 09
    09 04 02 00 02 0a 00 00 00
    07 05 83 02 00 02 00
    07 05 02 02 00 02 00
""")

_WEBCAM_PACKETS = [
    "8000",
    "0001",
    "8001",
    "0002",
    "8002",
    "0003",
    "000b",
    "200b",
    "800b",
    "0013",
    "fc13",
]

WEBCAM = _bytes(
    """
    09 02 15 01 02 01 00 80 fa
    08 0b 00 02 0e 03 00 04      ; a video interface collection
    09 04 00 00 01 0e 01 00 04
    0d 24 01 00 01 33 00 80 8d 5b 00 01 01
    12 24 02 01 01 02 00 00 00 00 00 00 00 00 03 0e 00 00
    09 24 03 02 01 01 00 01 00
    07 05 83 03 10 00 06
    05 25 03 10 00               ; class-specific endpoint descriptor
    09 04 01 00 00 0e 02 00 00
    0e 24 01 01 2f 00 81 00 02 00 00 00 01 00
    """
    + "\n".join(
        f"09 04 01 {alternate:02x} 01 0e 02 00 00  07 05 81 05 {packet} 01"
        for alternate, packet in enumerate(_WEBCAM_PACKETS, 1)
    )
)

MICROPHONE = _bytes("""
    09 02 54 00 02 01 00 80 32
    09 04 00 00 00 01 01 00 00   ; audio control
    09 24 01 00 01 09 00 01 01
    09 04 01 00 00 01 02 00 00   ; audio streaming, without bandwidth
    09 04 01 01 01 01 02 00 00
    07 24 01 01 01 01 00
    0b 24 02 01 01 02 10 01 80 bb 00
    09 05 84 05 64 00 04 00 00   ; bRefresh and bSynchAddress make it 9 bytes
    07 25 01 01 00 00 00
    05 41 de ad 00               ; a type that nobody has defined
""")

CONFIGURATIONS = {
    "stick at high speed": BOT_HIGH_SPEED,
    "stick at SuperSpeed": BOT_SUPER_SPEED,
    "keyboard": KEYBOARD,
    "storage and serial": SERIAL_COMPOSITE,
    "webcam": WEBCAM,
    "microphone": MICROPHONE,
}

KEYBOARD_AND_MOUSE = bytes.fromhex(
    "05010906a1018501"  # a keyboard, report id 1
    "050719e029e71500250175019508 8102"
    "950575081500256505071900 2965 8100c0"
    "05010902a1018502"  # a mouse, report id 2
    "05091901290315002501950375018102 95017505 8103"
    "0501093009311581257f75089502 8106c0"
)
"""A report descriptor with a report id each for the keys and for the mouse."""
