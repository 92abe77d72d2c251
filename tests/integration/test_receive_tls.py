"""TLS on the receiving side: versions, tickets, names, renewal, and what must not leak across."""
import shutil
import ssl

import pytest
from support import certificates
from support.dialogue import Dialogue
from support.relay import ANY_PORT

ROUTES = {"*": {"discard": True}}
SMTPS = {"smtp": {"address": ANY_PORT, "tls": "implicit"}}
VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


def context_of(version, cafile=None):
    """Offers this version only, however old; without `cafile` it takes any certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = cafile is not None
    context.verify_mode = ssl.CERT_REQUIRED if cafile else ssl.CERT_NONE
    if cafile:
        context.load_verify_locations(cafile)
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = context.maximum_version = version
    return context


@pytest.fixture
def smtps_relay(start_relay, certificate):
    return start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate)


@pytest.mark.parametrize("version", VERSIONS)
def test_version_accepted(version, smtps_relay, certificate):
    with Dialogue(smtps_relay.port, context=context_of(version, certificate.certificate),
                  server_name="relay.test") as client:
        client.hello()
        assert client.socket.version() == version.name.replace("_", ".")
        assert client.command("STARTTLS").status == "502 5.5.1"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_version_refused(version, smtps_relay):
    with pytest.raises(ssl.SSLError) as refused:
        Dialogue(smtps_relay.port, context=context_of(version))
    assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"  # an alert: by the server
    smtps_relay.wait_log("session", closed="TLS handshake failed")


@pytest.mark.parametrize("version", VERSIONS)
def test_resumption(version, smtps_relay):
    """By tickets, also across a reload."""
    context = context_of(version)
    with Dialogue(smtps_relay.port, context=context) as client:
        client.hello()  # a TLS 1.3 ticket comes behind the handshake
        session = client.socket.session
        assert session.has_ticket and not client.socket.session_reused
    for _ in range(2):
        with Dialogue(smtps_relay.port, context=context, session=session) as client:
            client.hello()
            assert client.socket.session_reused
        smtps_relay.reload()


def peer_certificate(relay, **tls):
    context = context_of(ssl.TLSVersion.TLSv1_3)
    with Dialogue(relay.port, context=context, **tls) as client:
        return client.hello().socket.getpeercert(binary_form=True)


def der(pair):
    return ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())


def test_server_names(start_relay, certificate, tmp_path):
    exact = certificates.make(tmp_path, "exact", "DNS:mail.example.test")
    wild = certificates.make(tmp_path, "wild", "DNS:*.example.test")
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate,
                        certificates={"mail.example.test": exact, "*.example.test": wild})
    for name, pair in {"mail.example.test": exact, "MAIL.example.test": exact,
                       "other.example.test": wild, "example.test": certificate,
                       "relay.test": certificate, None: certificate}.items():
        assert peer_certificate(relay, server_name=name) == der(pair), name


def test_renewal(start_relay, tmp_path):
    """A certificate that was replaced is served after SIGHUP; a session under way goes on."""
    served = certificates.make(tmp_path, "served", "DNS:relay.test")
    renewed = certificates.make(tmp_path, "renewed", "DNS:relay.test")
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=served)
    old = der(served)
    with Dialogue(relay.port, context=context_of(ssl.TLSVersion.TLSv1_3)).hello() as under_way:
        shutil.copy(renewed.certificate, served.certificate)
        shutil.copy(renewed.key, served.key)
        assert peer_certificate(relay) == old
        assert relay.reload()["event"] == "reloaded"
        assert peer_certificate(relay) == der(renewed) != old
        assert under_way.command("NOOP").code == 250


@pytest.mark.parametrize("half", ["certificate", "key"])
def test_renewal_half_done(half, start_relay, tmp_path):
    """A certificate without its key is refused, and the old pair goes on."""
    served = certificates.make(tmp_path, "served", "DNS:relay.test")
    renewed = certificates.make(tmp_path, "renewed", "DNS:relay.test")
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=served)
    old = der(served)
    shutil.copy(getattr(renewed, half), getattr(served, half))
    assert relay.reload()["event"] == "reload-refused"
    assert peer_certificate(relay) == old


def test_starttls_forgets(start_relay, certificate, trusting):
    """RFC 3207 4.2: what was said before TLS counts no more."""
    relay = start_relay(routes=ROUTES, certificate=certificate)
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        client.start_tls(trusting, server_name="relay.test")
        assert client.command("RCPT TO:<to@example.test>").status == "503 5.5.1"
        assert client.command("MAIL FROM:<a@client.test>").status == "503 5.5.1"
        assert "STARTTLS" not in client.command("EHLO client.test").lines
        assert client.command("STARTTLS").status == "503 5.5.1"


@pytest.mark.parametrize("injected", [b"NOOP\r\n", b"MAIL FROM:<evil@client.test>\r\n", b"\x16"])
def test_starttls_injection(injected, start_relay, certificate):
    """Plain text that came with STARTTLS is never taken for what TLS brought."""
    relay = start_relay(routes=ROUTES, certificate=certificate)
    with Dialogue(relay.port).hello() as client:
        client.send(b"STARTTLS\r\n" + injected)
        assert client.reply().status == "521 5.5.0"
        assert client.is_closed()
    relay.wait_log("session", closed="plain text behind STARTTLS")


def test_plain_text_instead_of_handshake(start_relay, certificate):
    relay = start_relay(routes=ROUTES, certificate=certificate)
    with Dialogue(relay.port).hello() as client:
        assert client.command("STARTTLS").code == 220
        client.send(b"NOOP\r\n" * 10)
        assert not [line for line in client.rest().splitlines() if line.startswith(b"250")]
    relay.wait_log("session", closed="TLS handshake failed")


def test_handshake_timeout(start_relay, certificate):
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate,
                        tls_handshake_timeout="200ms")
    with Dialogue(relay.port) as client:
        assert client.rest() == b""
    relay.wait_log("session", closed="TLS handshake timed out")
