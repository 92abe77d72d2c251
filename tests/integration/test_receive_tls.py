"""TLS on the receiving side: versions, tickets, names, renewal, and what must not leak across."""
import shutil
import ssl
import subprocess

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
    assert smtps_relay.wait_log("tls-failed")[0]["client"] == "[127.0.0.1]"


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


def test_renegotiation(start_relay, certificate):
    """A client that asks for it is told no (CVE-2011-1473)."""
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate)
    done = subprocess.run(["openssl", "s_client", "-tls1_2", "-connect", f"127.0.0.1:{relay.port}"],
                          input=b"R\n", timeout=60, capture_output=True, check=False)
    assert b"RENEGOTIATING" in done.stdout + done.stderr
    assert b"no renegotiation" in done.stderr
    assert b"Secure Renegotiation IS supported" in done.stdout
    assert b"Compression: NONE" in done.stdout


def test_min_version(start_relay, certificate):
    """Also after a reload, in either direction."""
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate,
                        tls_min_version="1.3")
    for floor in ("1.3", "1.2"):
        relay.keys["tls_min_version"] = floor
        relay.write_conf()
        relay.reload()
        Dialogue(relay.port, context=context_of(VERSIONS[1])).hello()
        if floor == "1.2":
            Dialogue(relay.port, context=context_of(VERSIONS[0])).hello()
            continue
        with pytest.raises(ssl.SSLError) as refused:
            Dialogue(relay.port, context=context_of(VERSIONS[0]))
        assert refused.value.reason == "TLSV1_ALERT_PROTOCOL_VERSION"


def test_ciphers(start_relay, certificate):
    chosen = {"tls_ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305",
              "tls_cipher_suites": "TLS_CHACHA20_POLY1305_SHA256"}
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate, **chosen)
    for version, name in zip(VERSIONS, chosen.values()):
        with Dialogue(relay.port, context=context_of(version)).hello() as client:
            assert client.socket.cipher()[0] == name


@pytest.mark.parametrize("key", ["tls_ciphers", "tls_cipher_suites"])
def test_ciphers_that_do_not_exist(key, start_relay, certificate):
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate)
    relay.keys[key] = "NONE-OF-THEM"
    relay.write_conf()
    assert relay.reload()["event"] == "reload-refused"
    (refused,) = relay.log("reload-refused")
    assert refused["text"] == f"{key}: no cipher match"


# ---- handshakes of one client -------------------------------------------------------------------


def limited(count):
    return {"limit_exempt_networks": ["127.0.0.2"], "client_handshakes_per_minute": count}


def test_too_many_handshakes(start_relay, certificate):
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate, **limited(3))
    context = context_of(VERSIONS[1])
    for _ in range(3):
        Dialogue(relay.port, context=context).hello()
    with Dialogue(relay.port) as client:
        assert client.rest() == b""  # closed before a handshake
    relay.wait_log("session", closed="too many TLS handshakes")
    for client in ("127.0.0.2", "127.0.0.3"):  # one that is exempt, and another one
        Dialogue(relay.port, client=client, context=context).hello()
    for _ in range(3):
        Dialogue(relay.port, client="127.0.0.2", context=context).hello()


def test_too_many_handshakes_by_starttls(start_relay, certificate):
    """Failed ones count, too; mail in plain text goes on."""
    relay = start_relay(routes=ROUTES, certificate=certificate, **limited(2))
    for _ in range(2):
        with Dialogue(relay.port).hello() as client:
            assert client.command("STARTTLS").code == 220
            client.send(b"no handshake\r\n")
            client.rest()
    with Dialogue(relay.port).hello() as client:
        assert client.command("STARTTLS").status == "454 4.7.0"
        client.begin("to@example.test")
        assert client.command("STARTTLS").status == "454 4.7.0"
        assert client.command("RCPT TO:<b@example.test>").status == "250 2.1.5"
    relay.keys["client_handshakes_per_minute"] = 0
    relay.write_conf()
    relay.reload()
    with Dialogue(relay.port).hello() as client:
        assert client.command("STARTTLS").code == 220


def test_too_many_handshakes_behind_a_proxy(start_relay, certificate):
    """They are counted for the client, not for its proxy."""
    relay = start_relay(routes=ROUTES, certificate=certificate, proxy_networks=["127.0.0.1"],
                        listeners={"smtp": {**SMTPS["smtp"], "proxy": True}}, **limited(1))

    def connect(address):
        client = Dialogue(relay.port)
        client.send(f"PROXY TCP4 {address} 192.0.2.9 1234 465\r\n".encode())
        client.secure(context_of(VERSIONS[1]))
        return client.hello()

    connect("192.0.2.1")
    connect("192.0.2.2")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        connect("192.0.2.1")
    relay.wait_log("session", closed="too many TLS handshakes", client="[192.0.2.1]")


def test_handshake_timeout(start_relay, certificate):
    relay = start_relay(routes=ROUTES, listeners=SMTPS, certificate=certificate,
                        tls_handshake_timeout="200ms")
    with Dialogue(relay.port) as client:
        assert client.rest() == b""
    relay.wait_log("session", closed="TLS handshake timed out")
