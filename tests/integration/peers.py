# SPDX-License-Identifier: MIT
"""The real programs around mmproxy: HAProxy, nginx and dnsdist in front, sshd, dnsmasq and iperf
behind; and a balancer for UDP of this project's own, as there is hardly another.

Each runs in the foreground from a configuration made for the test, in a namespace, never as a
service of the machine.
"""

import contextlib
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

from waiting import wait_until

PROGRAMS = {
    "haproxy": "haproxy",
    "nginx": "nginx",
    "dnsdist": "dnsdist",
    "sshd": "openssh-server",
    "dnsmasq": "dnsmasq-base",
    "iperf": "iperf",
    "ip": "iproute2",
    "nft": "nftables",
    "tc": "iproute2",
    "curl": "curl",
    "socat": "socat",
    "iptables-nft": "iptables",
    "iptables-legacy": "iptables",
    "sysctl": "procps",
    "strace": "strace",
    "openssl": "openssl",
    "ssh-keygen": "openssh-client",
    "setpriv": "util-linux",
    "prlimit": "util-linux",
    "setcap": "libcap2-bin",
    "promtool": "prometheus",
    "tmux": "tmux",
    "zsh": "zsh",
}
NGINX_STREAM = "/usr/lib/nginx/modules/ngx_stream_module.so"
BASH_COMPLETION = "/usr/share/bash-completion/bash_completion"


def missing():
    """The Debian packages that these tests need and do not find."""
    packages = {package for program, package in PROGRAMS.items() if not find(program)}
    if not os.path.exists(NGINX_STREAM):
        packages.add("libnginx-mod-stream")
    if not os.path.exists(BASH_COMPLETION):
        packages.add("bash-completion")
    return sorted(packages)


class Peer:
    """A program in a namespace, with a directory for its files, ready once its ports listen."""

    def __init__(self, namespace):
        self.namespace = namespace
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="mmp-peer-"))
        self.directory.chmod(0o755)
        self._process = None

    def write(self, name, text, mode=0o644):
        path = self.directory / name
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    def start(self, command, ports, protocols=("tcp",)):
        """Waits until all the ports are listened on, by each of the protocols."""
        with open(self.directory / "output", "wb") as output:
            self._process = self.namespace.popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )

        def listening():
            assert self._process.poll() is None, f"{command[0]} ended:\n{self.output()}"
            pid = self._process.pid
            return all(set(ports) <= listening_ports(pid, protocol) for protocol in protocols)

        wait_until(listening, 15, lambda: f"{command[0]} listens on {ports}:\n{self.output()}")

    def output(self):
        return (self.directory / "output").read_text(errors="backslashreplace")

    def read(self, name):
        return (self.directory / name).read_text(errors="backslashreplace")

    def stop(self):
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)


class HAProxy(Peer):
    """One frontend: TCP on `port`, handed to mmproxy at `server` with the given server options."""

    def __init__(self, namespace, server, options, port=9000, bind=None, frontend=""):
        super().__init__(namespace)
        bind = (bind or f"*:{port},[::]:{port} v6only").format(directory=self.directory, port=port)
        config = f"""\
global
    maxconn 8000
    nbthread 1
defaults
    mode tcp
    timeout connect 10s
    timeout client 60s
    timeout server 60s
frontend front
    bind {bind}
    {frontend}
    default_backend back
backend back
    server mmproxy {server} {options}
"""
        self.port = port
        self.config = self.write("haproxy.cfg", config)

    def run(self):
        self.start([find("haproxy"), "-db", "-f", self.config], [self.port])
        return self


class Nginx(Peer):
    """A stream proxy that sends a version 1 header, the only one it knows."""

    def __init__(self, namespace, server, port=9000):
        super().__init__(namespace)
        self.port = port
        self.config = self.write(
            "nginx.conf",
            f"""\
load_module {NGINX_STREAM};
daemon off;
master_process off;
pid {self.directory}/pid;
error_log {self.directory}/error.log;
events {{ worker_connections 4096; }}
stream {{
    server {{
        listen {port};
        listen [::]:{port} ipv6only=on;
        proxy_pass {server};
        proxy_protocol on;
        proxy_half_close on;
    }}
}}
""",
        )

    def run(self):
        command = [find("nginx"), "-p", str(self.directory), "-c", self.config]
        # Until it has read its configuration it would complain about its compiled-in log file.
        self.start([*command, "-e", str(self.directory / "error.log")], [self.port])
        return self


class Dnsdist(Peer):
    """A DNS load balancer on port 53 of these addresses, in front of one server that it checks.

    Nobody is given up for being slow: the machine may be busy.
    """

    def __init__(self, namespace, addresses, server):
        super().__init__(namespace)
        lines = [f'addLocal("{address}:53")' for address in addresses]
        lines += ['setACL({"0.0.0.0/0", "::/0"})', "setUDPTimeout(10)"]
        checks = "checkInterval=1, checkTimeout=10000, maxCheckFailures=10"
        lines += [f'newServer{{address="{server}", useProxyProtocol=true, {checks}}}']
        self.config = self.write("dnsdist.conf", "\n".join(lines) + "\n")

    def run(self):
        command = [find("dnsdist"), "--supervised", "--disable-syslog", "-C", self.config]
        self.start(command, [53], ["tcp", "udp"])
        wait_until(lambda: "as 'up'" in self.output(), 15, lambda: f"up:\n{self.output()}")
        return self


class Dnsmasq(Peer):
    """A name server on loopback that knows one name, and says in its log who asks."""

    NAME, ADDRESS4, ADDRESS6 = "www.example.com", "192.0.2.123", "2001:db8::123"

    def __init__(self, namespace, port=53):
        super().__init__(namespace)
        self.port = port

    def run(self):
        command = [find("dnsmasq"), "--conf-file=/dev/null", "--keep-in-foreground", "--pid-file"]
        command += ["--user=root", "--no-resolv", "--no-hosts", "--log-facility=-"]
        command += ["--log-queries=extra", "--bind-interfaces", f"--port={self.port}"]
        command += ["--listen-address=127.0.0.1,::1"]
        command += [f"--host-record={self.NAME},{self.ADDRESS4},{self.ADDRESS6}"]
        self.start(command, [self.port], ["tcp", "udp"])
        return self


class Iperf(Peer):
    """An iperf server for UDP on one address, which reports in kbit/s."""

    def __init__(self, namespace, address, port=5001):
        super().__init__(namespace)
        self.address = address
        self.port = port

    def run(self):
        command = [find("iperf"), "-s", "-u", "-B", self.address, "-p", str(self.port), "-f", "k"]
        if ":" in self.address:
            command.append("-V")
        self.start(command, [self.port], ["udp"])
        return self


class UdpForwarder(Peer):
    """tests/tools/udp_forwarder, from $UDP_FORWARDER or where the build leaves it."""

    def __init__(self, namespace, listen, server, framing, *options):
        super().__init__(namespace)
        self.listen = listen
        self.arguments = ["--listen", "%s:%d" % listen, "--to", server, "--framing", framing]
        self.arguments += options

    def run(self):
        top = pathlib.Path(__file__).resolve().parents[2]
        program = os.environ.get("UDP_FORWARDER") or top / "build/tests/tools/udp_forwarder"
        assert os.access(program, os.X_OK), f"no udp_forwarder at {program}"
        self.start([str(program), *self.arguments], [self.listen[1]], ["udp"])
        return self


class Sshd(Peer):
    """An SSH server on loopback whose log says where each connection came from."""

    def __init__(self, namespace, port=22):
        super().__init__(namespace)
        key = str(self.directory / "host_key")
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", key]
        subprocess.run(command, check=True)
        self.port = port
        self.config = self.write(
            "sshd_config",
            f"""\
Port {port}
ListenAddress 127.0.0.1
ListenAddress ::1
HostKey {key}
PidFile none
LogLevel VERBOSE
UsePAM no
PasswordAuthentication no
AuthorizedKeysFile none
""",
        )

    def run(self):
        # Compiled into Debian's sshd; its service makes it, and where that never ran it is missing.
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)
        log = str(self.directory / "auth.log")
        self.start([find("sshd"), "-D", "-f", self.config, "-E", log], [self.port])
        return self

    def wait_for_log(self, pattern, timeout=10):
        def search():
            return re.search(pattern, self.read("auth.log"))

        return wait_until(search, timeout, lambda: f"/{pattern}/ in:\n{self.read('auth.log')}")


def certificate(directory, name="cert", common_name="client.example"):
    """A self-signed certificate and its key in one PEM file, as HAProxy likes it."""
    key, cert, both = (pathlib.Path(directory) / f"{name}.{end}" for end in ("key", "crt", "pem"))
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    command += ["-nodes", "-days", "2", "-subj", f"/CN={common_name}"]
    command += ["-addext", "basicConstraints=critical,CA:TRUE"]
    command += ["-keyout", str(key), "-out", str(cert)]
    subprocess.run(command, check=True, capture_output=True)
    both.write_text(cert.read_text() + key.read_text())
    return str(both)


def listening_ports(pid, protocol="tcp"):
    """The ports that anyone listens on, or of UDP receives on, in the namespace of a process."""
    ports = set()
    # LISTEN; of UDP, not connected.
    state = {"tcp": "0A", "udp": "07"}[protocol]
    for table in (protocol, protocol + "6"):
        with contextlib.suppress(OSError), open(f"/proc/{pid}/net/{table}") as file:
            for line in file.readlines()[1:]:
                fields = line.split()
                if fields[3] == state:
                    ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def find(program):
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")
