"""From smtplib to poplib: mail to a mailbox of the drop, over the relay's queue."""
import imaplib
import json
import smtplib

import pytest
from support import content
from support.drop import ALICE, BOB, DOMAIN, PASSWORDS
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")


def send(drop, *recipients):
    with smtplib.SMTP("127.0.0.1", drop.relay.port) as client:
        return client.sendmail("from@client.test", recipients, MESSAGE)


def count_of(drop, user):
    client = drop.pop3(user)
    try:
        return client.stat()[0]
    finally:
        client.quit()


def test_mail_is_delivered_to_mailboxes(start_drop):
    drop = start_drop()
    assert send(drop, f"{ALICE}@{DOMAIN}", f"{BOB}@{DOMAIN}") == {}
    drop.relay.wait_empty()
    for user in (ALICE, BOB):
        client = drop.pop3(user)
        text = b"\r\n".join(client.retr(1)[1])
        assert b"Return-Path: <from@client.test>" in text
        assert f"Delivered-To: {user}@{DOMAIN}".encode() in text
        assert text.endswith(b"hello")
        client.quit()
    assert count_of(drop, ALICE) == 1


def test_strangers_in_a_local_domain_are_refused(start_drop):
    drop = start_drop()
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        send(drop, f"nobody@{DOMAIN}")
    assert refused.value.recipients[f"nobody@{DOMAIN}"][0] == 550


def test_what_is_there_stays_over_a_restart(start_drop):
    drop = start_drop()
    drop.deliver(MESSAGE)
    drop.relay.restart()
    assert count_of(drop, ALICE) == 1


def test_a_section_that_changes_is_refused_while_it_runs(start_drop):
    drop = start_drop()
    drop.relay.sections["plugin"]["drop"]["errors_max"] = 7
    drop.relay.write_conf()
    assert drop.relay.reload()["event"] == "reload-refused"
    drop.deliver(MESSAGE)
    assert count_of(drop, ALICE) == 1


def test_new_users_are_seen(start_drop):
    drop = start_drop()
    with pytest.raises(smtplib.SMTPRecipientsRefused):
        drop.deliver(MESSAGE, f"carol@{DOMAIN}")
    with open(drop.users_file, "a") as users:
        users.write("carol:*\n")

    def taken():
        try:
            drop.deliver(MESSAGE, f"carol@{DOMAIN}")
        except smtplib.SMTPRecipientsRefused:
            return False
        return True
    wait_until(taken, "the new user to be known")


def test_an_alias_may_lead_elsewhere_too(start_drop, start_sink, tmp_path):
    """What it names here goes into mailboxes and folders here, also where one has its own name."""
    aliases = tmp_path / "aliases"
    aliases.write_text(f"{ALICE}: {ALICE}, {BOB}+Sent, x@else.test\nfar: y@else.test\n"
                       f"both: {BOB}, far\n")
    elsewhere = start_sink()
    drop = start_drop(aliases=aliases, relay_keys={"routes": {"else.test": to(elsewhere)}})
    drop.imap(BOB).logout()  # his folders are there then
    assert send(drop, f"{ALICE}@{DOMAIN}", f"both@{DOMAIN}", f"far@{DOMAIN}") == {}
    drop.relay.wait_empty()
    assert [count_of(drop, user) for user in (ALICE, BOB)] == [1, 1]
    client = drop.imap(BOB)
    assert client.select("Sent")[1] == [b"1"]
    client.logout()
    assert elsewhere.recipients() == ["x@else.test", "y@else.test", "y@else.test"]


def test_aliases_are_read_again_when_they_change(start_drop, tmp_path):
    aliases = tmp_path / "aliases"
    aliases.write_text(f"sales: {ALICE}\n")
    drop = start_drop(aliases=aliases)
    drop.deliver(MESSAGE, f"sales@{DOMAIN}")
    aliases.write_text(f"sales: {ALICE}\nhelp: {ALICE}, {BOB}\n")
    drop.relay.wait_log("plugin", what="aliases-loaded", text=f"file={aliases} aliases=2")
    drop.deliver(MESSAGE, f"help@{DOMAIN}")
    assert (count_of(drop, ALICE), count_of(drop, BOB)) == (2, 1)
    aliases.write_text("no colon here\n")
    drop.relay.wait_log("plugin", what="aliases-refused")
    drop.deliver(MESSAGE, f"help@{DOMAIN}")
    assert count_of(drop, BOB) == 2


def test_metrics(start_drop):
    drop = start_drop()
    drop.deliver(MESSAGE)
    count_of(drop, ALICE)
    told = json.loads(drop.relay.ctl("--json", "plugin", "show", "drop").stdout)["metrics"]
    names = {metric["name"]: metric["value"] for metric in told}
    assert names == {"sessions_total": 2, "logins_total": 1, "logins_failed_total": 0,
                     "delivered_total": 1, "not_delivered_total": 0}


@pytest.mark.parametrize("log_in", [
    lambda client, name: client.login(name, PASSWORDS[ALICE]),
    lambda client, name: client.authenticate(
        "PLAIN", lambda _: f"\0{name}\0{PASSWORDS[ALICE]}".encode()),
], ids=["login", "plain"])
def test_the_whole_address_is_a_name_too(start_drop, log_in):
    drop = start_drop()
    drop.deliver(MESSAGE)

    def imap():
        return imaplib.IMAP4("127.0.0.1", drop.ports["imap"])
    client = imap()
    log_in(client, f"{ALICE}@{DOMAIN}")
    assert client.select()[1] == [b"1"]
    client.logout()
    with pytest.raises(imaplib.IMAP4.error):
        log_in(imap(), f"{ALICE}@elsewhere.test")
    with pytest.raises(imaplib.IMAP4.error):
        log_in(imap(), f"nobody@{DOMAIN}")
