"""A webcam: UVC headers, one uncompressed format with frame sizes, bound together by links.

The kernel wants each header linked into the class directories of every speed, and a frame to list
its intervals, in 100 ns, one a line. More frames make a longer configuration.
"""

from tests.system.devices.gadget import (
    INTERFACE_ASSOCIATION,
    Configuration,
    Description,
    Function,
    Link,
)

FRAMES = ((640, 360), (1280, 720), (1920, 1080))
INTERVALS = "333333\n400000\n666666\n"


def uvc(frames: tuple[tuple[int, int], ...] = FRAMES) -> Function:
    """A video function that offers these frame sizes."""
    attributes: dict[str, str | bytes | int | Link | None] = {
        "control/header/h": None,
        "control/class/fs/h": Link("control/header/h"),
        "control/class/ss/h": Link("control/header/h"),
        "streaming/uncompressed/u": None,
    }
    for width, height in frames:
        frame = f"streaming/uncompressed/u/{height}p"
        attributes[f"{frame}/wWidth"] = width
        attributes[f"{frame}/wHeight"] = height
        attributes[f"{frame}/dwMaxVideoFrameBufferSize"] = width * height * 2
        attributes[f"{frame}/dwFrameInterval"] = INTERVALS
    attributes["streaming/header/h"] = None
    attributes["streaming/header/h/u"] = Link("streaming/uncompressed/u")
    for speed in ("fs", "hs", "ss"):
        attributes[f"streaming/class/{speed}/h"] = Link("streaming/header/h")
    return Function("uvc", attributes)


def webcam(frames: tuple[tuple[int, int], ...] = FRAMES) -> Description:
    """A webcam. Only for usbip-vudc: dummy_hcd has no isochronous endpoints."""
    return Description(
        (Configuration((uvc(frames),)),),
        0x1D6B,
        0x0115,
        device_class=INTERFACE_ASSOCIATION,
        product="Webcam",
    )
