"""8-bit and internationalized messages to next hops that take none (RFC 6152, RFC 6531)."""
import email
import email.policy

import pytest
from support import content
from support.dialogue import Dialogue
from support.next_hop import NextHop
from support.relay import to

LABEL = b"Content-Transfer-Encoding: 8bit\r\n"
TEXT = "Grüße aus Köln.\r\n.\r\nTrailing blank \r\n日本\r\n"
LABELLED = (content.HEADER + b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n" +
            LABEL + b"\r\n" + TEXT.encode())
PARTS = (content.HEADER + b"MIME-Version: 1.0\r\n" + LABEL +
         b"Content-Type: multipart/mixed; boundary=outer\r\n\r\n"
         b"--outer\r\nContent-Type: text/plain; charset=utf-8\r\n" + LABEL + b"\r\n" +
         TEXT.encode() + b"--outer\r\nContent-Type: message/rfc822\r\n" + LABEL + b"\r\n" +
         LABELLED + b"--outer--\r\n")
UNLABELLED = content.message("Grüße".encode())


def send(relay, message, parameters="BODY=8BITMIME", sender="sender@client.test"):
    with Dialogue(relay.port).hello() as client:
        statuses = client.talk(f"MAIL FROM:<{sender}> {parameters}", "RCPT TO:<to@example.test>")
        assert statuses == ["250 2.1.0", "250 2.1.5"]
        assert client.data(content.stuffed(message)).status == "250 2.0.0"


@pytest.fixture
def start_old(start_relay, sink):
    """start_old(*offers, **keys): a relay, and a next hop that offers only these."""
    hops = []

    def start(*offers, **keys):
        hops.append(NextHop("PIPELINING", *offers))
        return start_relay(routes={"client.test": to(sink), "*": to(hops[-1])}, **keys), hops[-1]

    yield start
    for hop in hops:
        hop.stop()


@pytest.mark.parametrize("keys", [{}, {"memory_body_max": "4KiB"}], ids=["memory", "store"])
@pytest.mark.parametrize("parameters", ["BODY=8BITMIME", ""], ids=["declared", "found"])
def test_converted(parameters, keys, start_old):
    """A reader finds the same text; a message of 200 KB goes through the store."""
    relay, hop = start_old(**keys)
    long = PARTS.replace(TEXT.encode(), TEXT.encode() * 2000)
    send(relay, long, parameters)
    [message] = hop.wait(1)
    relay.wait_empty()
    relay.stop()
    assert message.content.isascii() and "BODY" not in message.mail
    assert max(map(len, message.content.split(b"\r\n"))) <= 78
    arrived = email.message_from_bytes(message.content, policy=email.policy.SMTP)
    first, second = arrived.iter_parts()
    # The line end before a delimiter belongs to the delimiter.
    for part in first, second.get_content():
        assert part.get_content() + "\r\n" == TEXT * 2000


def test_exact_where_it_is_offered(start_old):
    relay, hop = start_old("8BITMIME")
    for message in [PARTS, UNLABELLED]:
        send(relay, message)
    for arrived, sent in zip(hop.wait(2), [PARTS, UNLABELLED]):
        content.assert_relayed(arrived.content, sent)
        assert arrived.mail.endswith(" BODY=8BITMIME")
    relay.stop()


@pytest.mark.parametrize("word, message", [("convert", UNLABELLED), ("bounce", PARTS)])
def test_returned(word, message, start_old, sink):
    relay, hop = start_old(eight_bit_conversion=word)
    send(relay, message)
    [failed] = relay.wait_log("failed")
    assert failed["dsn"] == "5.6.3"
    [dsn] = sink.wait(1)
    assert b"Status: 5.6.3" in dsn.content
    relay.stop()
    assert not hop.messages


def test_sent_all_the_same(start_old):
    relay, hop = start_old(eight_bit_conversion="send")
    send(relay, UNLABELLED)
    [message] = hop.wait(1)
    content.assert_relayed(message.content, UNLABELLED)
    relay.stop()


def test_smtputf8_that_nobody_needs(start_old):
    relay, hop = start_old("8BITMIME")
    send(relay, UNLABELLED, "SMTPUTF8", sender="sender@bücher.test")
    [message] = hop.wait(1)
    assert message.mail == "<sender@xn--bcher-kva.test> BODY=8BITMIME" or \
        message.mail == "<sender@xn--bcher-kva.test>"
    relay.stop()


def test_smtputf8_that_is_needed(start_old, sink):
    relay, hop = start_old("8BITMIME")
    send(relay, UNLABELLED, "SMTPUTF8", sender="jürgen@client.test")
    [failed] = relay.wait_log("failed")
    assert failed["dsn"] == "5.6.7"
    sink.wait(1)
    relay.stop()
    assert not hop.messages
