"""The servers under test. Each knows how to configure, start, stop, list and flush itself."""

import shutil
import socket
import subprocess
import time
from pathlib import Path

from .accounting import Group

BANNER_PATIENCE_S = 300
STOP_PATIENCE_S = 60
LAST_WORDS = 5


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """Common to all: a directory, two ports, a control group while it runs."""

    name = ""

    def __init__(self, directory, certificate):
        self.directory = Path(directory) / self.name
        self.certificate = certificate
        self.port = free_port()
        self.hop_port = free_port()
        self.group = None

    def prepare(self, hops=None):
        """An empty queue and a configuration. `hops` are domains with the ports of next hops of
        their own."""
        shutil.rmtree(self.directory, ignore_errors=True)
        self.directory.mkdir(parents=True)
        self.configure(hops or {})

    def start(self):
        """Returns the seconds until the banner."""
        self.group = Group(self.name)
        started = time.monotonic()
        self.launch()
        self._await_banner(started + BANNER_PATIENCE_S)
        return time.monotonic() - started

    def stop(self):
        if not self.group:
            return
        try:
            self.finish()
        finally:
            self.group.remove()
            self.group = None

    def last_words(self):
        """The end of what it logged and printed, for when it failed."""
        lines = []
        for name in ("output", "commands", "log"):
            path = self.directory / name
            if path.is_file():
                lines += path.read_text(errors="replace").splitlines()[-LAST_WORDS:]
        return lines

    def _await_banner(self, deadline):
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as probe:
                    if probe.recv(100).startswith(b"220"):
                        return
            except OSError:
                pass
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} does not greet; see {self.directory}")
            time.sleep(0.002)


POSTFIX_MAIN = """\
compatibility_level = 3.6
command_directory = {command_directory}
daemon_directory = {daemon_directory}
queue_directory = {directory}/queue
data_directory = {directory}/data
maillog_file = {directory}/log
maillog_file_prefixes = {directory}
mail_owner = postfix
setgid_group = postdrop
myhostname = bench.test
mydestination =
alias_maps =
local_recipient_maps =
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
relayhost = [127.0.0.1]:{hop_port}
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_peername_lookup = no
smtpd_client_connection_count_limit = 0
smtpd_client_connection_rate_limit = 0
smtpd_client_message_rate_limit = 0
smtpd_recipient_limit = 5000
default_process_limit = 200
default_destination_concurrency_limit = 50
initial_destination_concurrency = 50
default_destination_recipient_limit = 1000
qmgr_message_active_limit = 100000
qmgr_message_recipient_limit = 100000
in_flow_delay = 0
message_size_limit = 100000000
smtp_tls_security_level = may
smtp_tls_session_cache_database = btree:${{data_directory}}/smtp_scache
smtpd_tls_security_level = may
smtpd_tls_cert_file = {chain}
smtpd_tls_key_file = {key}
"""

POSTFIX_MASTER = """\
127.0.0.1:{port} inet n - n - - smtpd
pickup    unix n - n 60   1 pickup
cleanup   unix n - n -    0 cleanup
qmgr      unix n - n 300  1 qmgr
tlsmgr    unix - - n 1000? 1 tlsmgr
rewrite   unix - - n -    - trivial-rewrite
bounce    unix - - n -    0 bounce
defer     unix - - n -    0 bounce
trace     unix - - n -    0 bounce
flush     unix n - n 1000? 0 flush
proxymap  unix - - n -    - proxymap
smtp      unix - - n -    - smtp
relay     unix - - n -    - smtp
showq     unix n - n -    - showq
error     unix - - n -    - error
retry     unix - - n -    - error
discard   unix - - n -    - discard
anvil     unix - - n -    1 anvil
scache    unix - - n -    1 scache
postlog   unix-dgram n - n - 1 postlogd
"""


class Postfix(Server):
    """An instance of its own beside the system's, tuned for rate, with syncs as they come."""

    name = "postfix"
    # One process a session, and default_process_limit of them.
    idle_sessions = 150
    idle_flood = None

    def configure(self, hops):
        self.config = self.directory / "etc"
        self.config.mkdir()
        for part in ("queue", "data"):
            (self.directory / part).mkdir()
        shutil.chown(self.directory / "data", "postfix")
        values = {
            "directory": self.directory,
            "port": self.port,
            "hop_port": self.hop_port,
            "chain": self.certificate.chain,
            "key": self.certificate.key,
            "command_directory": self._default("command_directory"),
            "daemon_directory": self._default("daemon_directory"),
        }
        main = POSTFIX_MAIN.format(**values)
        if hops:
            main += f"transport_maps = texthash:{self.config}/transport\n"
            lines = [f"{domain} smtp:[127.0.0.1]:{port}\n" for domain, port in hops.items()]
            (self.config / "transport").write_text("".join(lines))
        (self.config / "main.cf").write_text(main)
        (self.config / "master.cf").write_text(POSTFIX_MASTER.format(**values))

    @staticmethod
    def _default(name):
        argv = ["postconf", "-d", "-h", name]
        return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()

    def _run(self, *argv, out="commands"):
        with open(self.directory / "commands", "ab") as log, open(self.directory / out, "ab") as to:
            subprocess.run(list(map(str, argv)), stdout=to, stderr=log, check=True)

    def launch(self):
        self._run(*self.group.command(["postfix", "-c", self.config, "start"]))

    def finish(self):
        self._run("postfix", "-c", self.config, "stop")

    def list_queue(self):
        self._run("postqueue", "-c", self.config, "-p", out="listing")

    def retry_all(self):
        self._run("postqueue", "-c", self.config, "-f")


SMARTHOP_CONFIG = """\
hostname = "bench.test"
store_path = "{directory}/queue"
control_socket = "{directory}/control.sock"
log_target = "{directory}/log"
relay_networks = {{"127.0.0.0/8"}}
tls_certificate = "{chain}"
tls_key = "{key}"
listener "in" {{
    address = "127.0.0.1:{port}"
    tls = "starttls"
}}
"""
SMARTHOP_ROUTE = """\
route "{domain}" {{
    hosts = {{"[127.0.0.1]:{hop_port}"}}
    tls = "opportunistic"
}}
"""


class Smarthop(Server):
    name = "smarthop"
    idle_sessions = 2000
    idle_flood = 5000

    def __init__(self, directory, certificate, daemon, control):
        super().__init__(directory, certificate)
        self.daemon = daemon
        self.control = control
        self.sections = ""  # besides

    def configure(self, hops):
        self.config = self.directory / "relay.conf"
        (self.directory / "queue").mkdir()
        values = {
            "directory": self.directory,
            "port": self.port,
            "chain": self.certificate.chain,
            "key": self.certificate.key,
        }
        places = {"*": self.hop_port} | hops
        routes = [SMARTHOP_ROUTE.format(domain=d, hop_port=port) for d, port in places.items()]
        text = SMARTHOP_CONFIG.format(**values) + "".join(routes) + self.sections
        self.config.write_text(text)

    def launch(self):
        with open(self.directory / "output", "ab") as log:
            argv = self.group.command([self.daemon, "-c", self.config])
            self._child = subprocess.Popen(argv, stdout=log, stderr=log)

    def finish(self):
        self._child.terminate()
        self._child.wait(timeout=STOP_PATIENCE_S)

    def _ctl(self, *argv):
        with open(self.directory / "listing", "wb") as out:
            command = [self.control, "-c", self.config, *argv]
            subprocess.run(list(map(str, command)), stdout=out, check=True)

    def list_queue(self):
        self._ctl("queue", "list", "--json")

    def retry_all(self):
        self._ctl("queue", "retry", "--all")
