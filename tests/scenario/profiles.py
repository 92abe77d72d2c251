"""The relays that scripts talk to, and their life: one for each profile with its settings."""
import re
import signal

from support.relay import ANY_PORT, Relay

BASE = {"workers": 1, "errors_max": 1000, "commands_without_mail_max": 100000}
ROUTES = {"*": {"hold": "scenario"}, "discard.test": {"discard": True},
          "refused.test": {"reject": "5.7.1 not there"}}
BALANCERS, PROXIES = ["127.0.0.5/32"], ["127.0.0.6/32"]
# The hash of "secret" is a cheap one, since scripts log in often; SCRAM has tests of its own.
SECRET = ("$6$rounds=1000$salt$HNxBeBnDfSfUrTj6KiLnmd7tGCvHEm"
          "cExh8kl/S0cZ5WrCciNZgfhbpkeFQ4JfkHX.8vPq45lY0iINnCx1Lkm.")
USERS = ["user", "other@client.test"]
CLIENTS = ["127.0.0.1/32", "127.0.0.2/32", "127.0.0.5/32", "127.0.0.6/32", "192.0.2.0/24"]

# name -> (keys of the listener, global keys)
PROFILES = {
    "relay": ({}, {}),
    "starttls": ({"tls": "starttls"}, {}),
    "implicit": ({"tls": "implicit"}, {}),
    "submission": ({"tls": "starttls", "role": "submission"}, {"users_file": "users"}),
    "submissions": ({"tls": "implicit", "role": "submission"}, {"users_file": "users"}),
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
    # Limits that a script can reach; it may set them closer still.
    "limits": ({}, {"recipients_max": 100, "errors_max": 5, "message_size_max": "4KiB",
                    "header_size_max": "2KiB", "header_fields_max": 10, "hops_max": 3,
                    "text_line_max": "1000", "command_line_max": "512"}),
}


class ScenarioRelay(Relay):
    """Its files lie in its own folder, the users file among them."""

    def start(self):
        if "users_file" in self.keys:
            users = self.folder / "users"
            users.touch(mode=0o600)
            users.write_text("".join(f"{name}:{SECRET}\n" for name in USERS))
        return super().start()

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

    def __init__(self, certificate):
        self._certificate = certificate
        self._newest = {}
        self.all = []

    def of(self, script):
        """The relay of this script, and where its listener is."""
        key = (script.profile, tuple(sorted(script.settings.items())))
        relay = self._newest.get(key)
        if relay is None or not relay.is_running():
            relay = self._newest[key] = self._make(script)
            self.all.append(relay)
        local = relay.keys.get("submission_socket")
        return relay, str(relay.folder / local) if local else relay.port

    def _make(self, script):
        listener, keys = (dict(part) for part in PROFILES[script.profile])
        for name, text in script.settings.items():
            owner = listener if name.startswith("listener.") else keys
            owner[name.removeprefix("listener.")] = value_of(text)
        secured = listener.get("tls", "none") != "none"
        return ScenarioRelay(listeners={"smtp": {"address": ANY_PORT, **listener}}, routes=ROUTES,
                             certificate=self._certificate if secured else None,
                             **{**BASE, **keys}).start()

    def stop(self):
        for relay in self.all:
            if relay.is_running():
                relay.stop()
