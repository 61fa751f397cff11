"""Devices such as are sold: an id, names, the classes that they show, and the profile that fits.

Classes are the device's first, then those of the interfaces. An id matters only where a profile
goes by it.
"""

from typing import NamedTuple

from gadgetip.matching import DeviceFacts


class RealDevice(NamedTuple):
    what: str
    id: str
    names: tuple[str, ...]
    classes: str
    profile: str

    @property
    def facts(self) -> DeviceFacts:
        return DeviceFacts("1-1", self.id, "", self.names, tuple(self.classes.split()))


def _device(what: str, id_: str, classes: str, profile: str, *names: str) -> RealDevice:
    return RealDevice(what, id_, names, classes, profile)


REAL_DEVICES = (
    _device("stick", "0781:5581", "00/00/00 08/06/50", "mass-storage"),
    _device("UAS disk", "174c:55aa", "00/00/00 08/06/50 08/06/62", "mass-storage"),
    _device("DVD drive", "0e8d:1887", "00/00/00 08/02/50", "mass-storage"),
    _device("floppy (CBI)", "057b:0000", "00/00/00 08/04/00", "generic"),
    _device("keyboard", "046d:c31c", "00/00/00 03/01/01 03/00/00", "keyboard-mouse"),
    _device("mouse", "046d:c077", "00/00/00 03/01/02", "keyboard-mouse"),
    _device("receiver", "046d:c52b", "00/00/00 03/01/01 03/01/02 03/00/00", "keyboard-mouse"),
    _device("keyboard with card slot", "046a:0072", "00/00/00 03/01/01 0b/00/00", "generic"),
    _device("joystick", "044f:b10a", "00/00/00 03/00/00", "generic"),
    _device("FT232R", "0403:6001", "00/00/00 ff/ff/ff", "serial-adapters"),
    _device("FT2232H", "0403:6010", "00/00/00 ff/ff/ff", "generic"),
    _device("CP2102", "10c4:ea60", "00/00/00 ff/00/00", "serial-adapters"),
    _device("PL2303", "067b:2303", "00/00/00 ff/00/00", "serial-adapters"),
    _device("CH340", "1a86:7523", "ff/00/00 ff/01/02", "serial-adapters"),
    _device("Arduino Uno", "2341:0043", "02/00/00 02/02/01 0a/00/00", "cdc"),
    _device("STM32 port", "0483:5740", "02/00/00 02/02/01 0a/00/00", "cdc"),
    _device("ESP32-S3", "303a:4001", "ef/02/01 02/02/00 0a/02/00", "cdc"),
    _device("Arduino Leonardo", "2341:8036", "ef/02/01 02/02/00 0a/00/00 03/00/00", "generic"),
    _device("ST-Link V2-1", "0483:374b", "ef/02/01 ff/ff/ff 08/06/50 02/02/01 0a/00/00", "generic"),
    _device("CCID reader", "076b:3031", "00/00/00 0b/00/00", "smart-card"),
    _device("YubiKey, typing only", "1050:0010", "00/00/00 03/01/01", "security-key"),
    _device("YubiKey", "1050:0407", "00/00/00 03/01/01 03/00/00 0b/00/00", "security-key"),
    _device("Nitrokey 3", "20a0:42b2", "00/00/00 0b/00/00 03/00/00", "security-key"),
    _device("Titan", "18d1:5026", "00/00/00 03/00/00", "security-key", "Titan Security Key"),
    _device("a FIDO key", "311f:4a1a", "00/00/00 03/00/00", "security-key", "ES FIDO2 Key"),
    _device("laser printer", "03f0:002a", "00/00/00 07/01/02", "printer"),
    _device("with scanner", "03f0:c511", "00/00/00 07/01/02 07/01/04 ff/cc/00", "printer"),
    _device("with card reader", "04b8:0883", "00/00/00 07/01/02 ff/ff/ff 08/06/50", "generic"),
    _device("camera", "04a9:3218", "00/00/00 06/01/01", "mtp-ptp"),
    _device("phone", "18d1:4ee1", "00/00/00 06/01/01", "mtp-ptp"),
    _device("phone, debugging", "18d1:4ee2", "00/00/00 06/01/01 ff/42/01", "mtp-ptp"),
    _device("iPhone", "05ac:12a8", "00/00/00 06/01/01 ff/fe/02 ff/fd/01", "mtp-ptp"),
    _device("Xbox 360", "045e:028e", "ff/ff/ff ff/5d/01 ff/5d/03 ff/fd/13", "game-controller"),
    _device("Xbox 360 receiver", "045e:0719", "ff/ff/ff ff/5d/81 ff/5d/82", "game-controller"),
    _device("Xbox One", "045e:02ea", "ff/47/d0 ff/47/d0", "game-controller"),
    _device("DualShock 4", "054c:09cc", "00/00/00 01/01/00 01/02/00 03/00/00", "game-controller"),
    _device("Switch Pro", "057e:2009", "00/00/00 03/00/00", "game-controller"),
    _device("r8152", "0bda:8153", "00/00/00 ff/ff/00 02/06/00 0a/00/00", "network"),
    _device("r8156", "0bda:8156", "00/00/00 ff/ff/00 02/0d/00 0a/00/01 0a/00/00", "network"),
    _device("tethered phone", "18d1:4ee4", "00/00/00 e0/01/03 0a/00/00 ff/42/01", "network"),
    _device("RNDIS gadget", "0525:a4a2", "02/00/00 02/02/ff 0a/00/00", "network"),
    _device("LTE modem", "1199:9071", "ef/02/01 02/0e/00 0a/00/02 ff/ff/ff", "network"),
    _device("modem with ports", "1bbb:0195", "ef/02/01 e0/01/03 0a/00/00 02/02/01", "network"),
    _device("sound card", "0d8c:0014", "00/00/00 01/01/00 01/02/00 03/00/00", "audio"),
    _device("MIDI keyboard", "09e8:007c", "00/00/00 01/01/00 01/03/00", "audio"),
    _device("UAC2", "152a:8750", "ef/02/01 01/01/20 01/02/20 fe/01/01", "audio"),
    _device("webcam", "046d:082d", "ef/02/01 0e/01/00 0e/02/00 01/01/00 01/02/00", "webcam"),
    _device("laptop camera", "04f2:b5ce", "ef/02/01 0e/01/00 0e/02/00 fe/01/01", "webcam"),
    _device("Bluetooth", "0a12:0001", "e0/01/01 e0/01/01", "generic"),
    _device("WLAN", "148f:5370", "00/00/00 ff/ff/ff", "generic"),
    _device("DFU bootloader", "0483:df11", "00/00/00 fe/01/02", "generic"),
    _device("oscilloscope", "1ab1:04ce", "00/00/00 fe/03/01", "generic"),
    _device("hub", "2109:2813", "09/00/01 09/00/01", "generic"),
)
