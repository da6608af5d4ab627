# SPDX-License-Identifier: MIT
"""Who is measured. Each is started for one run and ended after it: one proxy is alive at a time.

All do the same: they read the PROXY header and dial the upstream from the client's address.
"""

import contextlib
import pathlib
import shutil
import subprocess
import sys
import tempfile

import daemon
import peers

from . import stage as stages

MMPROXY = """\
workers = {workers};
listeners = ( {{
	name = "bench";
	protocol = "{protocol}";
	listen = "{listen}";
	forward = {{ ipv4 = "{upstream}"; }};
	subnets = "any";
	udp = {{ framing = "{framing}"; }};
}} );
{settings}{plugins}
log = {{ level = "warning"; }};
"""

# A chain of three, all of which let pass whoever comes.
PLUGINS = """\
plugins = (
	{{ name = "banned"; path = "{acl}"; config = {{ deny = "192.0.2.0/25"; }}; }},
	{{ name = "limit"; path = "{ratelimit}"; config = {{ max_sessions = 1000000; }}; }},
	{{ name = "banned-too"; path = "{acl}"; config = {{ deny = "192.0.2.128/25"; }}; }}
);
"""

# maxconn: what 20,000 descriptors allow, two a connection, and pipes for splicing.
HAPROXY = """\
global
    maxconn 6000
    nbthread 2
defaults
    mode tcp
    timeout connect 10s
    timeout client 300s
    timeout server 300s
    {splice}
listen bench
    bind {listen} accept-proxy
    source 0.0.0.0 usesrc clientip
    server upstream {upstream}
"""

# proxy_half_close: without it an end of one direction ends the other, and echoes are lost.
NGINX = """\
load_module {module};
user root;
daemon off;
worker_processes 2;
worker_rlimit_nofile 18000;
pid {folder}/pid;
error_log {folder}/error.log error;
events {{ worker_connections 9000; }}
stream {{
    set_real_ip_from 127.0.0.0/8;
    server {{
        listen {listen} proxy_protocol reuseport;
        proxy_bind $remote_addr transparent;
        proxy_pass {upstream};
        proxy_half_close on;
    }}
}}
"""

# Programs that a user may have: their command lines.
_BY_PATH = {
    "go-mmproxy": "-l {listen} -4 {upstream} -p {protocol} -allowed-subnets {subnets} -v 0",
    "mmproxy-rs": "-l {listen} -4 {upstream} -p {protocol} -a {subnets}",
    "mmproxy": "-l {listen} -4 {upstream} --allowed-networks {subnets}",
}


class Running:
    """A proxy while it runs."""

    def __init__(self, pid):
        self.pid = pid

    def settle(self, scenario, patience=stages.PATIENCE):
        """Waits until it does what is to be measured; {field of results.Run: what was seen}."""
        return {}


class Proxy:
    """One that is a process; `running` is a context in which it listens, and yields a Running."""

    protocols = ("tcp",)
    everywhere = False  # in each scenario of its protocols, not only where it is named

    def __init__(self, name):
        self.name = name

    @contextlib.contextmanager
    def running(self, namespace, scenario, listen, upstream):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="mmp-bench-"))
        try:
            command = self.command(folder, scenario, listen, upstream)
            with open(folder / "output", "wb") as output:
                process = namespace.popen(
                    command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
            try:
                try:
                    stages.wait_for_port(namespace, listen, scenario.protocol, process)
                except AssertionError as why:
                    said = (folder / "output").read_text(errors="replace").strip()
                    raise ValueError(f"{self.name} does not listen: {why}\n{said}") from None
                yield Running(process.pid)
            finally:
                stages.end(process)
            stages.wait_for_port(namespace, listen, scenario.protocol)
        finally:
            shutil.rmtree(folder, ignore_errors=True)


class Mmproxy(Proxy):
    protocols = ("tcp", "udp")

    def __init__(self, name="mmproxy", workers=0, plugins=False):
        super().__init__(name)
        self.workers = workers
        self.settings = ""
        self.plugins = ""
        if plugins:
            files = {one: stages.program(f"{one}.so") for one in ("acl", "ratelimit")}
            self.plugins = PLUGINS.format(**files)

    def watched(self, process):
        return Running(process.pid)

    def clear(self, namespace):
        """What it has left there after it has ended."""

    @contextlib.contextmanager
    def running(self, namespace, scenario, listen, upstream):
        config = MMPROXY.format(
            workers=self.workers,
            protocol=scenario.protocol,
            listen=listen,
            upstream=upstream,
            framing=scenario.framing or "every",
            settings=self.settings,
            plugins=self.plugins,
        )
        process = daemon.Daemon(namespace, config, program=stages.program("mmproxy"))
        try:
            stages.wait_for_port(namespace, listen, scenario.protocol, process.process)
            yield self.watched(process)
            process.stop()
            stages.wait_for_port(namespace, listen, scenario.protocol)
        except BaseException:
            status = process.process.poll()
            if status is not None:
                print(f"{self.name} has ended: status {status}", file=sys.stderr)
            print(process.log(), file=sys.stderr)
            raise
        finally:
            process.discard()
            self.clear(namespace)


class Haproxy(Proxy):
    def __init__(self, name, splice):
        super().__init__(name)
        self.splice = "option splice-request\n    option splice-response" if splice else ""

    def command(self, folder, scenario, listen, upstream):
        config = folder / "haproxy.cfg"
        config.write_text(HAPROXY.format(splice=self.splice, listen=listen, upstream=upstream))
        return ["haproxy", "-db", "-f", str(config)]


class Nginx(Proxy):
    def command(self, folder, scenario, listen, upstream):
        config = folder / "nginx.conf"
        config.write_text(
            NGINX.format(module=peers.NGINX_STREAM, folder=folder, listen=listen, upstream=upstream)
        )
        errors = str(folder / "error.log")
        return ["nginx", "-p", str(folder), "-c", str(config), "-e", errors]


class Plain(Proxy):
    """The yardstick of UDP, udp_plain: a transparent relay that makes the system calls of
    mmproxy-rs, one datagram a call, and does hardly anything else. What is ahead of it by some
    factor is ahead of mmproxy-rs by more. With one thread, as mmproxy has for one flow, or with
    replies on a second one, as mmproxy-rs has them."""

    protocols = ("udp",)

    def __init__(self, name, two_threads):
        super().__init__(name)
        self.options = ["--two-threads"] if two_threads else []

    def command(self, folder, scenario, listen, upstream):
        return [stages.program("udp_plain"), *self.options, listen, upstream]


class ByPath(Proxy):
    """Another project's program, which the user has."""

    everywhere = True

    def __init__(self, kind, path):
        super().__init__("cloudflare-mmproxy" if kind == "mmproxy" else kind)
        self.path = path
        self.arguments = _BY_PATH[kind]
        self.protocols = ("tcp",) if kind == "mmproxy" else ("tcp", "udp")

    def command(self, folder, scenario, listen, upstream):
        subnets = folder / "subnets"
        subnets.write_text("127.0.0.0/8\n198.51.100.0/24\n")
        arguments = self.arguments.format(
            listen=listen, upstream=upstream, protocol=scenario.protocol, subnets=subnets
        )
        return [self.path, *arguments.split()]


def by_path(text):
    """From NAME=PATH; raises ValueError with what would be right."""
    kind, _, path = text.partition("=")
    if kind not in _BY_PATH:
        raise ValueError(f"not one of {', '.join(_BY_PATH)}: {kind}")
    found = shutil.which(path)
    if not found:
        raise ValueError(f"no program at {path}")
    return ByPath(kind, found)
