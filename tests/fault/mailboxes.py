"""The doors of a relay with mailboxes."""

import imaplib

from support.drop import PASSWORDS
from support.wait import wait_until


def door(relay, name):
    """Its port: another after each start."""
    def listening():
        return [record for record in relay.log("plugin", what="listening")
                if record["text"].startswith(f"listener={name} ")]
    record = wait_until(listening, f"the door {name}")[0]
    return int(record["text"].rsplit(":", 1)[1])


def log_in(relay, user):
    """Who is not known of support.drop has his name as his password."""
    client = imaplib.IMAP4("127.0.0.1", door(relay, "imap"))
    client.login(user, PASSWORDS.get(user, user))
    return client
