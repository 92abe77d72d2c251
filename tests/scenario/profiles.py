"""The relays that scripts talk to, and their life: one for each profile with its settings."""
import re
import signal

from fake_dns import FakeDns
from support.relay import ANY_PORT, Relay

BASE = {"workers": 1, "guard_path": "guard", "errors_max": 1000, "commands_without_mail_max": 100000}
ROUTES = {"*": {"hold": "scenario"}, "discard.test": {"discard": True},
          "refused.test": {"reject": "5.7.1 not there"}}
BALANCERS, PROXIES = ["127.0.0.5/32"], ["127.0.0.6/32"]
# The hash of "secret" is a cheap one, since scripts log in often; SCRAM has tests of its own.
SECRET = ("$6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEm"
          "cExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.")
CLIENTS = ["127.0.0.1/32", "127.0.0.2/32", "127.0.0.5/32", "127.0.0.6/32", "192.0.2.0/24"]

# 127.0.0.21 is listed.
RECORDS = {"21.0.0.127.list.test": ["A 60 127.0.0.2", "TXT 60 sends junk"]}

# What a file of this key holds
FILES = {"users_file": f"user:{SECRET}:certificate={{fingerprint}}\nother@client.test:{SECRET}\n",
         "recipients_file": "there@ours.test\n@wide.test\nthere@sub.wide.test\n"}
SOCKETS = ["submission_socket", "lmtp_socket"]

# name -> (keys of the listener, global keys)
PROFILES = {
    "relay": ({}, {}),
    "starttls": ({"tls": "starttls"}, {}),
    "implicit": ({"tls": "implicit"}, {}),
    "submission": ({"tls": "starttls", "role": "submission"}, {"users_file": "users"}),
    "submissions": ({"tls": "implicit", "role": "submission"}, {"users_file": "users"}),
    "certificates": ({"tls": "implicit", "role": "submission", "client_certificates": "ask"},
                     {"users_file": "users"}),
    "auth": ({"tls": "starttls", "auth": True},
             {"users_file": "users", "auth_without_tls": True, "relay_networks": ["192.0.2.0/24"],
              "sender_must_match": False}),
    "proxied": ({"proxy": True}, {"proxy_networks": BALANCERS, "relay_networks": CLIENTS}),
    "proxied_tls": ({"proxy": True, "tls": "implicit"},
                    {"proxy_networks": BALANCERS, "relay_networks": CLIENTS}),
    "xclient": ({}, {"xclient_networks": PROXIES, "relay_networks": CLIENTS}),
    "normalize": ({}, {"bare_line_ends": "normalize"}),
    "strangers": ({}, {"relay_networks": ["192.0.2.0/24"]}),
    "local": ({}, {"submission_socket": "submission.sock"}),
    "lmtp": ({"role": "lmtp"}, {}),
    "lmtp_local": ({}, {"lmtp_socket": "lmtp.sock"}),
    "gateway": ({}, {"relay_networks": ["192.0.2.0/24"], "recipients_file": "recipients",
                     "relay_domains": ["ours.test", ".wide.test", "refused.test"],
                     "recipient_delimiter": "+", "postmaster_address": "boss@ours.test"}),
    "screened": ({}, {"relay_networks": ["127.0.0.7/32"], "relay_domains": ["ours.test"],
                      "limit_exempt_networks": ["127.0.0.7/32"], "block_lists": ["list.test"]}),
    # Limits that a script can reach; it may set them closer still.
    "limits": ({}, {"recipients_max": 100, "errors_max": 5, "message_size_max": "4KiB",
                    "header_size_max": "2KiB", "header_fields_max": 10, "hops_max": 3,
                    "text_line_max": "1000", "command_line_max": "512"}),
}


class ScenarioRelay(Relay):
    """Its files lie in its own folder, the users file among them."""

    def write_files(self, fingerprint):
        for key, text in FILES.items():
            if key in self.keys:
                path = self.folder / self.keys[key]
                path.touch(mode=0o600)
                path.write_text(text.format(fingerprint=fingerprint))

    def begin_to_stop(self):
        """It may still say goodbye."""
        self.process.signal(signal.SIGTERM)

    def wait_stopped(self):
        assert self.process.wait() == 0, self.process.err()


def value_of(text):
    """A setting as the configuration's writer wants it."""
    if text in ("yes", "no"):
        return text == "yes"
    if listed := re.fullmatch(r"\{(.*)\}", text):
        return [item.strip() for item in listed[1].split(",") if item.strip()]
    return int(text) if text.isdigit() else text


class Relays:
    """Starts each when it is first asked for."""

    def __init__(self, certificate, fingerprint):
        """`fingerprint`: of the certificate by which the user `user` may log in."""
        self._certificate = certificate
        self._fingerprint = fingerprint
        self._newest = {}
        self.all = []
        self._dns = FakeDns()
        self._dns.records.update(RECORDS)

    def of(self, script):
        """The relay of this script, and where its listener is."""
        key = (script.profile, tuple(sorted(script.settings.items())))
        relay = self._newest.get(key)
        if relay is None or not relay.is_running():
            relay = self._newest[key] = self._make(script)
            self.all.append(relay)
        local = [relay.keys[key] for key in SOCKETS if key in relay.keys]
        return relay, str(relay.folder / local[0]) if local else relay.port

    def _make(self, script):
        listener, keys = (dict(part) for part in PROFILES[script.profile])
        for name, text in script.settings.items():
            owner = listener if name.startswith("listener.") else keys
            owner[name.removeprefix("listener.")] = value_of(text)
        secured = listener.get("tls", "none") != "none"
        relay = ScenarioRelay(listeners={"smtp": {"address": ANY_PORT, **listener}}, routes=ROUTES,
                              certificate=self._certificate if secured else None,
                              **{**BASE, "dns_servers": [self._dns.address], **keys})
        relay.write_files(self._fingerprint)
        return relay.start()

    def __enter__(self):
        self._dns.__enter__()
        return self

    def __exit__(self, *_):
        for relay in self.all:
            if relay.is_running():
                relay.kill()
            relay.dispose()
        self._dns.__exit__(None, None, None)

    def stop(self):
        """Each must end well."""
        for relay in self.all:
            if relay.is_running():
                relay.stop()
