# SPDX-License-Identifier: MIT
"""Configuration text in libconfig's syntax, from Python values."""


def listener(name="web", **changes):
    """The listener most tests use: 127.0.0.1:8443 in front of the upstreams at port 443.

    Keyword arguments replace or add settings; None leaves one out.
    """
    settings = {
        "name": name,
        "listen": "127.0.0.1:8443",
        "forward": {"ipv4": "127.0.0.1:443", "ipv6": "[::1]:443"},
        "subnets": ["127.0.0.0/8", "::1/128"],
        **changes,
    }
    return {key: value for key, value in settings.items() if value is not None}


def udp_listener(name="dns", framing="every", idle_timeout=None, max_flows=None, **changes):
    """The same for UDP, on both loopback addresses. The first settings are those in udp."""
    udp = {"framing": framing, "idle_timeout": idle_timeout, "max_flows": max_flows}
    return listener(
        name,
        **{
            "protocol": "udp",
            "listen": ["127.0.0.1:8443", "[::1]:8443"],
            "udp": {key: value for key, value in udp.items() if value is not None},
            **changes,
        },
    )


def configuration(*listeners, **top):
    """A whole file. The log level is debug unless the test says otherwise."""
    settings = {"log": {"level": "debug"}, **top, "listeners": list(listeners)}
    return "".join(f"{name} = {_value(value)};\n" for name, value in settings.items())


def _value(value, indent=""):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    inner = indent + "  "
    if isinstance(value, dict):
        body = "".join(f"{inner}{key} = {_value(item, inner)};\n" for key, item in value.items())
        return "{\n" + body + indent + "}"
    # Groups go into a libconfig list, plain values into an array.
    opening, closing = "()" if any(isinstance(item, dict) for item in value) else "[]"
    body = ",\n".join(inner + _value(item, inner) for item in value)
    return f"{opening}\n{body}\n{indent}{closing}"
