"""Next hops that want a login, and what they are told of our clients."""
import ssl

import pytest
from support import certificates, content
from support.dialogue import Dialogue, submit
from support.next_hop import NextHop
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")
USERS = {"relay": "geheim"}
CREDENTIALS = {"provider": {"user": "relay", "password": "geheim"}}


@pytest.fixture(scope="module")
def next_hop_certificate(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("next-hop"), "next-hop", "IP:127.0.0.1")


@pytest.fixture
def context(next_hop_certificate):
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(next_hop_certificate.certificate, next_hop_certificate.key)
    return made


@pytest.fixture
def start_with(start_relay, next_hop_certificate):
    """start_with(hop, **keys): a relay that trusts the hop and logs in there."""
    def start(hop, credentials=CREDENTIALS, **route):
        return start_relay(
            routes={"*": to(hop, tls="opportunistic", credentials="provider", **route)},
            credentials=credentials,
            environment={"SSL_CERT_FILE": str(next_hop_certificate.certificate)})
    return start


def reason(relay):
    """Why the only message is still there."""
    [message] = relay.queue()
    return message["reason"]


@pytest.mark.parametrize("mechanism, version", [
    ("PLAIN", None), ("LOGIN", None), ("SCRAM-SHA-256", None),
    ("SCRAM-SHA-256-PLUS", ssl.TLSVersion.TLSv1_2)])
def test_mechanisms(mechanism, version, start_with, context):
    if version is not None:
        context.maximum_version = version
    with NextHop("PIPELINING", f"AUTH {mechanism}", context=context, users=USERS) as hop:
        relay = start_with(hop)
        submit(relay, MESSAGE, "to@example.test", count=2)
        for message in hop.wait(2):
            content.assert_relayed(message.content, MESSAGE)
        relay.wait_empty()
        assert set(hop.logins) == {(mechanism, "relay")}
        relay.stop()


def test_best_mechanism(start_with, context):
    """Where the channel can be bound, it is; a binding is not announced where it cannot be."""
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    offer = "AUTH LOGIN PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS"
    with NextHop(offer, context=context, users=USERS) as hop:
        relay = start_with(hop)
        submit(relay, MESSAGE, "to@example.test")
        hop.wait(1)
        assert hop.logins == [("SCRAM-SHA-256-PLUS", "relay")]
        relay.stop()


def test_wrong_password(start_with, context):
    """The mail waits, the reason is in the listing and in the log, and a reload helps."""
    wrong = {"provider": {"user": "relay", "password": "falsch"}}
    with NextHop("AUTH PLAIN SCRAM-SHA-256", context=context, users=USERS) as hop:
        relay = start_with(hop, credentials=wrong)
        submit(relay, MESSAGE, "to@example.test")
        [refused, *_] = relay.wait_log("next-hop-login-failed")
        assert refused["credentials"] == "provider" and refused["mechanism"] == "SCRAM-SHA-256"
        wait_until(lambda: 'login with credentials "provider": refused' in reason(relay) and
                   "535 who?" in reason(relay), "the reason in the listing")
        relay.sections["credentials"] = CREDENTIALS
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        hop.wait(1)
        relay.wait_empty()
        relay.stop()
        assert "falsch" not in relay.log_text() and "geheim" not in relay.log_text()
        assert not relay.log("failed")


def test_credentials_taken_away(start_with, context):
    with NextHop("AUTH PLAIN", context=context, users={}) as hop:
        relay = start_with(hop)
        submit(relay, MESSAGE, "to@example.test")
        relay.wait_log("next-hop-login-failed")
        relay.sections |= {"credentials": {}, "route": {"*": to(hop)}}
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        relay.wait_log("next-hop-login-failed", mechanism="",
                       text="the configuration has none of that name any more")
        wait_until(lambda: "has none of that name any more" in reason(relay), "the reason")
        relay.stop()


def test_password_is_kept_from_strangers(start_relay, context):
    """Nobody vouches for the certificate."""
    with NextHop("AUTH PLAIN", context=context, users=USERS) as hop:
        relay = start_relay(routes={"*": to(hop, tls="opportunistic", credentials="provider")},
                            credentials=CREDENTIALS)
        submit(relay, MESSAGE, "to@example.test")
        relay.wait_log("destination-backs-off")
        relay.stop()
        assert not hop.said("AUTH") and not hop.messages


def test_password_without_tls(start_relay):
    with NextHop("AUTH PLAIN", users=USERS) as hop:
        relay = start_relay(routes={"*": to(hop, credentials="provider", auth_without_tls=True)},
                            credentials=CREDENTIALS)
        submit(relay, MESSAGE, "to@example.test")
        hop.wait(1)
        assert hop.logins == [("PLAIN", "relay")]
        relay.stop()


def test_password_file(start_with, context):
    with NextHop("AUTH PLAIN", context=context, users=USERS) as hop:
        relay = start_with(hop)
        secret = relay.folder / "provider.password"
        secret.write_text("geheim\n")
        secret.chmod(0o640)
        relay.sections["credentials"] = {"provider": {"user": "relay",
                                                      "password_file": "provider.password"}}
        relay.restart()
        submit(relay, MESSAGE, "to@example.test")
        hop.wait(1)
        secret.chmod(0o644)
        refused = relay.reload()
        assert refused["event"] == "reload-refused"
        assert "everybody may read" in refused["text"]
        relay.stop()


# ---- XFORWARD -----------------------------------------------------------------------------------

def test_xforward(start_relay):
    offer = "XFORWARD NAME ADDR PORT PROTO HELO IDENT SOURCE"
    with NextHop("PIPELINING", offer) as told, NextHop("PIPELINING", offer) as untold:
        relay = start_relay(routes={"told.test": to(told, xforward=True), "*": to(untold)})
        with Dialogue(relay.port).hello() as client:
            client.begin("to@told.test", "to@untold.test")
            id = client.data(content.stuffed(MESSAGE)).text.split()[-1]
            port = client.socket.getsockname()[1]
        told.wait(1)
        untold.wait(1)
        relay.wait_empty()
        relay.stop()
        said = " ".join(told.said("XFORWARD"))
        assert "ADDR=127.0.0.1 " in said and f" IDENT={id} " in said
        assert " HELO=client.test " in said and said.endswith(" SOURCE=REMOTE")
        assert f" PORT={port} " in said or " PORT=[UNAVAILABLE] " in said
        assert not untold.said("XFORWARD")
