"""The SMTP server as a client meets it: replies, limits, deadlines, trace field."""
import email.utils
import time

import pytest
from support import content
from support.dialogue import Dialogue
from support.relay import to

MAIL = "MAIL FROM:<sender@client.test>"
RCPT = "RCPT TO:<to@example.test>"
MESSAGE = content.stuffed(content.message(b"hello"))
OK = "250 2.0.0"
SENDER_OK = "250 2.1.0"
RECIPIENT_OK = "250 2.1.5"


@pytest.fixture
def discarding_relay(start_relay):
    """Where replies are all that matters. `start(**keys)`"""
    def start(**keys):
        return start_relay(**{"routes": {"*": {"discard": True}}, **keys})
    return start


def test_keywords(discarding_relay, certificate):
    relay = discarding_relay(certificate=certificate, message_size_max="10MiB")
    with Dialogue(relay.port) as client:
        greeting = client.reply()
        assert (greeting.code, greeting.lines) == (220, ["relay.test ESMTP Smarthop"])
        name, *keywords = client.command("EHLO client.test").lines
        assert name == "relay.test"
        assert sorted(keywords) == [
            "8BITMIME", "BINARYMIME", "CHUNKING", "DELIVERBY", "DSN", "ENHANCEDSTATUSCODES",
            "HELP", "LIMITS RCPTMAX=1000", "MT-PRIORITY", "PIPELINING", "SIZE 10485760",
            "SMTPUTF8", "STARTTLS"]
        assert client.command("HELO client.test").lines == ["relay.test"]


# (name, the commands and the status of each one's reply), behind the greeting
DIALOGUES = {
    "everything in order": [
        ("EHLO client.test", "250"), (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK), ("DATA", "354"),
        ("Subject: a\r\n\r\n.", OK), (MAIL, SENDER_OK), ("RSET", OK), ("QUIT", "221 2.0.0")],
    "case and space do not matter": [
        ("ehlo client.test", "250"), ("mail from:<a@client.test>", SENDER_OK),
        ("Rcpt To:<a@example.test> ", RECIPIENT_OK), ("rSET ", OK)],
    "without hello": [
        (MAIL, "503 5.5.1"), (RCPT, "503 5.5.1"), ("DATA", "503 5.5.1"), ("STARTTLS", "503 5.5.1"),
        ("NOOP", OK), ("RSET", OK), ("VRFY to", "252 2.5.0"), ("HELP", "214 2.0.0")],
    "hello": [
        ("EHLO", "501 5.5.4"), ("HELO", "501 5.5.4"), ("EHLO a b", "501 5.5.4"),
        ("EHLO a(b)", "501 5.5.4"), ("EHLO my_pc", "250"),
        ("EHLO [192.0.2.1]", "250"), ("EHLO [IPv6:2001:db8::1]", "250"),
        ("HELO client", "250")],
    "order": [
        ("EHLO client.test", "250"), (RCPT, "503 5.5.1"), ("DATA", "503 5.5.1"), (MAIL, SENDER_OK),
        (MAIL, "503 5.5.1"), ("DATA", "554 5.5.1"), (RCPT, RECIPIENT_OK), (RCPT, RECIPIENT_OK),
        ("RSET", OK), (RCPT, "503 5.5.1")],
    "EHLO resets": [
        ("EHLO client.test", "250"), (MAIL, SENDER_OK), ("EHLO client.test", "250"),
        (RCPT, "503 5.5.1"), (MAIL, SENDER_OK)],
    "a refused EHLO resets nothing": [
        ("EHLO client.test", "250"), (MAIL, SENDER_OK), ("EHLO", "501 5.5.4"),
        (RCPT, RECIPIENT_OK)],
    "unknown commands": [
        ("", "500 5.5.2"), ("XYZZY", "500 5.5.2"), ("EXPN list", "502 5.5.1"),
        ("MAILFROM:<a@b.test>", "500 5.5.2"), ("ETRN example.test", "500 5.5.2"),
        ("EHLO client.test", "250"), ("XCLIENT ADDR=192.0.2.1", "550 5.7.1")],
    "arguments": [
        ("VRFY", "501 5.5.4"), ("EHLO client.test", "250"), (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK),
        ("DATA now", "501 5.5.4"), ("RSET all", "501 5.5.4"), ("QUIT now", "501 5.5.4"),
        ("NOOP anything", OK), (RCPT, RECIPIENT_OK)],
    "MAIL": [
        ("EHLO client.test", "250"), ("MAIL", "501 5.5.4"), ("MAIL TO:<a@b.test>", "501 5.5.4"),
        ("MAIL FROM: <a@b.test>", "501 5.5.4"), ("MAIL FROM:a@b.test", "501 5.5.4"),
        ("MAIL FROM:<a@b.test", "501 5.1.7"), ("MAIL FROM:<a b@c.test>", "501 5.1.7"),
        ("MAIL FROM:<a@-b.test>", "501 5.1.7"), ("MAIL FROM:<a@b.test>x", "501 5.5.4"),
        ("MAIL FROM:<>", SENDER_OK), ("RSET", OK), ('MAIL FROM:<"a b"@c.test>', SENDER_OK),
        ("RSET", OK), ("MAIL FROM:<a@[192.0.2.1]>", SENDER_OK), ("RSET", OK),
        ("MAIL FROM:<@a.test,@b.test:c@d.test>", SENDER_OK)],
    "MAIL parameters": [
        ("EHLO client.test", "250"), (MAIL + " BODY=8BITMIME", SENDER_OK), ("RSET", OK),
        (MAIL + " body=7bit SIZE=10", SENDER_OK), ("RSET", OK), (MAIL + " BODY=HEX", "501 5.5.4"),
        (MAIL + " SIZE=ten", "501 5.5.4"), (MAIL + " SIZE=", "501 5.5.4"),
        (MAIL + " SIZE=1 SIZE=1", "501 5.5.4"), (MAIL + " X-NEW=1", "555 5.5.4"),
        (MAIL + " SMTPUTF8", SENDER_OK), ("RSET", OK), (MAIL, SENDER_OK)],
    "no parameters behind HELO": [
        ("HELO client.test", "250"), (MAIL + " SIZE=10", "555 5.5.4"), (MAIL, SENDER_OK)],
    "RCPT": [
        ("EHLO client.test", "250"), (MAIL, SENDER_OK), ("RCPT", "501 5.5.4"),
        ("RCPT TO:<>", "501 5.5.4"), ("RCPT FROM:<a@b.test>", "501 5.5.4"),
        ("RCPT TO:<a@b@c.test>", "501 5.1.3"), ("RCPT TO:<a>", "501 5.1.3"),
        (RCPT + " X-NEW=1", "555 5.5.4"), ("RCPT TO:<Postmaster>", RECIPIENT_OK),
        ("RCPT TO:<a_b@under_score.test>", RECIPIENT_OK), ("DATA", "354")],
    "UTF-8 addresses need SMTPUTF8": [
        ("EHLO client.test", "250"), ("MAIL FROM:<ä@b.test>", "553 5.6.7"),
        ("MAIL FROM:<ä@b.test> SMTPUTF8", SENDER_OK), ("RCPT TO:<ü@bücher.test>", RECIPIENT_OK),
        ("RSET", OK), (MAIL, SENDER_OK), ("RCPT TO:<ü@b.test>", "553 5.6.7")],
    "BDAT": [
        ("EHLO client.test", "250"), ("BDAT 0 LAST", "503 5.5.1"), (MAIL, SENDER_OK),
        ("BDAT 3\r\na", "554 5.5.1"), (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK),
        ("BDAT 3\r\na", OK), ("DATA", "503 5.5.1"), (RCPT, "503 5.5.1"), ("BDAT 0 LAST", OK),
        (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK), ("BDAT 3\r\na", OK), ("RSET", OK),
        (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK), ("BDAT", "501 5.5.4")],
    "STARTTLS is not there": [("EHLO client.test", "250"), ("STARTTLS", "502 5.5.1")],
    "broken lines": [
        (b"NOOP\0", "500 5.5.2"), (b"NO\rOP", "500 5.5.2"), ("NOOP " + "x" * 600, "500 5.5.2"),
        ("NOOP " + "x" * 5000, "500 5.5.2"), ("NOOP", OK)],
}


@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)
def test_dialogue(dialogue, discarding_relay):
    relay = discarding_relay(command_line_max=512, errors_max=1000)
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        replies = client.talk(*(line for line, _ in dialogue))
    assert list(zip((line for line, _ in dialogue), replies)) == dialogue


def test_pipelining(start_relay, sink):
    relay = start_relay(routes={"*": to(sink), "no.test": {"reject": "5.7.1 no"}})
    group = "\r\n".join([MAIL, RCPT, "RCPT TO:<a@no.test>", "DATA", ""]).encode()
    with Dialogue(relay.port).hello() as client:
        client.send(group)
        assert [client.reply().status for _ in range(4)] == [SENDER_OK, RECIPIENT_OK, "550 5.7.1",
                                                             "354"]
        client.send(MESSAGE + group)  # the next group leaves with the end of data (RFC 2920 3.1)
        assert [client.reply().status for _ in range(5)] == [
            OK, SENDER_OK, RECIPIENT_OK, "550 5.7.1", "354"]
        client.send(MESSAGE + b"NOOP\r\nQUIT\r\n")
        assert [client.reply().status for _ in range(3)] == [OK, OK, "221 2.0.0"]
        assert client.is_closed()
    assert len(sink.wait(2)) == 2


@pytest.mark.parametrize("size", [7, 4096, 1 << 20])
def test_bdat(size, start_relay, sink):
    """Every hard content in chunks of this size, which leave all at once."""
    relay = start_relay(routes={"*": to(sink)})
    bodies = list(content.CONTENTS.values())
    with Dialogue(relay.port).hello() as client:
        for number, body in enumerate(bodies):
            client.begin(f"{number}@example.test")
            chunks = [body[at:at + size] for at in range(0, len(body), size)]
            client.send(b"".join(b"BDAT %d\r\n%s" % (len(chunk), chunk) for chunk in chunks)
                        + b"BDAT 0 LAST\r\n")
            assert {client.reply().status for _ in range(len(chunks) + 1)} == {OK}
    for message in sink.wait(len(bodies)):
        number = int(message.recipients[0].split("@")[0])
        content.assert_relayed(message.content, bodies[number])


@pytest.mark.parametrize("chunking, end", [([], b"\r\n"), (["--chunking"], b"")])
def test_bdat_without_line_end(chunking, end, start_relay, start_sink):
    """Only BDAT can carry it on as it is; DATA ends the line (RFC 3030)."""
    sink = start_sink(*chunking)
    relay = start_relay(routes={"*": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        client.send(b"BDAT 9 LAST\r\na: b\r\n\r\nc")
        assert client.reply().status == OK
    content.assert_relayed(sink.wait(1)[0].content, b"a: b\r\n\r\nc" + end)


@pytest.mark.parametrize("forbidden", [b"\0", b"\r", b"\n", b"a\rb", b"a\nb"], ids=repr)
def test_bdat_forbidden_byte(forbidden, discarding_relay):
    relay = discarding_relay()
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        client.send(b"BDAT %d LAST\r\n%s" % (len(forbidden), forbidden))
        assert client.reply().status == "554 5.6.0"
        assert client.command("NOOP").status == OK


# ---- limits -----------------------------------------------------------------------------------

def fields(count, name=b"X"):
    return b"".join(b"%s: %d\r\n" % (name, number) for number in range(count))


# (the limit, what is just within it, what is beyond, the status of the refusal)
MESSAGE_LIMITS = {
    "size": ({"message_size_max": "1KiB"}, b"a: b\r\n\r\n" + b"x" * 1014 + b"\r\n",
             b"a: b\r\n\r\n" + b"x" * 1015 + b"\r\n", "552 5.3.4"),
    "size, by far": ({"message_size_max": "1KiB"}, b"", content.large(1 << 20), "552 5.3.4"),
    "line": ({"text_line_max": 1000}, b"\r\n" + b"x" * 998 + b"\r\n",
             b"\r\n" + b"x" * 999 + b"\r\n", "554 5.6.0"),
    "header size": ({"header_size_max": "1KiB"}, b"a: " + b"x" * 900 + b"\r\n",
                    b"a: " + b"x" * 1024 + b"\r\n", "554 5.6.0"),
    "header fields": ({"header_fields_max": 10}, fields(10), fields(11), "554 5.6.0"),
    "hops": ({"hops_max": 3}, fields(3, b"Received"), fields(4, b"received"), "554 5.4.6"),
}


@pytest.mark.parametrize("limit, within, beyond, status", MESSAGE_LIMITS.values(),
                         ids=MESSAGE_LIMITS)
def test_message_limit(limit, within, beyond, status, start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, **limit)
    with Dialogue(relay.port).hello() as client:
        for message, expected in ((within, OK), (beyond, status), (within, OK)):
            client.begin("to@example.test")
            assert client.data(content.stuffed(message)).status == expected
    for message in sink.wait(2):
        content.assert_relayed(message.content, within)
    relay.stop()
    assert len(relay.log("accepted")) == len(sink.messages()) == 2


def test_size_at_mail(discarding_relay):
    relay = discarding_relay(message_size_max="1KiB")
    with Dialogue(relay.port).hello() as client:
        assert client.talk(MAIL + " SIZE=1025", MAIL + " SIZE=9999999999999999999",
                           MAIL + " SIZE=1024") == ["552 5.3.4", "552 5.3.4", SENDER_OK]


def test_recipients_limit(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, recipients_max=100)
    recipients = [f"r{number}@example.test" for number in range(100)]
    with Dialogue(relay.port).hello() as client:
        client.begin(*recipients)
        assert client.command(RCPT).status == "452 4.5.3"
        assert client.data(MESSAGE).status == OK
    assert sink.wait(1) and sink.recipients() == sorted(recipients)


SMUGGLED = b"MAIL FROM:<evil@client.test>\r\n" + RCPT.encode() + b"\r\nDATA\r\nsecond\r\n.\r\n"
NOT_THE_END = [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r\n.\r", b"\r.\r", b"\r.\r\n", b"\n.\r",
               b"\r\n.\r\r\n", b"\r\n.\n\r\n", b"\r\n\0.\r\n", b"\r\n.\0\r\n", b"\n\n.\n\n"]


@pytest.mark.parametrize("false_end", NOT_THE_END, ids=repr)
def test_smuggling(false_end, start_relay, sink):
    """What other servers may take for the end of data makes one refused message, not two."""
    relay = start_relay(routes={"*": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.data(b"a: b\r\n\r\nfirst" + false_end + SMUGGLED).status == "554 5.6.0"
        assert client.talk("NOOP", "QUIT") == [OK, "221 2.0.0"]
    relay.stop()
    assert not sink.messages() and not relay.log("accepted")


@pytest.mark.parametrize("byte", [b"\0", b"\r", b"\n"], ids=repr)
@pytest.mark.parametrize("place", [b"a%sb: c\r\n\r\n", b"a: b\r\n\r\nc%sd\r\n", b"%s"], ids=repr)
def test_forbidden_byte(place, byte, discarding_relay):
    relay = discarding_relay()
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.data(place % byte + b"\r\n.\r\n").status == "554 5.6.0"
        assert client.command("NOOP").status == OK


# Each makes the session end: what is sent at once, and the last status before the end.
ENDINGS = {
    "bare LF in a command": (b"NOOP\nNOOP\r\n", "521 5.5.2"),
    "data before the 354": (f"{MAIL}\r\n{RCPT}\r\nDATA\r\nSubject: a\r\n".encode(), "521 5.5.0"),
    "commands without mail": (b"NOOP\r\n" * 5, "421 4.7.0"),
    "errors": (b"XYZZY\r\n" * 5, "421 4.7.0"),
    "refused recipients": (f"{MAIL}\r\n".encode() + b"RCPT TO:<a@no.test>\r\n" * 5, "421 4.7.0"),
    "nothing": (b"", "421 4.4.2"),
    "half a command": (b"NOO", "421 4.4.2"),
    "nothing behind DATA": (f"{MAIL}\r\n{RCPT}\r\nDATA\r\n".encode(), "421 4.4.2"),
}


@pytest.mark.parametrize("sent, status", ENDINGS.values(), ids=ENDINGS)
def test_ending(sent, status, discarding_relay):
    relay = discarding_relay(routes={"*": {"discard": True}, "no.test": {"reject": "5.7.1 no"}},
                             command_timeout="300ms", data_timeout="300ms", errors_max=5,
                             commands_without_mail_max=4)
    with Dialogue(relay.port).hello() as client:
        client.send(sent)
        replies = list(iter(client.reply, None))
    assert replies[-1].status == status
    assert len([reply for reply in replies if reply.code in (421, 521)]) == 1
    [session] = relay.wait_log("session")
    assert session["closed"] not in ("quit", "client left")


def test_data_timeout_is_between_pieces(discarding_relay):
    """A slow message arrives all the same: the deadline starts anew with each piece."""
    relay = discarding_relay(data_timeout="400ms")
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.command("DATA").code == 354
        began = time.monotonic()
        while time.monotonic() - began < 1:
            client.socket.settimeout(0.1)
            client.send(b"x")
            with pytest.raises(TimeoutError):
                client.socket.recv(1)
        client.socket.settimeout(None)
        client.send(b"\r\n.\r\n")
        assert client.reply().status == OK


def test_session_timeout(discarding_relay):
    """However busy a client is."""
    relay = discarding_relay(session_timeout="300ms")
    with Dialogue(relay.port).hello() as client:
        last = next(reply for reply in iter(lambda: client.command("NOOP"), None)
                    if reply.status != OK)
        assert last.code == 421 and client.is_closed()


# ---- who may do what ----------------------------------------------------------------------------

def test_relay_networks(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, relay_networks=["127.0.0.2/31"])
    with Dialogue(relay.port, client="127.0.0.9").hello() as client:
        assert client.talk(MAIL, RCPT, "RCPT TO:<b@client.test>", "RCPT TO:<b@relay.test>",
                           "DATA") == [SENDER_OK] + ["550 5.7.1"] * 3 + ["554 5.5.1"]
    with Dialogue(relay.port, client="127.0.0.3").hello() as client:
        client.begin("to@example.test")
        assert client.data(MESSAGE).status == OK
    [message] = sink.wait(1)
    assert content.split_trace(message.content)[0]["client"] == b"[127.0.0.3]"


# (keys, the status of a session too many from 127.0.0.1, that of one from 127.0.0.2 then)
SESSION_LIMITS = {
    "per client": ({"sessions_per_client": 2, "limit_exempt_networks": ["::1"]}, "421 4.7.0",
                   "220"),
    "exempt": ({"sessions_per_client": 2}, "220", "220"),
    "all": ({"sessions_max": 2}, "421 4.3.2", "421 4.3.2"),
}


@pytest.mark.parametrize("keys, status, other_status", SESSION_LIMITS.values(), ids=SESSION_LIMITS)
def test_session_limit(keys, status, other_status, discarding_relay):
    relay = discarding_relay(**keys)
    with Dialogue(relay.port).hello() as first, Dialogue(relay.port).hello():
        with Dialogue(relay.port) as one_more:
            assert one_more.reply().status == status
        with Dialogue(relay.port, client="127.0.0.2") as other:
            assert other.reply().status == other_status
        assert first.command("QUIT").code == 221 and first.is_closed()
        relay.wait_log("session", closed="quit")
        with Dialogue(relay.port) as next_one:
            assert next_one.reply().code == 220


# ---- the trace field ----------------------------------------------------------------------------

# (the hello, a parameter of MAIL, whether under TLS, what stands behind "with")
PROTOCOLS = [("HELO client.test", "", False, b"SMTP"), ("EHLO client.test", "", False, b"ESMTP"),
             ("EHLO [127.0.0.1]", "", True, b"ESMTPS"),
             ("EHLO client.test", " SMTPUTF8", False, b"UTF8SMTP"),
             ("EHLO client.test", " SMTPUTF8", True, b"UTF8SMTPS")]


@pytest.mark.parametrize("hello, parameter, secured, protocol", PROTOCOLS,
                         ids=lambda value: str(value).strip())
def test_received(hello, parameter, secured, protocol, start_relay, sink, certificate, trusting):
    relay = start_relay(routes={"*": to(sink)}, certificate=certificate)
    with Dialogue(relay.port).hello() as client:
        if secured:
            client.start_tls(trusting, server_name="relay.test")
            version, bits = client.socket.version(), client.socket.cipher()[2]
        assert client.talk(hello, MAIL + parameter, RCPT) == ["250", SENDER_OK, RECIPIENT_OK]
        reply = client.data(MESSAGE)
    [message] = sink.wait(1)
    received = content.split_trace(message.content)[0]
    expected = {"hello": hello[5:], "client": "[127.0.0.1]", "by": "relay.test",
                "protocol": protocol.decode(), "id": reply.text.split()[-1],
                "recipient": "to@example.test", "tls": version if secured else None,
                "bits": str(bits) if secured else None}
    assert {key: received[key] and received[key].decode() for key in expected} == expected
    date = email.utils.parsedate_to_datetime(received["date"].decode())
    assert abs(date.timestamp() - time.time()) < 60
    assert ("SMTPUTF8" in message.mail) == bool(parameter)


def test_received_names_no_other_recipient(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin("a@example.test", "b@example.test")
        client.data(MESSAGE)
    assert content.split_trace(sink.wait(1)[0].content)[0]["recipient"] is None
