"""What an attacker hides in a message or in an address: no second message, and no relaying."""
import itertools
import re

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


def normalized(content):
    """bare_line_ends = normalize: an LF ends a line, a CR does not."""
    return re.sub(rb"\r?\n|\r", lambda end: b"\r\n" if b"\n" in end[0] else b" ", content)


def is_taken(wire, line_ends):
    return is_strict(wire) or (line_ends == "normalize" and b"\0" not in wire)


def relay_for(start_relay, next_hop, certificate, **keys):
    return start_relay(routes={"*": to(next_hop, tls="opportunistic")}, listeners=LISTENERS,
                       certificate=certificate, errors_max=10000,
                       commands_without_mail_max=100000, **keys)


@pytest.fixture
def relay(start_relay, sink, certificate):
    return relay_for(start_relay, sink, certificate)


def connect_to(relay, transport, trusting):
    tls = {"context": trusting, "server_name": "relay.test"} if transport == "tls" else {}
    return Dialogue(relay.ports[transport], **tls).hello()


@pytest.fixture
def connect(relay, trusting):
    return lambda transport: connect_to(relay, transport, trusting)


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


# (way in, transport in, way out, transport out): each with each that it could meet.
WAYS = [(by_data, "plain", "DATA", "plain"), (by_data, "tls", "BDAT", "plain"),
        (by_bdat, "plain", "BDAT", "tls"), (by_bdat, "tls", "DATA", "tls")]


@pytest.fixture
def start_next_hop(start_sink, certificate):
    def start(way, transport):
        options = ["--chunking"] if way == "BDAT" else []
        return start_sink(*options, certificate=certificate if transport == "tls" else None)
    return start


def exchange(client, send, line_ends):
    """Sends a message with each false end; returns the contents that have to arrive."""
    expected = []
    for false_end in FALSE_ENDS:
        wire = FIRST + false_end + SMUGGLED
        client.begin("to@example.test")
        taken = is_taken(wire, line_ends)
        assert send(client, wire) == (OK if taken else "554 5.6.0"), false_end
        assert client.command("NOOP").status == OK, false_end  # the next reply is to this
        if taken:
            expected.append(normalized(stuffed_out(wire) if send is by_data else wire))
    return expected


@pytest.mark.parametrize("line_ends", ["refuse", "normalize"])
@pytest.mark.parametrize("send, transport, way_out, transport_out", WAYS)
def test_end_of_data(send, transport, way_out, transport_out, line_ends, start_relay,
                     start_next_hop, certificate, trusting):
    """One reply for each message, whatever is in it; the end that counts is the true one, for the
    next server as for this one."""
    next_hop = start_next_hop(way_out, transport_out)
    relay = relay_for(start_relay, next_hop, certificate, bare_line_ends=line_ends)
    with connect_to(relay, transport, trusting) as client:
        expected = exchange(client, send, line_ends)
    assert_all_arrive(next_hop, expected)
    relay.wait_empty()
    assert len(relay.log("accepted")) == len(next_hop.messages()) == len(expected)
    mended = [record for record in relay.log("accepted") if "normalized" in record]
    assert bool(mended) == (line_ends == "normalize")


@pytest.mark.parametrize("send", [by_data, by_bdat])
def test_normalized_in_pieces(send, start_relay, start_sink, certificate, trusting):
    """Byte by byte, and the header is read as it is stored."""
    next_hop = start_sink()
    relay = relay_for(start_relay, next_hop, certificate, bare_line_ends="normalize")
    wire = b"Subject: first\nMessage-ID: <1@client.test>\r\r\n\n.\nsecond\r\n..\n\r.\r\n.\r\n"
    with connect_to(relay, "plain", trusting) as client:
        client.begin("to@example.test")
        if send is by_data:
            assert client.command("DATA").code == 354
        for byte in range(len(wire)):
            piece = wire[byte:byte + 1]
            client.send(piece if send is by_data else b"BDAT 1\r\n" + piece)
            assert send is by_data or client.reply().status == OK
        if send is by_bdat:
            client.send(b"BDAT 0 LAST\r\n")
        assert client.reply().status == OK
    expected = normalized(stuffed_out(wire) if send is by_data else wire)
    assert_all_arrive(next_hop, [expected])
    assert relay.log("accepted")[0]["message_id"] == "<1@client.test>"


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
    "postmaster@example.test", "postmaster%example.test", "postmaster%example.test@relay.test",
    "postmaster@sub.relay.test", "postmaster@relay.test.", "postmaster@[127.0.0.1]",
    '"post master"@relay.test', "postmaster+x@relay.test",
]
# The same, with domains for which the relay is a gateway.
GATEWAY = {"relay_domains": ["ours.test", ".wide.test", "xn--bcher-kva.test"],
           "relay_networks": ["127.0.0.1/32"], "errors_max": 10000}
OURS = ["ours.test", "wide.test", "sub.wide.test", "xn--bcher-kva.test"]
BEYOND = [
    # domains that look like ours
    "v@notours.test", "v@ours.test.example.test", "v@sub.ours.test", "v@ours.tes", "v@test",
    "v@ours-test", "v@ours.test.", "v@.ours.test", "v@ours..test", "v@notwide.test",
    "v@wide.test.example.test", "v@.wide.test", "v@wide.test.", "v@sub.wide.test.", "v@-.wide.test",
    "v@[ours.test]", "v@[wide.test]", "v@xn--bcher-kva.test.example.test", "v@bucher.test",
    "v@xn--bcher-kvb.test", "v@b_cher.test", "v@*", "v@*.wide.test", "postmaster@sub.ours.test",
    *(way.format(domain) for domain in OURS for way in (
        # percent hack, bang paths
        "victim%example.test@{}", "victim%example.test%ours.test@{}", "example.test!victim@{}",
        "ours.test!example.test!victim@{}", "a!b%c@{}", "%@{}", "!@{}", "victim%@{}",
        # source routes lead to what is behind them
        "@{}:victim@example.test", "@{0},@{0}:victim@example.test", "@{}:victim@[127.0.0.1]",
        "@{}:postmaster@example.test", "@{}:postmaster",
        # quotes
        '"victim@example.test"@{}', '"victim%example.test"@{}', '"example.test!victim"@{}',
        '"victim\\@example.test"@{}', '"victim\\%example.test"@{}', '"@example.test:victim"@{}',
        '"x"@{}"@example.test', '"x@{}"@example.test', '"x@{}>"@example.test', '"@{}', '"@{}"',
        # two at once
        "victim@example.test@{}", "victim@{}@example.test", "victim@{},victim@example.test",
        "victim@{}>,<victim@example.test", "victim@{} victim@example.test",
        "victim@example.test(@{})", "victim@{}(victim@example.test)", "victim@{}:x", "victim@{};x",
        "victim@{}#@example.test", "victim@{}\t@example.test", "victim@{}/@example.test",
        "victim@example.test\\@{}", "victim@example.test%{}", "{}!victim@example.test")),
]
# (the recipient, how it goes on)
WITHIN = [
    ("v@ours.test", "v@ours.test"), ("v@OURS.Test", "v@OURS.Test"), ('"v"@ours.test',) * 2,
    ('"a b"@ours.test',) * 2, ("v+x@ours.test",) * 2, ("v@wide.test",) * 2,
    ("v@a.wide.test",) * 2, ("v@b.A.Wide.test",) * 2, ("v@xn--bcher-kva.test",) * 2,
    ("v@XN--BCHER-KVA.test",) * 2, ("@example.test:v@ours.test", "v@ours.test"),
    ("@b.test,@example.test:v@wide.test", "v@wide.test"),
    ("postmaster", "postmaster@relay.test"), ("POSTMASTER", "postmaster@relay.test"),
    ("Postmaster@RELAY.test", "postmaster@relay.test"),
    ('"postmaster"@relay.test', "postmaster@relay.test"), ("PostMaster@ours.test",) * 2,
    ("postmaster@a.wide.test",) * 2,
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


def test_gateway_is_no_open_relay(start_relay, sink):
    """A stranger gets nowhere but to relay_domains."""
    relay = start_relay(routes={"*": to(sink)}, **GATEWAY)
    with Dialogue(relay.port, client=STRANGER).hello() as client:
        for sender in SENDERS:
            assert client.command(f"MAIL FROM:<{sender}>").status == "250 2.1.0"
            for recipient in RECIPIENTS + BEYOND:
                reply = client.command(f"RCPT TO:<{recipient}>")
                assert reply.code in (501, 550, 553), (sender, recipient, reply)
            assert client.talk("DATA", "RSET") == ["554 5.5.1", OK]
        assert client.talk("MAIL FROM:<> SMTPUTF8") == ["250 2.1.0"]
        for recipient in ("v@bücher.example.test", "v@büchar.test", "v@x.bücher.test",
                          "v%example.test@bücher.test", "v％example.test@example.test",
                          "v@ours．example.test", "v@example。test"):
            reply = client.command(f"RCPT TO:<{recipient}>")
            assert reply.code in (501, 550, 553), (recipient, reply)
    relay.wait_log("session")
    assert relay.queue() == [] and not relay.log("accepted") and not sink.messages()


def test_gateway_takes_its_domains(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, **GATEWAY)
    with Dialogue(relay.port, client=STRANGER).hello() as client:
        client.begin(*(recipient for recipient, _ in WITHIN))
        assert client.data(FIRST + END).status == OK
        assert client.talk("MAIL FROM:<> SMTPUTF8", "RCPT TO:<v@bücher.test>",
                           "RCPT TO:<v@BÜCHER.test>", "RCPT TO:<v@ours．test>",
                           "RCPT TO:<ü@a.wide.test>",
                           "RSET") == ["250 2.1.0"] + ["250 2.1.5"] * 4 + [OK]
    relay.wait_empty()
    assert sink.recipients() == sorted(passed_on for _, passed_on in WITHIN)


def test_source_route_is_not_followed(start_relay, sink):
    """Of one who may relay: the address behind it counts, and goes on without it (RFC 5321 F.2)."""
    relay = start_relay(routes={"example.test": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin(f"@elsewhere.test,@other.test:{TARGET}")
        assert client.data(FIRST + END).status == OK
    assert [message.recipients for message in sink.wait(1)] == [[TARGET]]
