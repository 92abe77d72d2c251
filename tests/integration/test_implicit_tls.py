"""Next hops that speak TLS from the first byte (RFC 8314)."""
import json
import ssl

import pytest
from support import certificates, content
from support.dialogue import submit
from support.next_hop import NextHop
from support.process import BIN
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")
NO_TLS = "wrong version number (the peer does not speak TLS)"


@pytest.fixture(scope="module")
def hop_certificate(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("next-hop"), "next-hop", "IP:127.0.0.1",
                             "DNS:both.test")


@pytest.fixture
def hop(hop_certificate):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(hop_certificate.certificate, hop_certificate.key)
    with NextHop("PIPELINING", "AUTH PLAIN", context=context, implicit=True,
                 users={"relay": "geheim"}) as found:
        yield found


@pytest.fixture
def trust(hop_certificate):
    return {"SSL_CERT_FILE": str(hop_certificate.certificate)}


def by_smtps(*hops, **keys):
    return {"hosts": [f"smtps:[{one.host}]:{one.port}" for one in hops], **keys}


def text_of(hop, tls="opportunistic"):
    return f"hosts:smtps:[{hop.host}]:{hop.port};tls={tls}"


def reason(relay):
    """Why the only message is still there."""
    messages = relay.queue()
    return messages[0].get("reason", "") if messages else ""


def test_delivery(start_relay, hop, trust):
    relay = start_relay(routes={"*": by_smtps(hop, tls="required")}, environment=trust)
    assert text_of(hop, "required") in relay.ctl("route", "to@example.test").stdout.decode()
    submit(relay, MESSAGE, "to@example.test")
    [message] = hop.wait(1)
    content.assert_relayed(message.content, MESSAGE)
    [delivered] = relay.wait_log("delivered")
    assert delivered["tls"].startswith("TLSv1.3")
    assert not hop.said("STARTTLS")
    relay.stop()


def test_connections_and_sessions_are_used_again(start_relay, hop):
    relay = start_relay(routes={"*": by_smtps(hop)}, workers=1, connections_per_destination=1,
                        connection_idle_timeout="500ms")
    submit(relay, MESSAGE, "to@example.test", count=5)
    hop.wait(5)
    relay.wait_empty()
    connections = len(hop.clients)
    assert connections < 5
    wait_until(lambda: len(hop.said("QUIT")) == connections, "the connections to time out")
    submit(relay, MESSAGE, "to@example.test")
    hop.wait(6)
    assert hop.resumed[-1] and not hop.resumed[0]
    relay.stop()


def test_a_certificate_that_nobody_vouches_for(start_relay, hop):
    """It does where none is asked for; where one is, nothing is said to the host."""
    relay = start_relay(routes={"*": by_smtps(hop, tls="required"), "lax.test": by_smtps(hop)})
    submit(relay, MESSAGE, "to@example.test")
    wait_until(lambda: "certificate verify failed" in reason(relay), "the reason in the listing")
    assert not hop.commands
    submit(relay, MESSAGE, "to@lax.test")
    hop.wait(1)
    relay.stop()


def test_login(start_relay, hop, trust):
    relay = start_relay(routes={"*": by_smtps(hop, credentials="provider")}, environment=trust,
                        credentials={"provider": {"user": "relay", "password": "geheim"}})
    submit(relay, MESSAGE, "to@example.test")
    hop.wait(1)
    assert hop.logins == [("PLAIN", "relay")]
    relay.stop()


def test_a_host_that_speaks_plain_text(start_relay):
    """The reason is told; nothing is sent in clear."""
    with NextHop() as plain:
        relay = start_relay(routes={"*": by_smtps(plain)})
        submit(relay, MESSAGE, "to@example.test")
        [backs_off, *_] = relay.wait_log("destination-backs-off")
        assert NO_TLS in backs_off["text"]
        [queued] = relay.wait_queued("backoff")
        explained = json.loads(relay.ctl("queue", "explain", queued["id"], "--json").stdout)
        assert text_of(plain) in explained["recipients"][0]["destination"]
        assert NO_TLS in reason(relay)
        relay.stop()
        assert not plain.commands and not plain.messages


def test_hosts_of_both_kinds(start_relay, hop):
    """The one that has no TLS is passed over."""
    with NextHop() as plain:
        relay = start_relay(routes={"*": by_smtps(plain, hop), "plain.test": {
            "hosts": [*by_smtps(plain)["hosts"], f"[{plain.host}]:{plain.port}"]}})
        submit(relay, MESSAGE, "to@example.test", count=3)
        hop.wait(3)
        relay.wait_empty()
        [down] = relay.log("host-down")
        assert int(down["port"]) == plain.port
        relay.stop()


def test_names(start_relay, hop, trust, dns):
    """Both families are tried, and the certificate has to be for the name."""
    dns.records |= {"both.test": ["AAAA 60 ::1", "A 60 127.0.0.1"],
                    "other.test": ["A 60 127.0.0.1"]}
    relay = start_relay(
        routes={"good.test": {"hosts": f"smtps:both.test:{hop.port}", "tls": "required"},
                "bad.test": {"hosts": f"smtps:other.test:{hop.port}", "tls": "required"}},
        environment=trust, dns_servers=[dns.address])
    submit(relay, MESSAGE, "to@good.test")
    hop.wait(1)
    relay.wait_empty()
    submit(relay, MESSAGE, "to@bad.test")
    wait_until(lambda: "certificate verify failed" in reason(relay), "the reason in the listing")
    relay.stop()
    assert len(hop.messages) == 1


def test_reroute(start_relay, hop):
    """What waits elsewhere goes there on an operator's word, also after a restart."""
    relay = start_relay(routes={"*": {"hosts": "[127.0.0.1]:1", "tls": "none"}})
    submit(relay, MESSAGE, "to@example.test")
    relay.wait_queued("backoff")
    relay.ctl("queue", "hold", "--all")
    relay.ctl("queue", "reroute", "--all", "--next-hop", text_of(hop))
    relay.restart()
    [message] = relay.queue()
    assert text_of(hop) in message["recipients"][0]["destination"]
    relay.ctl("queue", "release", "--all")
    hop.wait(1)
    relay.stop()


@pytest.mark.parametrize("options", [
    {"maps": "example.test smtp smtps:[127.0.0.1]:{port}\n"},
    {"postfix_transport": "example.test relay-smtps:[127.0.0.1]:{port}\n"}])
def test_table(options, start_relay, hop, tmp_path):
    [(option, text)] = options.items()
    (tmp_path / "file").write_text(text.format(port=hop.port))
    relay = start_relay(plugins={"table": {"file": BIN.parent / "lib" / "smarthop" / "table.so",
                                           option: [str(tmp_path / "file")]}})
    submit(relay, MESSAGE, "to@example.test")
    hop.wait(1)
    relay.stop()


def test_failover(start_relay, hop, dns):
    dns.records |= {"hop.test": ["A 60 127.0.0.1"], "plain.test": ["A 60 127.0.0.1"]}
    with NextHop() as plain:
        group = f"g: smtps:plain.test:{plain.port}@1, smtps:hop.test:{hop.port}@2"
        relay = start_relay(plugins={"failover": {
            "file": BIN.parent / "lib" / "smarthop" / "failover.so", "groups": [group],
            "routes": ["*: g"], "failures": 1}}, dns_servers=[dns.address])
        submit(relay, MESSAGE, "to@example.test")
        hop.wait(1)
        relay.wait_empty()
        wait_until(lambda: b"plain.test is down" in relay.ctl("plugin", "command", "failover").stdout,
                   "the host to be down")
        relay.stop()
