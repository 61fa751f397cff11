r"""Taking out of a text what is nobody else's business: serial numbers, passphrases, keys.

A serial number leads to whoever bought the device, and it turns up everywhere: in logs, in names
of udev's, in configuration. So every text is first searched for serial numbers (`learn`): those
that the machine reports are known, others are recognised by the word in front of them. Then each
is replaced wherever it stands, by the same token everywhere, so that a reader still sees which
lines are about the same device.

A very short serial number ("1", "00") is replaced only where a word says that it is one: anywhere
else it would be taken for numbers that matter. Addresses and names of people and machines are
replaced on request.

Everything here is a function of texts. `re` is used with patterns that cannot go wild: no nested
repetition.
"""

import ipaddress
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable

SHORT = 4
"""Serial numbers of fewer characters are replaced beside their word only."""
ANYWHERE = 8
"""From so many characters on, also within words; shorter ones stand alone or between signs."""
SECRET = "<secret>"  # noqa: S105 (what stands in for one)

# "SerialNumber: X", serial = "X", "serial": "X", ID_SERIAL_SHORT=X, serial=["X", 'Y'].
_WORD = r"(?<![a-z])(?:[a-z0-9]{1,20}[_-])?serial(?:[_ -]?(?:number|short|no))?[\"']?"
_QUOTED = r"\"(?:[^\"\\\n]|\\.){0,512}\"|'[^'\n]{0,512}'"
# As `server.choosing` prints a device: "1-1 (0781:5581, serial X Y, Ultra)".
_LISTED = r"(?<=[0-9a-f]{4}:[0-9a-f]{4}, )serial "
# In a sentence, what follows has to look like one: "serial number 12AB", and "serial 4C530001", but
# not "USB serial device converter", nor "serial port ttyUSB0".
_SAID = (
    r"(?<![a-z])serial[ \t](?:number[ \t](?:is[ \t])?(?=[a-z._-]{0,64}\d)"
    r"|(?!tty)(?=[a-z._-]{0,64}\d)(?=[\w.-]{8}))"
)
_CONTEXT = re.compile(
    rf"(?P<front>{_WORD}[ \t]{{0,8}}(?:=|:)[ \t]{{0,8}}|{_LISTED}|(?P<said>{_SAID}))"
    r"(?P<value>(?(said)[\w.:/+-]{0,512}\w|"  # and the sentence may end, or go on behind a colon
    rf"(?:\[[^\]]{{0,4096}}\]|{_QUOTED}|(?<=SerialNumber: )[^\n]{{1,512}}"
    r"|(?<=:[0-9a-f]{4}, serial )[^\n,)]{1,512}(?=[,)])"
    r"|[^\s\"'\[,;)}]{1,512})))",
    re.IGNORECASE,
)
_STRING = re.compile(_QUOTED)
# The kernel calls a root hub's serial number what is its controller's name.
_ROOT_HUB = re.compile(r"usb usb\d{1,4}: \Z")
_NO_VALUES = {"null", "none", "true", "false"}
# The kernel's "Mfr=1, Product=2, SerialNumber=3" are numbers of strings.
_STRING_INDEX = re.compile(r"Product=\d{1,3}, SerialNumber=\d{1,3}", re.IGNORECASE)

# "the password is wrong" tells a reader something, and nobody the password.
_JUDGEMENTS = "a|an|empty|expired|in|invalid|missing|needed|no|not|required|the|too|unknown|wrong"
_SECRETS = (
    re.compile(
        r"(?P<front>(?<![a-z])(?:psk|(?:wpa_?)?passphrase|password|passwd|secret|token)[\"']?"
        rf"(?:[ \t]{{0,8}}[=:][ \t]{{0,8}}|[ \t]is[ \t]{{1,8}}(?!(?:{_JUDGEMENTS})\b)))"
        rf"(?P<value>{_QUOTED}|[^\s\"']{{1,512}})",
        re.IGNORECASE,
    ),
    re.compile(
        r"(?P<front>)(?P<value>(?:ssh|ecdsa|sk-ssh|sk-ecdsa)-[a-z0-9@.-]{2,60} AAAA[A-Za-z0-9+/=]+"
        r"(?: [^\s\"']{1,200})?)"
    ),
    re.compile(
        r"(?P<front>)(?P<value>-----BEGIN [A-Z ]{1,40}-----[^-]{0,20000}-----END [A-Z ]{1,40}-----)"
    ),
)
_MAC = re.compile(r"(?<![0-9a-f:-])(?:[0-9a-f]{2}[:-]){5}[0-9a-f]{2}(?![0-9a-f:-])", re.IGNORECASE)
_ADDRESS = re.compile(
    r"(?<![0-9a-z.:])(?:(?:\d{1,3}\.){3}\d{1,3}|[0-9a-f]{0,4}:[0-9a-f:]{1,40}"
    r"(?:\.?\d{1,3}){0,4})(?![0-9a-z])",
    re.IGNORECASE,
)


class Redactor:
    """Replaces what is private in texts; `counts` says how much of what was replaced."""

    def __init__(
        self, serials: Iterable[str] = (), *, addresses: bool = False, names: Iterable[str] = ()
    ) -> None:
        """`serials` are known ones. With `addresses`, addresses go, and these `names`, too."""
        self.counts: Counter[str] = Counter()
        self._serials: dict[str, str] = {}
        self._written: dict[str, set[str]] = {}
        self._addresses = addresses
        self._names = {name: f"<name-{i}>" for i, name in enumerate(sorted(set(names)), 1) if name}
        self._seen: dict[str, str] = {}
        self._known: re.Pattern[str] | None = None
        for serial in serials:
            self._add(serial)

    def learn(self, text: str) -> None:
        """Find the serial numbers that words in this text point at."""
        for match in _CONTEXT.finditer(text):
            if not _says_nothing(match):
                for value in _values(match["value"]):
                    self._add(value)

    def redact(self, text: str) -> str:
        """The text without what is private. Texts that were not learned from are, first."""
        self.learn(text)
        for pattern in _SECRETS:
            text = pattern.sub(self._secret, text)
        text = _replace_between(_CONTEXT, text, self._in_context, self._anywhere)
        if self._addresses:
            text = self._without_addresses(text)
        return text

    def _add(self, serial: str) -> None:
        serial = serial.strip()
        key = serial.casefold()
        if serial and key not in self._serials:
            self._serials[key] = f"<serial-{len(self._serials) + 1}>"
        if serial and serial not in self._written.setdefault(key, set()):
            self._written[key].add(serial)
            self._known = None

    def _token(self, serial: str) -> str:
        self.counts["serial numbers"] += 1
        return self._serials[serial.strip().casefold()]

    def _secret(self, match: re.Match[str]) -> str:
        self.counts["passphrases and keys"] += 1
        return f"{match['front']}{SECRET}"

    def _in_context(self, match: re.Match[str]) -> str:
        if _says_nothing(match):
            return match[0]
        value = match["value"]
        if value.startswith("["):
            value = _STRING.sub(lambda quoted: self._quoted(quoted[0]), value)
        elif value[0] in "\"'":
            value = self._quoted(value)
        elif value.strip():
            value = self._token(value)
        return self._anywhere(match["front"]) + value

    def _quoted(self, quoted: str) -> str:
        (value,) = _values(quoted) or ("",)
        mark = quoted[0]
        return f"{mark}{self._token(value)}{mark}" if value.strip() else quoted

    def _anywhere(self, text: str) -> str:
        """Replace the serial numbers that are long enough, whatever stands around them."""
        if self._known is None:
            self._known = self._pattern()
        return self._known.sub(lambda match: self._of_form(match[0]), text)

    def _pattern(self) -> re.Pattern[str]:
        self._forms = {
            form.casefold(): key
            for key, written in self._written.items()
            for serial in (*written, key, key.upper())
            if len(serial) >= SHORT
            for form in _forms(serial)
            if len(form) >= SHORT
        }
        parts = []
        for form in sorted(self._forms, key=len, reverse=True):
            escaped = re.escape(form)
            if len(form) < ANYWHERE:
                escaped = rf"(?<![0-9a-z]){escaped}(?![0-9a-z])"
            parts.append(escaped)
        return re.compile("|".join(parts) or r"(?!)", re.IGNORECASE)

    def _of_form(self, form: str) -> str:
        key = self._forms.get(form.casefold())
        # Letters that differ in length between cases may give a form that was never made.
        return self._token(key) if key is not None else "<serial>"

    def _without_addresses(self, text: str) -> str:
        if self._names:
            longest = sorted(self._names, key=len, reverse=True)
            pattern = "|".join(rf"(?<![\w-]){re.escape(name)}(?![\w-])" for name in longest)
            text = re.sub(pattern, lambda match: self._name(match[0]), text)
        text = _MAC.sub(lambda match: self._numbered("hardware address", match[0]), text)
        return _ADDRESS.sub(self._address, text)

    def _name(self, name: str) -> str:
        self.counts["names"] += 1
        return self._names[name]

    def _address(self, match: re.Match[str]) -> str:
        try:
            address = ipaddress.ip_address(match[0])
        except ValueError:
            return match[0]
        if address.is_loopback or address.is_unspecified:
            return match[0]
        return self._numbered("address", str(address))

    def _numbered(self, kind: str, value: str) -> str:
        self.counts["addresses"] += 1
        known = self._seen.setdefault(value.lower(), f"<{kind}-{len(self._seen) + 1}>")
        return known.replace(" ", "-")


def _replace_between(
    pattern: re.Pattern[str],
    text: str,
    matched: Callable[[re.Match[str]], str],
    between: Callable[[str], str],
) -> str:
    """Replace the matches one way and what stands between them another: nothing is done twice."""
    parts, end = [], 0
    for match in pattern.finditer(text):
        parts += [between(text[end : match.start()]), matched(match)]
        end = match.end()
    return "".join([*parts, between(text[end:])])


def _says_nothing(match: re.Match[str]) -> bool:
    """Whether what follows is no device's number.

    It may be a word of JSON's, the number of a string, the name of a root hub's controller.
    """
    if match["value"].lower() in _NO_VALUES:
        return True
    if _ROOT_HUB.search(match.string, max(match.start() - 20, 0), match.start()):
        return True
    begin = max(match.start() - 20, 0)
    return any(
        found.end() == match.end()
        for found in _STRING_INDEX.finditer(match.string, begin, match.end())
    )


def _values(text: str) -> list[str]:
    """The strings that a value holds: itself, or what is between its quotation marks."""
    if text.startswith("["):
        return [value for quoted in _STRING.findall(text) for value in _values(quoted)]
    if text[:1] == "'":
        return [text[1:-1]]
    if text[:1] != '"':
        return [text]
    try:
        return [json.loads(text)]  # TOML and JSON escape alike, as far as serial numbers go
    except ValueError:
        return [text[1:-1]]


def _forms(serial: str) -> set[str]:
    """How a serial number is written by those who escape it: JSON, udev, our own output."""
    return {
        serial,
        json.dumps(serial)[1:-1],
        json.dumps(serial, ensure_ascii=False)[1:-1],
        serial.encode("unicode_escape").decode("ascii"),
        serial.replace(" ", "_"),
        re.sub(r"\s+", "_", serial),
        re.sub(r"[^0-9A-Za-z#+.:=@_-]", "_", serial),
        re.sub(r"\s+", " ", serial),
    }
