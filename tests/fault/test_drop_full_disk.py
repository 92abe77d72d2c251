"""Mailboxes on a full disk: mail is refused for now and nothing half is left, users can flag, move and
remove mail all the same, and with room again mail is taken again."""

import smtplib

import pytest

from disks import fill_blocks, fill_inodes
from mailboxes import door, log_in
from rig import simple_message
from support import users
from support.drop import ALICE, DOMAIN, PASSWORDS, section_of
from support.wait import wait_until

MESSAGES = 40
TRASH = "Trash"  # one of the folders of a new user
SETTINGS = {"store_low_water": "4MiB", "store_reserve": "2MiB", "workers": 1}
LARGE = simple_message("large", lines=20000)  # beyond draft_memory: staged as it comes in
SMALL = simple_message("small")


@pytest.fixture
def relay(make_relay, small_disk, certificate_files, tmp_path):
    """Its mailboxes, and nothing else, lie on the small disk. Alice has some mail, and her folders."""
    section = section_of(users.make(tmp_path / "users", PASSWORDS), certificate_files)
    section |= SETTINGS | {"mailboxes": small_disk / "mail"}
    relay = make_relay(plugins={"drop": section}, relay_domains=[DOMAIN]).start()
    for _ in range(MESSAGES):
        assert deliver(relay, simple_message("some", lines=500)) == 250
    log_in(relay, ALICE).logout()
    return relay


def deliver(relay, message):
    """The code of the answer by LMTP."""
    with smtplib.LMTP("127.0.0.1", door(relay, "lmtp")) as client:
        try:
            client.sendmail("from@client.test", [f"{ALICE}@{DOMAIN}"], message)
        except smtplib.SMTPResponseException as refusal:
            return refusal.smtp_code
    return 250


def append(client, message):
    return client.append("INBOX", None, None, message)[0]


def assert_takes_nothing(relay, client):
    for message in (SMALL, LARGE):
        assert deliver(relay, message) == 452
        assert append(client, message) == "NO"
    assert client.noop()[0] == "OK"
    assert client.select("INBOX")[1] == [str(MESSAGES).encode()]


def assert_can_clear_up(client):
    assert client.store("1:20", "+FLAGS.SILENT", "(\\Seen)")[0] == "OK"
    assert client.uid("MOVE", "1:10", TRASH)[0] == "OK"
    assert client.store("1:10", "+FLAGS.SILENT", "(\\Deleted)")[0] == "OK"
    assert client.expunge()[0] == "OK"
    assert client.delete(TRASH)[0] == "OK"
    assert client.select("INBOX")[1] == [str(MESSAGES - 20).encode()]


@pytest.mark.parametrize("fill", [fill_blocks, fill_inodes], ids=["blocks", "inodes"])
def test_full_disk(relay, small_disk, fill):
    assert (small_disk / "mail" / "reserve").stat().st_size == 2 << 20
    client = log_in(relay, ALICE)
    ballast = fill(small_disk)
    if fill == fill_blocks:
        wait_until(lambda: deliver(relay, SMALL) == 452, "mail to be refused")
        assert_takes_nothing(relay, client)
    else:
        client.select("INBOX")
    assert_can_clear_up(client)
    relay.ctl("mailbox", "check")
    for path in ballast:
        path.unlink()
    wait_until(lambda: deliver(relay, SMALL) == 250, "mail to be taken")
    assert append(client, LARGE) == "OK"
    relay.stop()


def test_start_on_a_full_disk(relay, small_disk):
    relay.kill()
    fill_blocks(small_disk)
    relay.start()
    client = log_in(relay, ALICE)
    assert_takes_nothing(relay, client)
    assert_can_clear_up(client)
    relay.ctl("mailbox", "check")
    relay.stop()


def test_compacting_on_a_full_disk(relay, small_disk):
    """What is left in the file fits into the room of the reserve."""
    client = log_in(relay, ALICE)
    client.select("INBOX")
    client.store("1:*", "+FLAGS.SILENT", "(\\Deleted)")
    assert client.expunge()[0] == "OK"
    relay.stop()
    fill_blocks(small_disk)
    data = small_disk / "mail" / "data.mdb"
    before = data.stat().st_size
    relay.ctl("mailbox", "compact")
    assert data.stat().st_size < before
    relay.ctl("mailbox", "check")
