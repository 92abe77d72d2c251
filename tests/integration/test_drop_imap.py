"""IMAP of the drop, as imaplib sees it: folders, messages, several sessions, restarts."""
import imaplib
import re

import pytest
from support import content
from support.drop import ALICE, DOMAIN, PASSWORDS

MESSAGE = content.message(b"hello")
imaplib._MAXLINE = 1 << 20


def good(answer):
    kind, data = answer
    assert kind == "OK", data
    return data


def append(client, message=MESSAGE, box="INBOX", flags=""):
    good(client.append(box, flags, None, message))


def flags_of(client, number="1"):
    return imaplib.ParseFlags(good(client.fetch(number, "(FLAGS)"))[0])


def untagged(client, name):
    return client.response(name)[1]


def test_folders_come_and_go(start_drop):
    client = start_drop().imap()
    good(client.create("Work/Plans"))
    good(client.subscribe("Work/Plans"))
    append(client, box="Work/Plans")
    good(client.rename("Work", "Done"))
    names = [line.split(b'"/" ')[1] for line in good(client.list())]
    assert b"Done" in names and b"Done/Plans" in names and b"Work" not in names
    good(client.select("Done/Plans"))
    assert good(client.fetch("1", "(RFC822)"))[0][1] == MESSAGE
    good(client.close())
    good(client.delete("Done/Plans"))
    assert client.select("Done/Plans")[0] == "NO"
    assert {b"\\Sent", b"\\Trash"} <= {use for line in good(client.list())
                                       for use in re.findall(rb"\\\w+", line)}
    client.logout()


def test_messages_are_read_flagged_moved_and_removed(start_drop):
    drop = start_drop()
    drop.deliver(MESSAGE)
    client = drop.imap()
    assert good(client.select()) == [b"1"]
    good(client.search(None, "UNSEEN"))
    text = good(client.fetch("1", "(RFC822)"))[0][1]
    assert text.startswith(b"Return-Path: <from@client.test>\r\n") and text.endswith(b"hello\r\n")
    assert b"\\Seen" in flags_of(client)
    good(client.store("1", "+FLAGS", "(\\Flagged $Work)"))
    assert {b"\\Flagged", b"$Work"} <= set(flags_of(client))
    assert good(client.search(None, "KEYWORD", "$Work")) == [b"1"]
    good(client.copy("1", "Archive"))
    good(client.uid("MOVE", "1", "Trash"))
    assert good(client.search(None, "ALL")) == [b""]
    for box in ("Archive", "Trash"):
        assert good(client.select(box)) == [b"1"]
        assert {b"\\Flagged", b"$Work", b"\\Seen"} <= set(flags_of(client))
    good(client.store("1", "+FLAGS", "\\Deleted"))
    good(client.expunge())
    assert good(client.status("Trash", "(MESSAGES UIDNEXT)")) == [b"Trash (MESSAGES 0 UIDNEXT 2)"]
    client.logout()


def test_log_in_by_starttls_and_by_sasl(start_drop, trusting):
    drop = start_drop()
    client = imaplib.IMAP4("localhost", drop.ports["imap"])
    assert "STARTTLS" in client.capabilities
    good(client.starttls(trusting))
    assert "STARTTLS" not in client.capabilities
    with pytest.raises(imaplib.IMAP4.error, match="AUTHENTICATIONFAILED"):
        client.login(ALICE, "wrong")
    secret = f"\0{ALICE}\0{PASSWORDS[ALICE]}".encode()
    good(client.authenticate("PLAIN", lambda _: secret))
    good(client.select())
    client.logout()


def test_what_is_said_before_tls_is_forgotten(start_drop, trusting):
    drop = start_drop()
    client = imaplib.IMAP4("localhost", drop.ports["imap"])
    client.send(b"x STARTTLS\r\ny LOGOUT\r\n")
    assert client.readline().startswith(b"x OK")
    client.sock = trusting.wrap_socket(client.sock, server_hostname="localhost")
    client.file = client.sock.makefile("rb")
    client.send(b"z NOOP\r\n")
    assert client.readline() == b"z OK Done\r\n"
    client.shutdown()


def read_until(client, beginning):
    while not (line := client.readline()).startswith(beginning):
        assert line, "the server has gone"
    return line


def test_idle_tells_of_deliveries(start_drop):
    drop = start_drop(workers=2)
    clients = [drop.imap() for _ in range(4)]
    for client in clients:
        good(client.select())
        client.send(b"i IDLE\r\n")
        assert client.readline().startswith(b"+ ")
    drop.deliver(MESSAGE)
    for client in clients:
        assert read_until(client, b"* 1 EXISTS")
    for client in clients:
        client.send(b"DONE\r\n")
        assert read_until(client, b"i OK")
        client.logout()


def test_numbers_hold_until_their_client_is_told(start_drop):
    drop = start_drop(workers=2)
    one, other = drop.imap(), drop.imap()
    for number in range(3):
        append(one, content.message(b"%d" % number))
    for client in (one, other):
        good(client.select())
    good(one.store("1", "+FLAGS", "\\Deleted"))
    good(one.expunge())
    assert good(other.fetch("3", "(BODY.PEEK[TEXT])"))[0][1] == b"2\r\n"
    assert untagged(other, "EXPUNGE") == [None]
    good(other.noop())
    assert untagged(other, "EXPUNGE") == [b"1"]
    assert good(other.fetch("2", "(BODY.PEEK[TEXT])"))[0][1] == b"2\r\n"
    for client in (one, other):
        client.logout()


def test_what_is_there_stays_over_a_restart(start_drop):
    drop = start_drop()
    client = drop.imap()
    for _ in range(3):
        append(client, flags="\\Answered")
    good(client.select())
    good(client.store("3", "+FLAGS", "\\Deleted"))
    good(client.expunge())
    before = good(client.status("INBOX", "(UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ)"))
    drop.relay.restart()
    client = drop.imap()
    assert good(client.status("INBOX", "(UIDVALIDITY UIDNEXT MESSAGES HIGHESTMODSEQ)")) == before
    append(client)
    good(client.select())
    assert good(client.uid("SEARCH", "ALL")) == [b"1 2 4"]
    client.logout()


def test_large_messages(start_drop):
    drop = start_drop(message_size_max="4MiB")
    client = drop.imap()
    large = content.message(b"0123456789abcdef\r\n" * 200000)
    append(client, large)
    good(client.select())
    assert good(client.fetch("1", "(BODY.PEEK[])"))[0][1] == large
    part = good(client.fetch("1", "(BODY.PEEK[TEXT]<1800000.18>)"))[0][1]
    assert part == b"0123456789abcdef\r\n"
    kind, text = client.append("INBOX", "", None, large + large)
    assert kind == "NO" and b"TOOBIG" in text[0]
    good(client.noop())
    client.logout()


def test_quota(start_drop):
    client = start_drop(quota_bytes="2KiB").imap()
    append(client, content.message(b"x" * 1500))
    kind, text = client.append("INBOX", "", None, content.message(b"x" * 1500))
    assert kind == "NO" and b"OVERQUOTA" in text[0]
    assert re.match(rb'"" \(STORAGE 2 2\)', good(client.getquota('""'))[0])
    client.logout()


def test_a_user_sees_no_mail_of_others(start_drop):
    drop = start_drop()
    drop.deliver(MESSAGE, f"{ALICE}@{DOMAIN}")
    client = drop.imap("bob")
    assert good(client.select()) == [b"0"]
    for name in ("../alice/INBOX", "alice/INBOX", "/alice/INBOX", "\"\""):
        assert client.select(name)[0] == "NO"
    client.logout()


def test_clients_that_leave_in_the_middle(start_drop):
    drop = start_drop(message_size_max="4MiB")
    good(drop.imap().append("INBOX", "", None, content.message(b"x" * 3000000)))
    for said in (b"a FETCH 1 BODY[]\r\n", b"a APPEND INBOX {100000}\r\n", b"a IDLE\r\n", b"a FET"):
        client = drop.imap()
        good(client.select())
        client.send(said)
        client.readline() if said.endswith(b"\n") else None
        client.sock.close()
    client = drop.imap()
    assert good(client.select()) == [b"1"]
    client.logout()
