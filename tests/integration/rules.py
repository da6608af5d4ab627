# SPDX-License-Identifier: MIT
"""What stands of the return path in a namespace: rules, routes and nftables tables."""

import json

from waiting import wait_until

PROTOCOL = "109"  # who made it, as mmproxy tags what it adds
TABLE = 123

# What the kernel itself has put there.
KERNEL_RULES = {0, 32766, 32767}


def _list(namespace, family, *words):
    command = ["ip", f"-{family}", "-N", "-json", *words]
    done = namespace.run(command)
    # A table that nobody has used yet is one that does not exist.
    return json.loads(done.stdout or "[]") if done.returncode == 0 else []


def rules(namespace, family):
    """All but the kernel's own, as (from, mark or None, table, protocol)."""
    return [
        (
            "%s/%s" % (rule["src"], rule.get("srclen", 32 if family == 4 else 128)),
            int(rule["fwmark"], 16) if "fwmark" in rule else None,
            int(rule["table"]),
            rule.get("protocol"),
        )
        for rule in _list(namespace, family, "rule", "show")
        if rule["priority"] not in KERNEL_RULES
    ]


def routes(namespace, family, table=TABLE):
    """Of a table, as (type, destination, protocol)."""
    return [
        (route.get("type", "unicast"), route["dst"], route.get("protocol"))
        for route in _list(namespace, family, "route", "show", "table", str(table))
    ]


def tables(namespace):
    """The names of all nftables tables."""
    listed = namespace.run(["nft", "-j", "list", "tables"]).stdout
    found = json.loads(listed or "{}").get("nftables", [])
    return sorted(entry["table"]["name"] for entry in found if "table" in entry)


LOOPBACK4 = ("127.0.0.0/8", None, TABLE, PROTOCOL)
LOOPBACK6 = ("::1/128", None, TABLE, PROTOCOL)


def loopback_is_managed(namespace, families=(4, 6)):
    """The rule and the route of each family are there, once, and tagged."""
    wanted = {4: LOOPBACK4, 6: LOOPBACK6}
    return all(
        rules(namespace, family).count(wanted[family]) == 1
        and [(route[0], route[2]) for route in routes(namespace, family)] == [("2", PROTOCOL)]
        for family in families
    )


def wait_until_put_back(namespace, condition=loopback_is_managed):
    """condition(namespace) takes several programs a look: how long they need says nothing."""
    what = lambda: f"it is put back:\n{everything(namespace)}"
    wait_until(lambda: condition(namespace), 15, what)


def is_empty(namespace, table=TABLE):
    """There is nothing but what the kernel has put there."""
    return not (
        rules(namespace, 4)
        or rules(namespace, 6)
        or routes(namespace, 4, table)
        or routes(namespace, 6, table)
        or tables(namespace)
    )


def flush_rules(namespace, family=4):
    """What a network manager does that starts anew: all rules go, the kernel's come back."""
    namespace.ip("rule flush\nrule add pref 32766 lookup main\n", f"-{family}")


def everything(namespace):
    """For the message of an assertion."""
    commands = ["rule", "-6 rule", "route show table all", "-6 route show table all"]
    listed = [namespace.run(["ip", *command.split()]).stdout for command in commands]
    return "\n".join([*listed, namespace.run(["nft", "list", "ruleset"]).stdout])
