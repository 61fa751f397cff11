"""Which servers the configuration names, read leniently: a doctor looks at files that are wrong.

Whether every key is right, `gadgetip check` says. What counts here is that the file is TOML at all,
and which servers are worth asking.
"""

import tomllib

from gadgetip.diagnosis.facts import ConfigurationFacts

MAX_FILE_BYTES = 1 << 20
MAX_SERVERS = 32


def parse_servers(path: str, data: bytes) -> ConfigurationFacts:
    """The `server` of each [[attachment]] in these bytes, each once; what has none is left out."""
    try:
        document = tomllib.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return ConfigurationFacts(path, exists=True, fault=f"no valid TOML: {error}")
    attachments = document.get("attachment")
    found: dict[str, None] = {}
    for each in attachments if isinstance(attachments, list) else ():
        server = each.get("server") if isinstance(each, dict) else None
        if isinstance(server, str) and server and each.get("enabled", True) is not False:
            found[server] = None
    return ConfigurationFacts(path, exists=True, servers=tuple(found)[:MAX_SERVERS])
