"""HOST as people write it: a name, an IPv4 address or a bracketed IPv6 one, with or without a port.

A bare IPv6 address (two colons or more, no brackets) is taken as an address without a port:
nothing else that a person writes looks like it.
"""

from dataclasses import dataclass

from gadgetip.errors import UsageError

USBIP_PORT = 3240


@dataclass(frozen=True, slots=True)
class HostAddress:
    """Where a server listens.

    `host` is a name or an address without brackets, `port` is 1 to 65535.
    """

    host: str
    port: int = USBIP_PORT

    @classmethod
    def parse(cls, text: str) -> "HostAddress":
        """Read ``HOST[:PORT]``; raises `UsageError` with the forms that are understood."""
        host, port_text = text, ""
        if text.startswith("["):
            host, closed, rest = text[1:].partition("]")
            if not closed or (rest and not rest.startswith(":")):
                raise UsageError(f"{text!r} is no host: an IPv6 address is written [ADDRESS]:PORT")
            port_text = rest[1:]
            if rest and not port_text:
                raise UsageError(f"{text!r} ends where a port should follow the colon")
        elif text.count(":") == 1:
            host, _, port_text = text.partition(":")
            if not port_text:
                raise UsageError(f"{text!r} ends where a port should follow the colon")
        if not host or any(c.isspace() or not c.isprintable() for c in host):
            raise UsageError(f"{text!r} is no host: write NAME, ADDRESS or [IPV6], then :PORT")
        if not port_text:
            return cls(host)
        digits = port_text.lstrip("0")[:6] if port_text.isascii() else ""
        if not (port_text.isdigit() and digits) or int(digits) > 65535:
            raise UsageError(f"{port_text!r} is no port: a port is a number from 1 to 65535")
        return cls(host, int(digits))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == USBIP_PORT else f"{host}:{self.port}"
