"""What an attacker hides in a message or in an address: no second message, and no relaying."""
import itertools

import pytest
from support import content
from support.dialogue import Dialogue
from support.relay import ANY_PORT, to

OK = "250 2.0.0"
STRANGER = "127.0.0.9"
SMUGGLED = (b"MAIL FROM:<evil@client.test>\r\nRCPT TO:<victim@example.test>\r\nDATA\r\n"
            b"Subject: smuggled\r\n\r\nsmuggled\r\n.\r\n")
FIRST = b"Subject: first\r\n\r\nfirst"

# Whatever a server might take for a line end, before and behind the dots.
BREAKS = [b"\r\n", b"\n", b"\r", b"\0", b"\n\n", b"\r\r", b"\r\n\n", b"\n\r", b"\r\r\n", b"\r\0\n",
          b"\r\n\0", b"\0\r\n", b"\x0b", b"\x0c", b"\x85", "\x85\u2028".encode(), b" \r\n",
          b"\\r\\n"]
DOTS = [b".", b"..", b"\0.", b".\0", b" .", b". "]
END = b"\r\n.\r\n"
FALSE_ENDS = sorted({before + dots + behind
                     for before, dots, behind in itertools.product(BREAKS, DOTS, BREAKS)
                     if END not in before + dots + behind})

LISTENERS = {"plain": {"address": ANY_PORT}, "tls": {"address": ANY_PORT, "tls": "implicit"}}


def is_strict(message):
    """No CR, LF or NUL but CRLF: what may be carried (RFC 5321 2.3.8)."""
    rest = message.replace(b"\r\n", b"")
    return not set(rest) & set(b"\r\n\0")


def stuffed_out(wire):
    """The content of a message that ends with END, as the server has to see it."""
    lines = wire.removesuffix(b".\r\n").split(b"\r\n")
    return b"\r\n".join(line.removeprefix(b".") for line in lines)


@pytest.fixture
def relay(start_relay, sink, certificate):
    return start_relay(routes={"*": to(sink)}, listeners=LISTENERS, certificate=certificate,
                       errors_max=10000, commands_without_mail_max=100000)


@pytest.fixture
def connect(relay, trusting):
    def start(transport):
        tls = {"context": trusting, "server_name": "relay.test"} if transport == "tls" else {}
        return Dialogue(relay.ports[transport], **tls).hello()
    return start


def by_data(client, wire):
    return client.data(wire).status


def by_bdat(client, wire):
    client.send(b"BDAT %d LAST\r\n" % len(wire) + wire)
    return client.reply().status


def assert_all_arrive(sink, expected):
    """Each once, byte for byte, and nothing that would be two messages for the next server."""
    arrived = [content.split_trace(message.content)[1] for message in sink.wait(len(expected))]
    assert sorted(arrived) == sorted(expected)
    assert all(is_strict(message) for message in arrived)
    assert "victim@example.test" not in sink.recipients()


@pytest.mark.parametrize("transport", LISTENERS)
@pytest.mark.parametrize("send", [by_data, by_bdat])
def test_end_of_data(send, transport, relay, connect, sink):
    """One reply for each message, whatever is in it; the end that counts is the true one."""
    expected = []
    with connect(transport) as client:
        for false_end in FALSE_ENDS:
            wire = FIRST + false_end + SMUGGLED
            client.begin("to@example.test")
            status = send(client, wire)
            taken = is_strict(wire)
            assert status == (OK if taken else "554 5.6.0"), false_end
            assert client.command("NOOP").status == OK, false_end  # the next reply is to this
            if taken:
                expected.append(stuffed_out(wire) if send is by_data else wire)
    assert_all_arrive(sink, expected)
    relay.wait_empty()
    assert len(relay.log("accepted")) == len(sink.messages()) == len(expected)


@pytest.mark.parametrize("transport", LISTENERS)
def test_true_end(transport, relay, connect, sink):
    """What follows it is a command, but not within a chunk."""
    with connect(transport) as client:
        client.begin("to@example.test")
        assert by_bdat(client, FIRST + END + SMUGGLED) == OK
        client.begin("to@example.test")
        assert by_data(client, FIRST + END) == OK
    assert_all_arrive(sink, [FIRST + END + SMUGGLED, FIRST + b"\r\n"])


@pytest.mark.parametrize("transport", LISTENERS)
def test_message_before_its_354(transport, relay, connect, sink):
    """The client cannot know yet that its DATA will be taken (RFC 2920 3.1)."""
    with connect(transport) as client:
        client.begin("to@example.test")
        client.send(b"DATA\r\n" + FIRST + END + SMUGGLED)
        assert client.reply().status == "521 5.5.0" and client.is_closed()
    relay.stop()
    assert not sink.messages() and not relay.log("accepted")


@pytest.mark.parametrize("line_end", [b"\n", b"\r", b"\n\r", b"\r\0\n", b"\r\r\n"], ids=repr)
def test_commands_in_a_command(line_end, relay, connect, sink):
    """An injected line end makes one refused line, not two commands."""
    with connect("plain") as client:
        client.send(b"MAIL FROM:<sender@client.test>" + line_end + b"RCPT TO:<to@example.test>\r\n")
        assert client.reply().code in (500, 521)
        client.send(b"RCPT TO:<to@example.test>\r\n")
        reply = client.reply()
        assert reply is None or reply.status == "503 5.5.1"


# ---- the open relay -----------------------------------------------------------------------------

TARGET = "victim@example.test"
# Ways to write an address of elsewhere so that it seems to be ours, relay.test and 127.0.0.1.
RECIPIENTS = [
    TARGET, TARGET.upper(), f"{TARGET}.", '"victim"@example.test', "victim@[192.0.2.1]",
    "victim@[127.0.0.1]", "victim@[IPv6:::1]", "victim@localhost", "victim@127.0.0.1", "victim",
    "victim@", "victim@relay.test", "victim@RELAY.TEST.", "victim@sub.relay.test",
    # percent hack
    "victim%example.test", "victim%example.test@relay.test", "victim%example.test@[127.0.0.1]",
    "victim%example.test%relay.test@relay.test", "victim%example.test@",
    "victim%example.test@localhost",
    # bang paths
    "example.test!victim", "example.test!victim@relay.test", "relay.test!example.test!victim",
    "relay.test!victim@example.test", "example.test!victim@[127.0.0.1]",
    # source routes
    f"@relay.test:{TARGET}", f"@relay.test,@example.test:{TARGET}", f"@127.0.0.1:{TARGET}",
    f"@[127.0.0.1]:{TARGET}", "@example.test:victim@relay.test",
    f"@relay.test:@relay.test:{TARGET}",
    # quotes
    f'"{TARGET}"', f'"{TARGET}"@relay.test', f'"{TARGET}"@[127.0.0.1]',
    '"victim%example.test"@relay.test',
    '"example.test!victim"@relay.test', f'"{TARGET}"@', f'"relay.test:{TARGET}"',
    f'{TARGET.replace("@", chr(92) + "@")}@relay.test', '"victim\\@example.test"@relay.test',
    # two at once
    f"{TARGET}@relay.test", "victim@relay.test@example.test", f"victim@relay.test,{TARGET}",
    f"victim@relay.test>,<{TARGET}", f"victim@relay.test {TARGET}", f"{TARGET}(victim@relay.test)",
    f"victim@relay.test\t{TARGET}", f"<{TARGET}>", f"relay.test;{TARGET}",
    # reserved names
    "postmaster", "POSTMASTER", "postmaster@example.test", "postmaster%example.test",
]
SENDERS = ["sender@client.test", "", "sender@relay.test", "postmaster@relay.test",
           "sender@[127.0.0.1]", "sender@localhost", TARGET]


def test_open_relay(start_relay, sink):
    """A stranger relays nothing, whoever it says it is."""
    relay = start_relay(routes={"*": to(sink), "relay.test": to(sink)}, errors_max=10000,
                        relay_networks=["127.0.0.1/32"])
    with Dialogue(relay.port, client=STRANGER).hello() as client:
        for sender in SENDERS:
            assert client.command(f"MAIL FROM:<{sender}>").status == "250 2.1.0"
            for recipient in RECIPIENTS:
                reply = client.command(f"RCPT TO:<{recipient}>")
                assert reply.code in (501, 550, 553), (sender, recipient, reply)
            assert client.talk("DATA", "RSET") == ["554 5.5.1", OK]
    relay.wait_log("session")
    assert relay.queue() == [] and not relay.log("accepted") and not sink.messages()


def test_source_route_is_not_followed(start_relay, sink):
    """Of one who may relay: the address behind it counts, and goes on without it (RFC 5321 F.2)."""
    relay = start_relay(routes={"example.test": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin(f"@elsewhere.test,@other.test:{TARGET}")
        assert client.data(FIRST + END).status == OK
    assert [message.recipients for message in sink.wait(1)] == [[TARGET]]
