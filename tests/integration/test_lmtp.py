"""LMTP (RFC 2033) in: by TCP and by the socket, with other people's clients and word by word."""
import re
import smtplib
import socket
import stat
import subprocess

import pytest
from support import content, users
from support.dialogue import Dialogue
from support.process import PATIENCE_S
from support.relay import ANY_PORT, to
from support.scram import encode

LHLO = "LHLO client.test"
MAIL = "MAIL FROM:<sender@client.test>"
OK, SENDER_OK, RECIPIENT_OK = "250 2.0.0", "250 2.1.0", "250 2.1.5"
BODY = content.message(b"hello", b".dot")
MESSAGE = content.stuffed(BODY)
ID = r"[0-9A-Za-z]+"


def rcpt(address):
    return f"RCPT TO:<{address}>"


@pytest.fixture
def start_lmtp(start_relay, sink):
    """A relay that speaks LMTP at its port "smtp" and on a socket. `start(**keys)`"""
    def start(listener=None, **keys):
        listeners = {"smtp": {"address": ANY_PORT, "role": "lmtp", "tls": "none",
                              **(listener or {})},
                     "plain": {"address": ANY_PORT}}
        return start_relay(**{"routes": {"*": to(sink)}, "listeners": listeners,
                              "lmtp_socket": "lmtp.sock", **keys})
    return start


def greet(relay, **options):
    client = Dialogue(relay.port, **options)
    assert client.reply().lines == ["relay.test LMTP Smarthop"]
    return client


def hello(relay):
    client = greet(relay)
    assert client.command(LHLO).code == 250
    return client


# ---- other people's clients -------------------------------------------------------------------

def connect_tcp(relay):
    return smtplib.LMTP("127.0.0.1", relay.port)


def connect_socket(relay):
    return smtplib.LMTP(str(relay.folder / "lmtp.sock"))


@pytest.mark.parametrize("connect", [connect_tcp, connect_socket])
def test_smtplib(connect, start_lmtp, sink):
    relay = start_lmtp()
    with connect(relay) as client:
        for number in range(3):
            assert client.sendmail("sender@client.test", f"{number}@example.test", BODY) == {}
        with pytest.raises(smtplib.SMTPRecipientsRefused):
            client.sendmail("sender@client.test", "not an address", BODY)
    assert len(sink.wait(3)) == 3
    assert sink.recipients() == [f"{number}@example.test" for number in range(3)]
    for message in sink.messages():
        assert content.HEADER in message.content and message.content.endswith(b"\r\n.dot\r\n")


@pytest.mark.parametrize("recipients", [1, 7])
@pytest.mark.parametrize("where", ["tcp", "socket"])
def test_smtp_source(where, recipients, start_lmtp, sink):
    """Postfix's client counts the replies; with too few or too many it would wait or fail."""
    relay = start_lmtp()
    target = f"unix:{relay.folder}/lmtp.sock" if where == "socket" else f"inet:127.0.0.1:{relay.port}"
    subprocess.run(["smtp-source", "-L", "-s", "3", "-m", "20", "-l", "5000", "-r", str(recipients),
                    "-f", "sender@client.test", "-t", "to@example.test", target],
                   check=True, timeout=PATIENCE_S, capture_output=True)
    sink.wait(20)
    relay.wait_empty()
    assert len(sink.messages()) == 20 and len(sink.recipients()) == 20 * recipients


def test_in_one_go(start_lmtp):
    """Before LHLO has offered PIPELINING: forgiven on the socket alone."""
    relay = start_lmtp(refuse_early_talkers=True)
    lines = f"{LHLO}\r\n{MAIL}\r\nQUIT\r\n".encode()
    with socket.socket(socket.AF_UNIX) as local, local.makefile("rb") as answers:
        local.connect(str(relay.folder / "lmtp.sock"))
        assert answers.readline().startswith(b"220 ")
        local.sendall(lines)
        codes = [line[:3] for line in answers if line[3:4] == b" "]
        assert codes == [b"250", b"250", b"221"]
    with greet(relay) as client:
        client.send(lines)
        assert client.reply().code == 521


# ---- word by word -----------------------------------------------------------------------------

def test_keywords(start_lmtp, certificate):
    """RFC 2033 5: PIPELINING and ENHANCEDSTATUSCODES must be there, 8BITMIME should."""
    relay = start_lmtp({"tls": "starttls"}, certificate=certificate, message_size_max="10MiB")
    with greet(relay) as client:
        name, *keywords = client.command(LHLO).lines
        assert name == "relay.test"
        assert sorted(keywords) == [
            "8BITMIME", "BINARYMIME", "CHUNKING", "DELIVERBY", "DSN", "ENHANCEDSTATUSCODES",
            "HELP", "LIMITS RCPTMAX=1000", "MT-PRIORITY", "PIPELINING", "SIZE 10485760",
            "SMTPUTF8", "STARTTLS"]


def test_other_hellos(start_lmtp):
    """RFC 2033 4.1: neither server may take the other's."""
    relay = start_lmtp()
    with greet(relay) as client:
        assert client.talk("EHLO client.test", "HELO client.test", MAIL, "LHLO", LHLO, MAIL,
                           "EHLO client.test", rcpt("a@example.test"), "HELP") == [
            "500 5.5.1", "500 5.5.1", "503 5.5.1", "501 5.5.4", "250", SENDER_OK, "500 5.5.1",
            RECIPIENT_OK, "214 2.0.0"]
        assert client.command(LHLO).code == 250
        assert client.talk(rcpt("a@example.test")) == ["503 5.5.1"]  # LHLO resets
    with Dialogue(relay.ports["plain"]) as client:
        assert client.reply().code == 220
        assert client.talk(LHLO, MAIL, "EHLO client.test", MAIL, LHLO) == [
            "500 5.5.1", "503 5.5.1", "250", SENDER_OK, "500 5.5.1"]


def replies(client, count):
    return [client.reply() for _ in range(count)]


def test_a_reply_for_each(start_lmtp, sink):
    """In the order of RCPT, also for one that is there twice, one that is dropped, one on hold."""
    relay = start_lmtp(routes={"*": to(sink), "no.test": {"reject": "5.7.1 no"},
                               "gone.test": {"discard": True}, "held.test": {"hold": "wait"}})
    taken = ["a@example.test", "b@gone.test", "c@held.test", '"d d"@example.test', "a@example.test"]
    with hello(relay) as client:
        assert client.talk(MAIL, rcpt(taken[0]), rcpt("x@no.test"), *map(rcpt, taken[1:])) == [
            SENDER_OK, RECIPIENT_OK, "550 5.7.1"] + [RECIPIENT_OK] * 4
        assert client.command("DATA").code == 354
        client.send(MESSAGE)
        for address, reply in zip(taken, replies(client, len(taken))):
            assert reply.status == OK
            assert re.fullmatch(f"<{re.escape(address)}> OK queued as {ID}", reply.text)
        assert client.talk("NOOP", "QUIT") == [OK, "221 2.0.0"]
    assert sink.wait(1)[0].recipients == [taken[0], taken[3], taken[4]]
    [session] = relay.wait_log("session")
    assert (session["messages"], session["recipients"]) == ("1", "5")


def test_no_recipient(start_lmtp):
    """RFC 2033 4.2 and 4.3: 503, and no message."""
    relay = start_lmtp(routes={"*": {"reject": "5.7.1 no"}})
    with hello(relay) as client:
        assert client.talk("DATA", MAIL, "DATA", rcpt("a@example.test"), "DATA", "RSET", MAIL,
                           "BDAT 3 LAST\r\na", "NOOP") == [
            "503 5.5.1", SENDER_OK, "503 5.5.1", "550 5.7.1", "503 5.5.1", OK, SENDER_OK,
            "503 5.5.1", OK]


def test_pipelining(start_lmtp, sink):
    relay = start_lmtp(routes={"*": to(sink), "no.test": {"reject": "5.7.1 no"}})
    group = "\r\n".join([MAIL, rcpt("a@example.test"), rcpt("b@no.test"), rcpt("c@example.test"),
                         "DATA", ""]).encode()
    statuses = [SENDER_OK, RECIPIENT_OK, "550 5.7.1", RECIPIENT_OK, "354"]
    with hello(relay) as client:
        client.send(group)
        for _ in range(3):
            assert [reply.status for reply in replies(client, 5)] == statuses
            client.send(MESSAGE + group)
            assert [reply.status for reply in replies(client, 2)] == [OK, OK]
        assert [reply.status for reply in replies(client, 5)] == statuses
        client.send(MESSAGE + b"QUIT\r\n")
        assert [reply.status for reply in replies(client, 3)] == [OK, OK, "221 2.0.0"]
        assert client.is_closed()
    assert len(sink.wait(4)) == 4


@pytest.mark.parametrize("size", [7, 100000])
def test_bdat(size, start_lmtp, sink):
    """One reply for each chunk, and for the last one as many as there are recipients."""
    relay = start_lmtp()
    chunks = [BODY[at:at + size] for at in range(0, len(BODY), size)]
    with hello(relay) as client:
        assert client.talk(MAIL, rcpt("a@example.test"), rcpt("b@example.test")) == [
            SENDER_OK, RECIPIENT_OK, RECIPIENT_OK]
        client.send(b"".join(b"BDAT %d\r\n%s" % (len(chunk), chunk) for chunk in chunks)
                    + b"BDAT 0 LAST\r\nNOOP\r\n")
        assert {reply.status for reply in replies(client, len(chunks))} == {OK}
        last = replies(client, 3)
    assert [reply.text.split()[0] for reply in last[:2]] == ["<a@example.test>", "<b@example.test>"]
    assert {reply.status for reply in last} == {OK}
    content.assert_relayed(sink.wait(1)[0].content, BODY)


# (the limit, the message as it goes on the wire, the status)
UNFIT = {
    "bare LF": ({}, b"a: b\n\r\n.\r\n", "554 5.6.0"),
    "size": ({"message_size_max": "1KiB"}, b"x" * 2000 + b"\r\n.\r\n", "552 5.3.4"),
    "hops": ({"hops_max": 1}, b"Received: a\r\nReceived: b\r\n\r\n.\r\n", "554 5.4.6"),
}


@pytest.mark.parametrize("limit, wire, status", UNFIT.values(), ids=UNFIT)
def test_unfit_message(limit, wire, status, start_lmtp):
    """It is refused for each recipient, and is one error."""
    relay = start_lmtp(errors_max=2, **limit)
    with hello(relay) as client:
        for _ in range(2):
            assert client.talk(MAIL, *map(rcpt, ("a@b.test", "c@b.test", "d@b.test")))[-1] == RECIPIENT_OK
            assert client.command("DATA").code == 354
            client.send(wire)
            refused = replies(client, 3)
            assert [reply.status for reply in refused] == [status] * 3
            assert refused[1].text.startswith("<c@b.test> ")
        assert client.reply().status == "421 4.7.0"


def test_chunk_too_large(start_lmtp):
    """Refused at its announcement: the last one for each recipient, another one once."""
    relay = start_lmtp(message_size_max="1KiB")
    with hello(relay) as client:
        for last, count in (("", 1), (" LAST", 2)):
            assert client.talk(MAIL, rcpt("a@b.test"), rcpt("c@b.test"))[-1] == RECIPIENT_OK
            client.send(f"BDAT 2000{last}\r\n".encode() + b"x" * 2000)
            assert [reply.status for reply in replies(client, count)] == ["552 5.3.4"] * count
            assert client.talk("BDAT 0 LAST", "NOOP") == ["503 5.5.1", OK]


# ---- rights -----------------------------------------------------------------------------------

def test_rights(start_lmtp):
    """Of the port those of role relay; whoever may open the socket may send anywhere."""
    relay = start_lmtp(relay_networks=["127.0.0.2/32"], relay_domains=["gate.test"])
    attempt = [LHLO, MAIL, rcpt("a@gate.test"), rcpt("a@else.test"), rcpt("postmaster")]
    for client, last in (("127.0.0.1", "550 5.7.1"), ("127.0.0.2", RECIPIENT_OK)):
        with greet(relay, client=client) as dialogue:
            assert dialogue.talk(*attempt) == ["250", SENDER_OK, RECIPIENT_OK, last, RECIPIENT_OK]
    with connect_socket(relay) as client:
        assert client.sendmail("sender@client.test", "a@else.test", BODY) == {}
    [accepted] = relay.wait_log("accepted")
    assert accepted["client"] == "local"


def test_socket_file(start_lmtp):
    relay = start_lmtp()
    path = relay.folder / "lmtp.sock"
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    relay.kill()
    relay.start()  # what a kill leaves behind is replaced
    with connect_socket(relay) as client:
        assert client.noop()[0] == 250
    relay.stop()
    assert not path.exists()


# ---- the trace field --------------------------------------------------------------------------

@pytest.mark.parametrize("parameter, secured, user, protocol", [
    ("", False, False, "LMTP"), ("", True, False, "LMTPS"), ("", False, True, "LMTPA"),
    ("", True, True, "LMTPSA"), (" SMTPUTF8", False, False, "UTF8LMTP"),
    (" SMTPUTF8", True, True, "UTF8LMTPSA")])
def test_received(parameter, secured, user, protocol, start_lmtp, sink, certificate, trusting,
                  tmp_path):
    """RFC 3848, RFC 6531 4.3. Nothing is added that the message lacks."""
    relay = start_lmtp({"tls": "starttls", "auth": True}, certificate=certificate,
                       users_file=users.make(tmp_path / "users", {"alice": "secret"}),
                       auth_without_tls=True, sender_must_match=False)
    with hello(relay) as client:
        if secured:
            client.start_tls(trusting, server_name="relay.test")
            assert client.command(LHLO).code == 250
        if user:
            assert client.command(f"AUTH PLAIN {encode(chr(0) + 'alice' + chr(0) + 'secret')}").code == 235
        client.begin("to@example.test") if not parameter else client.talk(
            MAIL + parameter, rcpt("to@example.test"))
        assert client.data(b"Subject: x\r\n\r\nhello\r\n.\r\n").status == OK
    received, rest = content.split_trace(sink.wait(1)[0].content)
    assert received["protocol"].decode() == protocol
    assert rest == b"Subject: x\r\n\r\nhello\r\n"
