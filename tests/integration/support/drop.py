"""The drop: a relay with mailboxes, and clients that are logged in."""
import imaplib
import poplib
import smtplib

from . import users
from .relay import ANY_PORT
from .trial import BUNDLED

DOMAIN = "ours.test"
ALICE, BOB = "alice", "bob"
PASSWORDS = {ALICE: "wonder land", BOB: "builder"}
DOORS = ("lmtp", "pop3", "pop3s", "imap", "imaps")


def section_of(users_file, certificate):
    """The plugin's section: all doors, on ports that the system chooses."""
    return {
        "file": BUNDLED / "drop.so",
        "mailboxes": "mail",
        "domains": [DOMAIN],
        "users_file": users_file,
        "certificate": certificate.certificate,
        "key": certificate.key,
        "store_map_size": "1GiB",
        "store_reserve": "64KiB",
        **{door: [ANY_PORT] for door in DOORS},
    }


class Drop:
    """
    drop = start_drop(domains=["a.test"], relay_keys={"workers": 1})
    drop.ports["imap"], drop.imap("alice"), drop.pop3("alice"), drop.lmtp()
    """

    def __init__(self, start_relay, certificate, trusting, folder, relay_keys=None, **options):
        self.trusting = trusting
        self.users_file = users.make(folder / "users", PASSWORDS)
        section = section_of(self.users_file, certificate) | options
        keys = {"relay_domains": [DOMAIN], **(relay_keys or {})}
        self.relay = start_relay(plugins={"drop": section}, **keys)

    @property
    def ports(self):
        """They are others after each start."""
        found = {}
        for record in self.relay.log("plugin", what="listening"):
            fields = dict(pair.split("=") for pair in record["text"].split())
            found[fields["listener"]] = int(fields["address"].rsplit(":", 1)[1])
        return found

    def lmtp(self):
        return smtplib.LMTP("127.0.0.1", self.ports["lmtp"])

    def deliver(self, message, *recipients, sender="from@client.test"):
        """By LMTP; all recipients have to be taken."""
        with self.lmtp() as client:
            refused = client.sendmail(sender, recipients or [f"{ALICE}@{DOMAIN}"], message)
            assert not refused

    def imap(self, user=ALICE, tls=True):
        if tls:
            client = imaplib.IMAP4_SSL("localhost", self.ports["imaps"], ssl_context=self.trusting)
        else:
            client = imaplib.IMAP4("127.0.0.1", self.ports["imap"])
        client.login(user, PASSWORDS[user])
        return client

    def pop3(self, user=ALICE, tls=True):
        if tls:
            client = poplib.POP3_SSL("localhost", self.ports["pop3s"], context=self.trusting)
        else:
            client = poplib.POP3("127.0.0.1", self.ports["pop3"])
        client.user(user)
        client.pass_(PASSWORDS[user])
        return client
