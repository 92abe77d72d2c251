"""`smarthopctl mailbox`: beside the daemon, in its place, and through files."""
import json
import mailbox
import smtplib

import pytest
from support import content
from support.drop import ALICE, BOB, DOMAIN

MESSAGE = content.message(b"hello\r\n\r\nFrom the start\r\n.end")


def fields(drop, *arguments):
    return json.loads(drop.relay.ctl("--json", "mailbox", *arguments).stdout)


def boxes(drop, user=ALICE):
    return {box["name"]: box for box in fields(drop, "list", user)}


def refused(drop, *arguments, code=1):
    done = drop.relay.ctl("mailbox", *arguments, check=False)
    assert done.returncode == code, done
    return done.stderr.decode()


def messages_of(drop, user=ALICE):
    """As POP3 gives them, without what each delivery adds."""
    client = drop.pop3(user)
    try:
        count = client.stat()[0]
        return [b"\r\n".join(client.retr(n + 1)[1]) for n in range(count)]
    finally:
        client.quit()


@pytest.fixture
def drop(start_drop):
    return start_drop()


def test_what_is_there_is_told_beside_the_daemon(drop):
    drop.deliver(MESSAGE)
    drop.deliver(MESSAGE, f"{BOB}@{DOMAIN}")
    users = {user["user"]: user for user in fields(drop, "list")}
    assert set(users) == {ALICE, BOB}
    assert users[ALICE]["messages"] == 1
    assert users[ALICE]["bytes"] > len(MESSAGE)
    inbox = boxes(drop)["INBOX"]
    assert (inbox["messages"], inbox["unseen"]) == (1, 1)
    assert inbox["bytes"] == users[ALICE]["bytes"]
    assert b"INBOX" in drop.relay.ctl("mailbox", "list", ALICE).stdout
    assert "has no mailboxes" in refused(drop, "list", "nobody")
    assert fields(drop, "check")["problems"] == 0


@pytest.mark.parametrize("is_up", [True, False])
def test_mailboxes_are_made_and_removed(drop, is_up):
    drop.deliver(MESSAGE)
    if not is_up:
        drop.relay.stop()
    assert fields(drop, "create", ALICE, "Archive/2024")["ok"]
    assert {"Archive", "Archive/2024"} <= set(boxes(drop))
    assert "there is one already" in refused(drop, "create", ALICE, "Archive/2024")
    assert "INBOX" in refused(drop, "delete", ALICE, "INBOX")
    assert "name one mailbox" in refused(drop, "delete", ALICE, code=2)
    drop.relay.ctl("mailbox", "delete", ALICE, "Archive/2024")
    assert "Archive/2024" not in boxes(drop)
    assert b"1 messages deleted" in drop.relay.ctl("mailbox", "delete", ALICE, "--all").stdout
    assert boxes(drop) == {}
    if not is_up:
        drop.relay.start()
    assert messages_of(drop) == []


@pytest.mark.parametrize("is_up", [True, False])
def test_a_quota_holds(drop, is_up):
    if not is_up:
        drop.relay.stop()
    drop.relay.ctl("mailbox", "quota", ALICE, "1GiB", "1")
    assert f"0 of {1 << 30} bytes; 0 of 1 messages" in fields(drop, "quota", ALICE)["output"]
    assert "is not a number" in refused(drop, "quota", ALICE, "much", code=2)
    if not is_up:
        drop.relay.start()
    drop.deliver(MESSAGE)
    with pytest.raises(smtplib.SMTPException, match="4.2.2"):
        drop.deliver(MESSAGE)
    drop.relay.ctl("mailbox", "quota", ALICE, "default", "none")
    drop.deliver(MESSAGE)
    assert boxes(drop)["INBOX"]["messages"] == 2


def test_what_only_the_store_s_owner_can_do_is_refused_beside_the_daemon(drop, tmp_path):
    drop.deliver(MESSAGE)
    assert "stop it first" in refused(drop, "import", ALICE, str(tmp_path))
    assert "stop it first" in refused(drop, "compact")
    assert "stop it first" in refused(drop, "repair")
    drop.relay.stop()
    assert fields(drop, "repair") == {"ok": True, "repairs": 0}
    assert fields(drop, "compact")["ok"]


@pytest.mark.parametrize("form", ["maildir", "mbox"])
def test_files_and_back(drop, tmp_path, form):
    for number in range(5):
        drop.deliver(content.message(f"body {number}\r\n\r\nFrom the start".encode()))
    before = messages_of(drop)
    out = tmp_path / "out"
    drop.relay.ctl("mailbox", "export", ALICE, "--to", out, "--format", form)
    if form == "maildir":
        reader = mailbox.Maildir(out, create=False)
    else:
        reader = mailbox.mbox(out / "INBOX.mbox", create=False)
    assert sorted(message.get_payload().splitlines()[0] for message in reader) == [
        f"body {number}" for number in range(5)]
    drop.relay.stop()
    drop.relay.ctl("mailbox", "delete", ALICE, "--all")
    source = out if form == "maildir" else out / "INBOX.mbox"
    told = fields(drop, "import", ALICE, str(source))
    assert (told["ok"], told["messages"]) == (True, 5)
    drop.relay.start()
    assert messages_of(drop) == before


def test_what_others_have_written_is_read(drop, tmp_path):
    folder = mailbox.Maildir(tmp_path / "theirs")
    seen = mailbox.MaildirMessage(b"Subject: seen\n\nx\n")
    seen.set_subdir("cur")
    seen.set_flags("FS")
    folder.add(seen)
    folder.add_folder("Old.Things").add(mailbox.MaildirMessage(b"Subject: old\n\nx\n"))
    box = mailbox.mbox(tmp_path / "list.mbox")
    read = mailbox.mboxMessage(b"Subject: read\n\nFrom here\n")
    read.set_flags("RA")
    box.add(read)
    box.flush()
    drop.relay.stop()
    drop.relay.ctl("mailbox", "import", ALICE, tmp_path / "theirs")
    drop.relay.ctl("mailbox", "import", ALICE, tmp_path / "list.mbox", "Lists/theirs")
    found = boxes(drop)
    assert {name: (box["messages"], box["unseen"]) for name, box in found.items()} == {
        "INBOX": (1, 0), "Old/Things": (1, 1), "Old": (0, 0), "Lists": (0, 0),
        "Lists/theirs": (1, 0)}
    assert fields(drop, "check")["problems"] == 0
    drop.relay.start()
    assert b"Subject: seen" in messages_of(drop)[0]


def test_compacting_makes_the_file_smaller_and_loses_nothing(drop):
    body = b"".join(b"line %d of a long one\r\n" % n for n in range(4000))
    for _ in range(30):
        drop.deliver(content.message(body))
    drop.deliver(content.message(b"the one that stays"))
    client = drop.imap()
    client.select()
    client.store("1:30", "+FLAGS", "(\\Deleted)")
    client.expunge()
    client.logout()
    drop.relay.stop()
    data = drop.relay.folder / "mail" / "data.mdb"
    before = data.stat().st_size
    told = fields(drop, "compact")
    assert told["ok"]
    assert data.stat().st_size < before / 2
    assert not list(data.parent.glob("*.new"))
    assert fields(drop, "check")["problems"] == 0
    drop.relay.start()
    client = drop.imap()
    assert client.select()[1] == [b"1"]
    assert b"the one that stays" in client.fetch("1", "(BODY.PEEK[])")[1][0][1]
    client.logout()
    drop.deliver(content.message(b"and another"))
    assert boxes(drop)["INBOX"]["messages"] == 2
