"""Servers that keep mailboxes: the drop of Smarthop, and Dovecot. Each takes mail by LMTP (`port`) and
gives it out by IMAP and POP3 inside TLS."""

import crypt
import os
import shutil
import subprocess

from .servers import STOP_PATIENCE_S, Server, free_port

USER = "rcpt0"  # whom the generator sends to
DOMAIN = "example.test"
PASSWORD = "bench-password"
SESSIONS = 4000
NOBODY = 65534

DOVECOT_CONFIG = """\
base_dir = {directory}/run
state_dir = {directory}/state
log_path = {directory}/log
protocols = imap pop3 lmtp
listen = 127.0.0.1
mail_location = maildir:{directory}/mail/%n
auth_mechanisms = plain
auth_username_format = %n
passdb {{
  driver = passwd-file
  args = {directory}/users
}}
userdb {{
  driver = static
  args = uid={uid} gid={uid} home={directory}/home/%n
}}
ssl = required
ssl_min_protocol = TLSv1.3
ssl_cert = <{chain}
ssl_key = <{key}
mail_max_userip_connections = {sessions}
service imap-login {{
  process_limit = {sessions}
  inet_listener imap {{
    port = 0
  }}
  inet_listener imaps {{
    port = {imap_port}
    ssl = yes
  }}
}}
service pop3-login {{
  inet_listener pop3 {{
    port = 0
  }}
  inet_listener pop3s {{
    port = {pop3_port}
    ssl = yes
  }}
}}
service lmtp {{
  inet_listener lmtp {{
    address = 127.0.0.1
    port = {port}
  }}
}}
"""

DROP_CONFIG = """\
hostname = "bench.test"
store_path = "{directory}/queue"
control_socket = "{directory}/control.sock"
log_target = "{directory}/log"
listener "in" {{
    address = "127.0.0.1:{smtp_port}"
}}
plugin "drop" {{
    mailboxes = "{directory}/mail"
    domains = {{"{domain}"}}
    users_file = "{directory}/users"
    certificate = "{chain}"
    key = "{key}"
    lmtp = {{"127.0.0.1:{port}"}}
    pop3s = {{"127.0.0.1:{pop3_port}"}}
    imaps = {{"127.0.0.1:{imap_port}"}}
    sessions_per_user = {sessions}
    sessions_per_address = {sessions}
}}
"""


class MailServer(Server):
    def __init__(self, directory, certificate):
        super().__init__(directory, certificate)
        self.imap_port = free_port()
        self.pop3_port = free_port()

    def values(self):
        return {
            "directory": self.directory,
            "domain": DOMAIN,
            "port": self.port,
            "smtp_port": free_port(),
            "imap_port": self.imap_port,
            "pop3_port": self.pop3_port,
            "chain": self.certificate.chain,
            "key": self.certificate.key,
            "sessions": SESSIONS,
            "uid": NOBODY,
        }

    def _write_users(self, text):
        users = self.directory / "users"
        users.write_text(text)
        users.chmod(0o600)

    def _launch(self, *argv):
        with open(self.directory / "output", "ab") as log:
            self._child = subprocess.Popen(self.group.command(argv), stdout=log, stderr=log)

    def finish(self):
        self._child.terminate()
        self._child.wait(timeout=STOP_PATIENCE_S)


class Dovecot(MailServer):
    """An instance of its own beside the system's, as it is but for its folders and ports."""

    name = "dovecot"

    def configure(self, _hops):
        for part in ("run", "state", "mail", "home"):
            (self.directory / part).mkdir()
        for part in ("mail", "home"):
            os.chown(self.directory / part, NOBODY, NOBODY)
        self.config = self.directory / "dovecot.conf"
        self.config.write_text(DOVECOT_CONFIG.format(**self.values()))
        self._write_users(f"{USER}:{{PLAIN}}{PASSWORD}\n")
        shutil.chown(self.directory / "users", "dovecot")

    def launch(self):
        self._launch("dovecot", "-F", "-c", self.config)


class Drop(MailServer):
    name = "smarthop"

    def __init__(self, directory, certificate, daemon):
        super().__init__(directory, certificate)
        self.daemon = daemon

    def configure(self, _hops):
        (self.directory / "queue").mkdir()
        self.config = self.directory / "relay.conf"
        self.config.write_text(DROP_CONFIG.format(**self.values()))
        self._write_users(f"{USER}:{crypt.crypt(PASSWORD, crypt.METHOD_SHA512)}\n")

    def launch(self):
        self._launch(self.daemon, "-c", self.config)
