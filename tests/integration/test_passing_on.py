"""What a client has asked for goes on to a next hop that offers it, and to no other."""
import re
import ssl

import pytest
from support import certificates, content
from support.dialogue import Dialogue
from support.next_hop import NextHop
from support.relay import to

BINARY = b"Subject: bits\r\n\r\n" + bytes(range(256)) + b"\n.\r\n\r.\n\r\n.\r\nMAIL FROM:<>\r\n"
MESSAGE = content.message(b"Hello.")


def send(relay, parameters, context=None):
    """Returns the id that the relay gave; over TLS with a context."""
    with Dialogue(relay.port).hello() as client:
        if context is not None:
            client.start_tls(context, server_name="relay.test")
            assert client.command("EHLO client.test").code == 250
        assert client.talk(f"MAIL FROM:<sender@client.test> {parameters}",
                           "RCPT TO:<to@example.test>") == ["250 2.1.0", "250 2.1.5"]
        return client.data(content.stuffed(MESSAGE)).text.split()[-1]


def send_binary(relay):
    with Dialogue(relay.port).hello() as client:
        assert client.talk("MAIL FROM:<sender@client.test> BODY=BINARYMIME",
                           "RCPT TO:<to@example.test>") == ["250 2.1.0", "250 2.1.5"]
        client.send(b"BDAT %d LAST\r\n" % len(BINARY) + BINARY)
        assert client.reply().status == "250 2.0.0"


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """(the server's TLS context, the file by which it is trusted)"""
    pair = certificates.make(tmp_path_factory.mktemp("next-hop"), "next-hop", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context, str(pair.certificate)


@pytest.mark.parametrize("asked, offer, said", [
    ("MT-PRIORITY=-4", "MT-PRIORITY", r"MT-PRIORITY=-4"),
    ("BY=1000;NT", "DELIVERBY", r"BY=\d{3,4};NT"),
    ("BY=1000;R", "DELIVERBY 10", r"BY=\d{3,4};R"),
])
def test_parameters(asked, offer, said, start_relay, sink):
    with NextHop("PIPELINING", offer) as knows, NextHop("PIPELINING") as knows_not:
        for hop in knows, knows_not:
            relay = start_relay(routes={"client.test": to(sink), "*": to(hop)})
            send(relay, asked)
            if hop is knows:
                assert re.fullmatch(rf"<sender@client.test> {said}", hop.wait(1)[0].mail)
            elif asked.endswith("R"):  # only to those who would return it
                assert relay.wait_log("failed")[0]["dsn"] == "5.3.3"
            else:
                assert hop.wait(1)[0].mail == "<sender@client.test>"
            relay.stop()


@pytest.mark.parametrize("keys", [{}, {"memory_body_max": "4KiB"}], ids=["memory", "store"])
def test_binary(keys, start_relay, sink):
    with NextHop("CHUNKING", "BINARYMIME", "8BITMIME") as hop:
        relay = start_relay(routes={"client.test": to(sink), "*": to(hop)}, **keys)
        send_binary(relay)
        [message] = hop.wait(1)
        assert message.mail.endswith(" BODY=BINARYMIME")
        assert message.content.endswith(BINARY)
        relay.stop()


def test_binary_to_a_host_that_cannot(start_relay, sink):
    """The first host cannot, the second one can; without that it is returned."""
    with NextHop("CHUNKING", "8BITMIME") as first, \
            NextHop("CHUNKING", "BINARYMIME", "8BITMIME") as second:
        relay = start_relay(routes={"client.test": to(sink), "*": to(first, second)})
        send_binary(relay)
        assert second.wait(1)[0].content.endswith(BINARY)
        assert not first.said("MAIL") and relay.log("declined")
        relay.stop()
        relay = start_relay(routes={"client.test": to(sink), "*": to(first)})
        send_binary(relay)
        assert relay.wait_log("failed")[0]["dsn"] == "5.6.3"
        sink.wait(1)
        relay.stop()
        assert not first.messages


def test_requiretls(start_relay, certificate, trusting, secure):
    """Host by host, until one can be trusted and knows REQUIRETLS."""
    context, trust = secure
    with NextHop("REQUIRETLS") as plain, NextHop(context=context) as ignorant, \
            NextHop("REQUIRETLS", context=context) as good:
        relay = start_relay(certificate=certificate, environment={"SSL_CERT_FILE": trust},
                            routes={"*": to(plain, ignorant, good, tls="opportunistic")})
        send(relay, "REQUIRETLS", trusting)
        [message] = good.wait(1)
        assert message.mail == "<sender@client.test> REQUIRETLS"
        assert [len(hop.said("MAIL")) for hop in (plain, ignorant)] == [0, 0]
        relay.wait_empty()
        relay.stop()


@pytest.mark.parametrize("is_trusted, offer, dsn", [
    (False, "REQUIRETLS", "5.7.10"), (True, "SIZE", "5.7.30")])
def test_requiretls_that_nobody_meets(is_trusted, offer, dsn, start_relay, certificate, trusting,
                                      secure, sink):
    context, trust = secure
    with NextHop(offer, context=context) as hop:
        relay = start_relay(certificate=certificate,
                            environment={"SSL_CERT_FILE": trust} if is_trusted else {},
                            routes={"client.test": to(sink), "*": to(hop, tls="opportunistic")})
        send(relay, "REQUIRETLS", trusting)
        assert relay.wait_log("failed")[0]["dsn"] == dsn
        relay.stop()
        assert not hop.said("MAIL")


def test_limits(start_relay):
    with NextHop("LIMITS RCPTMAX=2 MAILMAX=2") as hop:
        relay = start_relay(routes={"*": to(hop)})
        with Dialogue(relay.port).hello() as client:
            client.begin(*(f"{number}@example.test" for number in range(5)))
            client.data(content.stuffed(MESSAGE))
        assert sorted(len(message.rcpts) for message in hop.wait(3)) == [1, 2, 2]
        relay.wait_empty()
        assert len(hop.said("EHLO")) > 1
        relay.stop()
