"""Whose connection it is: the PROXY header of a load balancer, and XCLIENT of a proxy."""
import socket
import ssl

import pytest
from support import content, users
from support.dialogue import Dialogue
from support.relay import ANY_PORT, to

MAIL, RCPT = "MAIL FROM:<sender@client.test>", "RCPT TO:<to@example.test>"
OK, SENDER_OK, RECIPIENT_OK, NO_RELAY = "250 2.0.0", "250 2.1.0", "250 2.1.5", "550 5.7.1"
SAMPLE = content.message(b"hello")

BALANCER, PROXY, STRANGER = "127.0.0.5", "127.0.0.6", "127.0.0.9"
FRIEND, FOE = "192.0.2.7", "198.51.100.7"  # clients behind them; the friend may relay
FRIEND6 = "2001:db8::7"
NETWORKS = {"proxy_networks": [f"{BALANCER}/32"], "xclient_networks": [f"{PROXY}/32"],
            "relay_networks": [f"{BALANCER}/32", f"{PROXY}/32", "192.0.2.0/24", "2001:db8::/32"]}
LISTENERS = {"smtp": {"address": ANY_PORT},
             "proxied": {"address": ANY_PORT, "proxy": True},
             "proxied_tls": {"address": ANY_PORT, "proxy": True, "tls": "implicit"}}


def version1(source, family="TCP4", target="203.0.113.1"):
    return f"PROXY {family} {source} {target} 40000 25\r\n".encode()


def version2(body, family=0x11, command=1):
    return (b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family])
            + len(body).to_bytes(2, "big") + body)


def addresses(source, family=socket.AF_INET):
    packed = socket.inet_pton(family, source)
    return packed + packed + (40000).to_bytes(2, "big") + (25).to_bytes(2, "big")


TLV = b"\x02\0\x04name\x20\0\x05\x01\0\0\0\0"

# (header, whom the Received field tells of, whether that one may relay)
HEADERS = {
    "1": (version1(FRIEND), f"[{FRIEND}]", True),
    "1, a foe": (version1(FOE), f"[{FOE}]", False),
    "1, IPv6": (version1(FRIEND6, "TCP6", "::1"), f"[IPv6:{FRIEND6}]", True),
    "1, unknown": (b"PROXY UNKNOWN\r\n", "unknown", False),
    "1, unknown with addresses": (version1(FRIEND, "UNKNOWN"), "unknown", False),
    "2": (version2(addresses(FRIEND)), f"[{FRIEND}]", True),
    "2, a foe": (version2(addresses(FOE)), f"[{FOE}]", False),
    "2, IPv6": (version2(addresses(FRIEND6, socket.AF_INET6), 0x21), f"[IPv6:{FRIEND6}]", True),
    "2, TLVs": (version2(addresses(FRIEND) + TLV), f"[{FRIEND}]", True),
    "2, the balancer itself": (version2(b"", 0, command=0), f"[{BALANCER}]", True),
    "2, unspecified": (version2(b"", 0), "unknown", False),
    "2, a Unix socket": (version2(bytes(216), 0x31), "unknown", False),
}


@pytest.fixture
def start_proxied(start_relay, sink, certificate):
    """`start(**keys)`"""
    def start(**keys):
        return start_relay(**{"routes": {"*": to(sink)}, "listeners": LISTENERS,
                              "certificate": certificate, "errors_max": 1000, **NETWORKS, **keys})
    return start


def connect(relay, header=b"", listener="proxied", client=BALANCER):
    dialogue = Dialogue(relay.ports[listener], client=client)
    dialogue.send(header)
    return dialogue


# ---- PROXY --------------------------------------------------------------------------------------

@pytest.mark.parametrize("header, told, may_relay", HEADERS.values(), ids=HEADERS)
def test_header(header, told, may_relay, start_proxied):
    relay = start_proxied()
    with connect(relay, header) as client:
        client.hello()
        assert client.talk(MAIL, RCPT) == [SENDER_OK, RECIPIENT_OK if may_relay else NO_RELAY]
        assert client.command("QUIT").code == 221
    assert relay.wait_log("session")[0]["client"] == told


def test_received(start_proxied, sink):
    with connect(start_proxied(), version1(FRIEND)) as client:
        client.hello().begin("to@example.test")
        assert client.data(content.stuffed(SAMPLE)).status == OK
    received = content.split_trace(sink.wait(1)[0].content)[0]
    assert received["client"] == f"[{FRIEND}]".encode()


@pytest.mark.parametrize("name", ["1", "2, TLVs"])
def test_split_at_every_byte(name, start_proxied):
    header, told, _ = HEADERS[name]
    relay = start_proxied(refuse_early_talkers=False)
    wire = header + b"EHLO client.test\r\nQUIT\r\n"
    for at in range(1, len(header) + 1):
        with connect(relay, wire[:at]) as client:
            client.send(wire[at:])
            assert [client.reply().code for _ in range(3)] == [220, 250, 221]
    with connect(relay) as client:
        for byte in wire:
            client.send(bytes([byte]))
        assert [client.reply().code for _ in range(3)] == [220, 250, 221]
    assert len(relay.wait_log("session", len(header) + 1, client=told)) == len(header) + 1


@pytest.mark.parametrize("name", ["1", "2"])
def test_tls_behind_it(name, start_proxied, trusting):
    """Also where the handshake has begun to arrive with the header."""
    relay = start_proxied()
    header, told, _ = HEADERS[name]
    with connect(relay, header, "proxied_tls") as client:
        client.secure(trusting, server_name="relay.test")
        assert client.hello().talk(MAIL, RCPT) == [SENDER_OK, RECIPIENT_OK]
    with connect(relay, header + first_flight(trusting), "proxied_tls") as client:
        assert client.socket.recv(1) == b"\x16"  # a handshake record comes back
    assert len(relay.wait_log("session", 2, client=told)) == 2


def first_flight(context):
    """Of a TLS client."""
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="relay.test")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


GARBAGE = {
    "a command": b"EHLO client.test\r\n", "lower case": version1(FRIEND).lower(),
    "bare LF": version1(FRIEND).replace(b"\r", b""), "no address": b"PROXY TCP4\r\n",
    "a wrong family": version1(FRIEND6), "a bad port": version1(FRIEND).replace(b"40000", b"65536"),
    "an injection": version1(f"{FRIEND}\rX"), "a name": version1("localhost"),
    "an endless line": b"PROXY UNKNOWN " + b"x" * 200, "TLS": b"\x16\x03\x01\x02\0\x01\0\x01",
    "version 3": version2(addresses(FRIEND)).replace(b"QUIT\n\x21", b"QUIT\n\x31"),
    "a bad command": version2(addresses(FRIEND), command=2),
    "too short": version2(addresses(FRIEND)[:-1]), "too long": version2(bytes(3000)),
    "a bad TLV": version2(addresses(FRIEND) + TLV[:-1]),
}


def test_garbage(start_proxied):
    """It gets no answer."""
    relay = start_proxied()
    for name, sent in GARBAGE.items():
        with connect(relay, sent) as client:
            assert client.is_closed(), name
    with connect(relay, version1(FRIEND) * 2) as client:  # the second one is the client's own
        assert client.reply().status == "521 5.5.0" and client.is_closed()


@pytest.mark.parametrize("client", [STRANGER, PROXY])
def test_untrusted_balancer(client, start_proxied):
    relay = start_proxied()
    with connect(relay, version1(FRIEND), client=client) as dialogue:
        assert dialogue.is_closed()
    assert relay.wait_log("proxy-refused")[0]["client"] == f"[{client}]"


def test_header_where_none_is_awaited(start_proxied):
    with connect(start_proxied(), version1(FRIEND), "smtp") as client:
        assert [client.reply().status for _ in range(2)] == ["220", "500 5.5.2"]


@pytest.mark.parametrize("sent", [b"", version1(FRIEND)[:-1]], ids=["nothing", "half"])
def test_no_header(sent, start_proxied):
    relay = start_proxied(tls_handshake_timeout="300ms")
    with connect(relay, sent, "proxied_tls") as client:
        assert client.is_closed()
    assert relay.wait_log("session")[0]["closed"] == "PROXY header timed out"


def test_stop_while_a_header_is_awaited(start_proxied):
    relay = start_proxied()
    with connect(relay, b"PROXY ") as client:
        with connect(relay, version1(FRIEND)) as other:
            other.hello()  # so the first one has been accepted
        relay.stop()
        assert client.is_closed()


def test_sessions_per_client(start_proxied):
    """Counted for the client behind the balancer, and for no longer than its session."""
    relay = start_proxied(sessions_per_client=2, limit_exempt_networks=[f"{BALANCER}/32"])
    with connect(relay, version1(FOE)).hello(), connect(relay, version1(FOE)).hello() as second:
        for _ in range(5):
            with connect(relay, version1(FOE)) as third:
                assert third.reply().status == "421 4.7.0" and third.is_closed()
        with connect(relay, version1(FRIEND)) as other:
            assert other.reply().code == 220
        relay.wait_log("session", 6)
        with connect(relay, version1(FOE)) as third:
            assert third.reply().code == 421  # those that were turned away have freed no place
        assert second.command("QUIT").code == 221
        relay.wait_log("session", closed="quit")
        with connect(relay, version1(FOE)) as next_one:
            assert next_one.reply().code == 220


# ---- XCLIENT ------------------------------------------------------------------------------------

# (what a trusted proxy says, behind EHLO, and the status of each reply)
XCLIENTS = {
    "a friend": [(f"XCLIENT ADDR={FRIEND} PORT=1 NAME=friend.test PROTO=ESMTP HELO=friend.test",
                  "220"), ("EHLO a.test", "250"), (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK)],
    "a foe": [(f"XCLIENT ADDR={FOE}", "220"), ("EHLO a.test", "250"), (MAIL, SENDER_OK),
              (RCPT, NO_RELAY)],
    "IPv6": [(f"xclient addr=ipv6:{FRIEND6}", "220"), ("EHLO a.test", "250"), (MAIL, SENDER_OK),
             (RCPT, RECIPIENT_OK)],
    "unavailable": [("XCLIENT ADDR=[UNAVAILABLE] NAME=[TEMPUNAVAIL]", "220"),
                    ("HELO a.test", "250"), (MAIL, SENDER_OK), (RCPT, NO_RELAY)],
    "the proxy itself": [("XCLIENT NAME=[UNAVAILABLE]", "220"), ("EHLO a.test", "250"),
                         (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK)],
    "EHLO anew": [(f"XCLIENT ADDR={FRIEND}", "220"), (MAIL, "503 5.5.1")],
    "one client after the other": [
        (f"XCLIENT ADDR={FRIEND}", "220"), (f"XCLIENT ADDR={FOE}", "220"), ("EHLO a.test", "250"),
        (MAIL, SENDER_OK), (RCPT, NO_RELAY)],
    "a log-in": [(f"XCLIENT ADDR={FOE} LOGIN=Alice@client.test", "220"), ("EHLO a.test", "250"),
                 ("MAIL FROM:<bob@client.test>", "553 5.7.1"),
                 ("MAIL FROM:<alice@client.test>", SENDER_OK), (RCPT, RECIPIENT_OK)],
    "a log-in taken back": [
        (f"XCLIENT ADDR={FOE} LOGIN=a@client.test", "220"), ("XCLIENT LOGIN=[UNAVAILABLE]", "220"),
        ("EHLO a.test", "250"), (MAIL, SENDER_OK), (RCPT, NO_RELAY)],
    "a log-in of the client before": [
        (f"XCLIENT ADDR={FRIEND} LOGIN=a@client.test", "220"), (f"XCLIENT ADDR={FOE}", "220"),
        ("EHLO a.test", "250"), (MAIL, SENDER_OK), (RCPT, NO_RELAY)],
    "in a transaction": [(MAIL, SENDER_OK), (f"XCLIENT ADDR={FOE}", "503 5.5.1"),
                         (RCPT, RECIPIENT_OK)],
    "bad values": [(f"XCLIENT {values}", "501 5.5.4") for values in (
        "", "ADDR", "ADDR=", "ADDR=localhost", "ADDR=192.0.2.256", f"ADDR={FRIEND6}", "PORT=65536",
        "PORT=x", "PROTO=LMTP", "NAME=a b", "NAME=-a", "HELO=a(b)", "HELO=a+0D+0AX-Evil:+20b",
        "LOGIN=a+0D+0Ab", "LOGIN=+00", "NAME=+GG", f"ADDR={FRIEND} ADDR={FOE}", "EVIL=1")]
    + [(MAIL, SENDER_OK), (RCPT, RECIPIENT_OK)],
}


@pytest.mark.parametrize("dialogue", XCLIENTS.values(), ids=XCLIENTS)
def test_xclient(dialogue, start_proxied):
    relay = start_proxied()
    with Dialogue(relay.port, client=PROXY).hello() as client:
        replies = client.talk(*(line for line, _ in dialogue))
    assert list(zip((line for line, _ in dialogue), replies)) == dialogue


def offers_xclient(client):
    return any(line.startswith("XCLIENT ") for line in client.command("EHLO a.test").lines)


def test_xclient_is_for_proxies(start_proxied):
    relay = start_proxied()
    with Dialogue(relay.port, client=PROXY).hello() as client:
        assert offers_xclient(client)
    with Dialogue(relay.port, client=STRANGER).hello() as client:
        assert not offers_xclient(client)
        assert client.talk(f"XCLIENT ADDR={FRIEND}", MAIL, RCPT) == [NO_RELAY, SENDER_OK, NO_RELAY]


@pytest.mark.parametrize("header, trusted", [
    (version1(FOE), False), (b"PROXY UNKNOWN\r\n", False), (version1(FRIEND), True),
    (version2(b"", 0, command=0), True)], ids=["a foe", "unknown", "a proxy", "itself"])
def test_xclient_behind_a_balancer(header, trusted, start_proxied):
    """It is the client behind the balancer who must be trusted."""
    relay = start_proxied(xclient_networks=[f"{BALANCER}/32", f"{FRIEND}/32"])
    with connect(relay, header) as client:
        assert offers_xclient(client.hello()) == trusted
        assert (client.command(f"XCLIENT ADDR={FRIEND}").code == 220) == trusted


def test_xclient_counts(start_proxied):
    relay = start_proxied(sessions_per_client=1, limit_exempt_networks=[f"{PROXY}/32"])
    with Dialogue(relay.port, client=PROXY).hello() as first:
        assert first.command(f"XCLIENT ADDR={FOE}").code == 220
        for _ in range(3):
            with Dialogue(relay.port, client=PROXY).hello() as second:
                assert second.command(f"XCLIENT ADDR={FOE}").status == "421 4.7.0"
                assert second.is_closed()


def test_xclient_in_received(start_proxied, sink):
    relay = start_proxied()
    with Dialogue(relay.port, client=PROXY).hello() as client:
        client.command(f"XCLIENT ADDR={FRIEND} NAME=evil.test HELO=evil.test LOGIN=alice")
        assert client.talk("EHLO a.test", "MAIL FROM:<alice@relay.test>", RCPT) == [
            "250", SENDER_OK, RECIPIENT_OK]
        assert client.data(content.stuffed(SAMPLE)).status == OK
    received, rest = content.split_trace(sink.wait(1)[0].content)
    assert (received["hello"], received["client"], received["protocol"], rest) == (
        b"a.test", f"[{FRIEND}]".encode(), b"ESMTPA", SAMPLE)


def test_xclient_needs_no_second_log_in(start_proxied, tmp_path):
    file = users.make(tmp_path / "users", {"alice": "x"})
    users.allow(file, "alice", "@client.test")
    relay = start_proxied(users_file=file, listeners={
        "smtp": {"address": ANY_PORT, "role": "submission"}})
    with Dialogue(relay.port, client=PROXY).hello() as client:
        assert client.talk(MAIL, "XCLIENT LOGIN=ALICE", "EHLO a.test", MAIL, RCPT) == [
            "530 5.7.0", "220", "250", SENDER_OK, RECIPIENT_OK]
