"""Client certificates: who may relay by one, who may log in by one, what is not to be believed."""
import base64
import smtplib
import ssl
import subprocess

import pytest
from support import certificates, users
from support.content import HEADER, stuffed
from support.dialogue import Dialogue
from support.process import BIN
from support.relay import ANY_PORT

ROUTES = {"*": {"discard": True}}
V12, V13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
MAIL, RCPT = "MAIL FROM:<sender@client.test>", "RCPT TO:<to@example.test>"
NOT_HERE = "192.0.2.1"  # a network that no client of the tests comes from


def context_of(pair=None, version=None):
    """A client that shows this certificate and takes any."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    if version is not None:
        context.minimum_version = context.maximum_version = version
    if pair is not None:
        context.load_cert_chain(pair.certificate, pair.key)
    return context


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("clients")


@pytest.fixture(scope="module")
def authority(folder):
    return certificates.Authority(folder)


@pytest.fixture(scope="module")
def member(authority):
    return authority.issue("member", "DNS:web1.test", "email:Alice@client.test")


@pytest.fixture(scope="module")
def other(authority):
    return authority.issue("other", "DNS:*.test", "DNS:web11.test", "email:nobody@client.test")


@pytest.fixture(scope="module")
def alone(folder):
    """Self-signed, with the names of `member`."""
    return certificates.make(folder, "alone", "DNS:web1.test", "email:alice@client.test")


@pytest.fixture
def start_listener(start_relay, certificate):
    """start_listener(tls, relay keys, **listener keys)"""
    def start(tls="implicit", keys=None, **listener):
        listener = {"address": ANY_PORT, "tls": tls, "client_certificates": "ask", **listener}
        return start_relay(routes=ROUTES, certificate=certificate, relay_networks=[NOT_HERE],
                           listeners={"smtp": listener}, **(keys or {}))
    return start


def connect(relay, pair=None, version=None, **tls):
    """A session that has said EHLO, under TLS."""
    context = context_of(pair, version)
    if relay.sections["listener"]["smtp"]["tls"] == "implicit":
        return Dialogue(relay.port, context=context, **tls).hello()
    client = Dialogue(relay.port).hello()
    client.start_tls(context, **tls)
    assert client.command("EHLO client.test").code == 250
    return client


def relays(relay, pair=None, version=None, **tls):
    """Whether this client may relay."""
    with connect(relay, pair, version, **tls) as client:
        statuses = client.talk(MAIL, RCPT)
    assert statuses in (["250 2.1.0", "250 2.1.5"], ["250 2.1.0", "550 5.7.1"])
    return statuses[1] == "250 2.1.5"


def colons(fingerprint):
    kind, digits = fingerprint.split(":")
    return f"{kind.upper()}:" + ":".join(digits[i:i + 2].upper() for i in range(0, 64, 2))


# ---- relaying -----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [V12, V13])
@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_relay_by_fingerprint(tls, version, start_listener, alone, member):
    fingerprint = certificates.fingerprint(alone)
    relay = start_listener(tls, relay_certificates=[colons(fingerprint)])
    assert relays(relay, alone, version)
    assert not relays(relay, member, version)
    assert not relays(relay, None, version)
    (record,) = relay.wait_log("session", certificate=fingerprint)
    assert (record["certificate_name"], record["certificate_verified"]) == ("alone", "no")
    assert "certificate" not in relay.wait_log("session", 3)[-1]


@pytest.mark.parametrize("entry, members, others", [
    ("*", True, True), ("dns:WEB1.test", True, False), ("dns:web11.test", False, True),
    ("dns:web2.test", False, False), ("dns:test", False, False), ("dns:member", False, False),
])
def test_relay_by_authority(entry, members, others, start_listener, authority, member, other,
                            alone):
    """Names count only where the authority vouches for them; a wildcard in one names no host."""
    relay = start_listener(client_ca=authority.certificate, relay_certificates=[entry])
    assert relays(relay, member) == members
    assert relays(relay, other) == others
    assert not relays(relay, alone)
    assert not relays(relay)
    (refused,) = relay.wait_log("certificate-refused")
    assert refused["certificate"] == certificates.fingerprint(alone)
    assert refused["reason"] == "self-signed certificate"


def test_fingerprint_of_a_stranger(start_listener, authority, member, alone):
    """With client_ca a fingerprint alone does not do."""
    listed = [certificates.fingerprint(pair) for pair in (member, alone)]
    relay = start_listener(client_ca=authority.certificate, relay_certificates=listed)
    assert relays(relay, member)
    assert not relays(relay, alone)


def test_server_names(start_relay, certificate, authority, member, alone, tmp_path):
    """Another certificate of ours, chosen by name, asks for the same of the client."""
    ours = certificates.make(tmp_path, "ours", "DNS:mail.test")
    relay = start_relay(
        routes=ROUTES, certificate=certificate, relay_networks=[NOT_HERE],
        certificates={"mail.test": ours},
        listeners={"smtp": {"address": ANY_PORT, "tls": "implicit", "client_certificates": "ask",
                            "client_ca": authority.certificate, "relay_certificates": ["*"]}})
    for name in ("mail.test", "else.test"):
        for version in (V12, V13):
            assert relays(relay, member, version, server_name=name)
            assert not relays(relay, alone, version, server_name=name)


def test_not_for_clients(start_listener, authority):
    """Made for servers only, or expired: it does not count."""
    server = authority.issue("server", extensions=["extendedKeyUsage=serverAuth"])
    old = authority.issue("old", options=["-startdate", "20200101000000Z",
                                          "-enddate", "20200102000000Z"])
    relay = start_listener(client_ca=authority.certificate, relay_certificates=["*"])
    assert not relays(relay, server)
    assert not relays(relay, old)
    reasons = [record["reason"] for record in relay.wait_log("certificate-refused", 2)]
    assert reasons == ["unsuitable certificate purpose", "certificate has expired"]


def test_between_authorities(start_listener, authority):
    """What client_ca holds is trusted, be it a root or not; the client sends what is between."""
    inner = authority.issue("inner", extensions=["basicConstraints=critical,CA:true"])
    below = certificates.Authority(authority.folder, "below")
    below.pair.certificate.write_text(inner.certificate.read_text())
    below.pair.key.write_text(inner.key.read_text())
    leaf = below.issue("leaf")
    by_root = start_listener(client_ca=authority.certificate, relay_certificates=["*"])
    assert not relays(by_root, leaf)
    by_inner = start_listener(client_ca=inner.certificate, relay_certificates=["*"])
    assert relays(by_inner, leaf)
    leaf.certificate.write_text(leaf.certificate.read_text() + inner.certificate.read_text())
    assert relays(by_root, leaf)


def test_submission_needs_a_login(start_listener, authority, member):
    relay = start_listener(client_ca=authority.certificate, role="submission")
    with connect(relay, member) as client:
        assert client.command(MAIL).status == "530 5.7.0"


def test_xclient_forgets(start_listener, alone):
    """The certificate is the proxy's, not that of the client behind it."""
    relay = start_listener(keys={"xclient_networks": ["127.0.0.1"]},
                           relay_certificates=[certificates.fingerprint(alone)])
    for words in ("ADDR=198.51.100.1", "NAME=other.test"):
        with connect(relay, alone) as client:
            assert client.command(f"XCLIENT {words}").code == 220
            assert client.command("EHLO other.test").code == 250
            assert client.talk(MAIL, RCPT) == ["250 2.1.0", "550 5.7.1"]


def test_xclient_before_starttls(start_listener, alone):
    relay = start_listener("starttls", keys={"xclient_networks": ["127.0.0.1"]},
                           relay_certificates=[certificates.fingerprint(alone)])
    with Dialogue(relay.port).hello() as client:
        assert client.command("XCLIENT ADDR=198.51.100.1").code == 220
        assert client.command("EHLO other.test").code == 250
        client.start_tls(context_of(alone))
        assert client.command("EHLO other.test").code == 250
        assert client.talk(MAIL, RCPT) == ["250 2.1.0", "550 5.7.1"]


# ---- require ------------------------------------------------------------------------------------


@pytest.fixture
def accounts(tmp_path, alone):
    file = users.make(tmp_path / "users", {"alice@client.test": "wonderland", "bob": "builder"})
    users.edit(file, "allow", "bob", options=["--certificate", alone.certificate])
    return file


def test_require(start_listener, authority, member, alone, accounts):
    relay = start_listener("starttls", client_certificates="require", auth=True,
                           client_ca=authority.certificate, keys={"users_file": accounts})
    for pair in (None, alone):
        with connect(relay, pair) as client:
            assert not [line for line in client.command("EHLO client.test").lines
                        if line.startswith("AUTH")]
            assert client.talk("AUTH PLAIN", MAIL, "NOOP") == ["530 5.7.10"] * 2 + ["250 2.0.0"]
    with Dialogue(relay.port).hello() as client:
        reply = client.command(MAIL)
        assert (reply.status, reply.text) == ("530 5.7.10",
                                              "STARTTLS first, with a client certificate")
    with connect(relay, member) as client:
        assert "AUTH" in client.command("EHLO client.test").text
        assert client.command(MAIL).status == "250 2.1.0"


def test_require_any(start_listener, alone):
    """Without client_ca any certificate will do, for mail that may be taken from everybody."""
    relay = start_listener(client_certificates="require")
    assert not relays(relay, alone)
    with connect(relay) as client:
        assert client.command(MAIL).status == "530 5.7.10"


# ---- sessions that are resumed ------------------------------------------------------------------


@pytest.mark.parametrize("version", [V12, V13])
def test_no_resumption(version, start_relay, certificate, authority, member):
    """Where certificates are asked for there are no tickets, and those of others do not count."""
    plain = {"address": ANY_PORT, "tls": "implicit"}
    relay = start_relay(routes=ROUTES, certificate=certificate, relay_networks=[NOT_HERE],
                        listeners={"plain": plain,
                                   "smtp": {**plain, "client_certificates": "ask",
                                            "client_ca": authority.certificate,
                                            "relay_certificates": ["*"]}})
    context = context_of(member, version)
    with Dialogue(relay.ports["plain"], context=context).hello() as client:
        ticket = client.socket.session
        assert ticket.has_ticket
    with Dialogue(relay.port, context=context, session=ticket).hello() as client:
        assert not client.socket.session_reused
        assert client.talk(MAIL, RCPT) == ["250 2.1.0", "250 2.1.5"]
        client.command("NOOP")
        assert client.socket.session is None or not client.socket.session.has_ticket
    with Dialogue(relay.ports["plain"], context=context, session=ticket).hello() as client:
        assert client.socket.session_reused
        assert client.talk(MAIL, RCPT) == ["250 2.1.0", "550 5.7.1"]


# ---- reload -------------------------------------------------------------------------------------


def test_reload(start_listener, authority, member, other, alone):
    """Lists and authorities are those of the newest configuration; a session keeps its own."""
    relay = start_listener(client_ca=authority.certificate, relay_certificates=["dns:web1.test"])
    listener = relay.sections["listener"]["smtp"]
    with connect(relay, member) as under_way:
        listener["relay_certificates"] = ["dns:web11.test"]
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        assert [relays(relay, pair) for pair in (member, other, alone)] == [False, True, False]
        listener["client_ca"], listener["relay_certificates"] = alone.certificate, ["*"]
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        assert [relays(relay, pair) for pair in (member, other, alone)] == [False, False, True]
        assert under_way.talk(MAIL, RCPT) == ["250 2.1.0", "250 2.1.5"]
    # The port was the system's choice, and is now written down.
    assert {record["text"] for record in relay.log("reload-note")} <= {
        'listener "smtp": address needs a restart'}
    listener["client_ca"] = "/nonexistent"
    relay.write_conf()
    assert relay.reload()["event"] == "reload-refused"
    assert relays(relay, alone)


def test_listener_taken_away(start_listener, alone):
    """A listener that goes on until a restart gives nobody anything by certificate."""
    relay = start_listener(relay_certificates=[certificates.fingerprint(alone)])
    listeners = relay.sections["listener"]
    kept = listeners.pop("smtp")
    listeners["renamed"] = {**kept, "address": ANY_PORT}
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    listeners["smtp"] = kept
    with connect(relay, alone) as client:
        assert client.talk(MAIL, RCPT) == ["250 2.1.0", "451 4.3.5"]
    (record,) = relay.wait_log("session")
    assert "certificate" not in record


def test_revocation(start_listener, authority, tmp_path):
    kept, gone = authority.issue("kept"), authority.issue("gone")
    relay = start_listener(client_ca=authority.revoke(), relay_certificates=["*"])
    assert relays(relay, kept) and relays(relay, gone)
    authority.revoke(gone)
    assert relay.reload()["event"] == "reloaded"
    assert relays(relay, kept) and not relays(relay, gone)
    (refused,) = relay.wait_log("certificate-refused")
    assert refused["reason"] == "certificate revoked"


# ---- what a name may hold -----------------------------------------------------------------------

HOSTILE = {
    "crlf": "a\r\nX-Injected: yes",
    "quotes": 'a" verified)\\ ; by evil.test (b',
    "long": "x" * 64,
    "utf8": "b\u00fcro",
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_hostile_names(kind, start_relay, start_sink, certificate, authority):
    """A name in a certificate ends neither the comment that it stands in nor the field."""
    pair = authority.issue(f"hostile-{kind}", common_name=HOSTILE[kind])
    sink = start_sink()
    relay = start_relay(
        routes={"*": {"hosts": [f"[{sink.host}]:{sink.port}"], "tls": "none"}},
        certificate=certificate,
        listeners={"smtp": {"address": ANY_PORT, "tls": "implicit", "client_certificates": "ask",
                            "client_ca": authority.certificate, "relay_certificates": ["*"]}})
    with connect(relay, pair) as client:
        client.begin("to@example.test")
        assert client.data(stuffed(HEADER + b"\r\nbody\r\n")).code == 250
    (message,) = sink.wait(1)
    trace = message.content.partition(b"\r\nFrom:")[0]
    shown = "".join(c if c.isascii() and (c.isalnum() or c in " -_.@+=/:,*") else "?" * len(
        c.encode()) for c in HOSTILE[kind])
    assert f'\r\n\t(client certificate "{shown}" verified)\r\n\tfor <'.encode() in trace
    assert trace.startswith(b"Received: from ")
    assert all(line.startswith(b"\t") for line in trace.split(b"\r\n")[1:])
    (record,) = relay.wait_log("session")
    assert record["certificate_name"] == shown


def test_trace_of_what_is_not_verified(start_relay, start_sink, certificate, alone):
    """What a certificate says of itself is not written down as if it were known."""
    sink = start_sink()
    relay = start_relay(
        routes={"*": {"hosts": [f"[{sink.host}]:{sink.port}"], "tls": "none"}},
        certificate=certificate,
        listeners={"smtp": {"address": ANY_PORT, "tls": "implicit", "client_certificates": "ask",
                            "relay_certificates": [certificates.fingerprint(alone)]}})
    with connect(relay, alone) as client:
        client.begin("to@example.test")
        assert client.data(stuffed(HEADER + b"\r\nbody\r\n")).code == 250
    (message,) = sink.wait(1)
    assert b"client certificate" not in message.content


# ---- EXTERNAL -----------------------------------------------------------------------------------


@pytest.fixture
def start_submission(start_listener, accounts):
    def start(**listener):
        return start_listener(role="submission", keys={"users_file": accounts}, **listener)
    return start


def mechanisms(client):
    (line,) = [line for line in client.command("EHLO client.test").lines
               if line.startswith("AUTH ")]
    return line.split()[1:]


def b64(text):
    return base64.b64encode(text.encode()).decode() or "="


def test_external_by_fingerprint(start_submission, alone, member):
    relay = start_submission()
    with connect(relay, alone) as client:
        assert "EXTERNAL" in mechanisms(client)
        assert client.command("AUTH EXTERNAL =").status == "235 2.7.0"
        assert client.talk("MAIL FROM:<bob@relay.test>", RCPT) == ["250 2.1.0", "250 2.1.5"]
    (record,) = relay.wait_log("login")
    assert (record["user"], record["mechanism"]) == ("bob", "EXTERNAL")
    for pair in (member, None):
        with connect(relay, pair) as client:
            assert "EXTERNAL" not in mechanisms(client)
            assert client.command("AUTH EXTERNAL =").status == "504 5.5.4"


@pytest.mark.parametrize("identity, status", [
    ("", "235 2.7.0"), ("bob", "235 2.7.0"), ("BOB", "235 2.7.0"),
    ("alice@client.test", "535 5.7.8"), ("nobody", "535 5.7.8"), ("bo", "535 5.7.8"),
    ("bob\0", "535 5.7.8"),
])
def test_external_identity(identity, status, start_submission, alone):
    """RFC 4422 A: with the command, or as the answer to an empty challenge."""
    relay = start_submission()
    with connect(relay, alone) as client:
        assert client.command(f"AUTH EXTERNAL {b64(identity)}").status == status
    with connect(relay, alone) as client:
        reply = client.command("AUTH EXTERNAL")
        assert (reply.code, reply.text) == (334, "")
        assert client.command(b64(identity) if identity else "").status == status


def test_external_by_mailbox(start_submission, authority, member, other, alone):
    """The user that a verified rfc822Name names; never a name that nobody vouches for."""
    relay = start_submission(client_ca=authority.certificate)
    with connect(relay, member) as client:
        assert client.command("AUTH EXTERNAL =").status == "235 2.7.0"
        assert client.command("MAIL FROM:<alice@client.test>").status == "250 2.1.0"
    for pair in (other, alone):
        with connect(relay, pair) as client:
            assert "EXTERNAL" not in mechanisms(client)
    without = start_submission()
    with connect(without, member) as client:
        assert "EXTERNAL" not in mechanisms(client)


def test_external_of_a_user_who_goes(start_submission, alone, accounts):
    relay = start_submission()
    with connect(relay, alone) as client:
        assert "EXTERNAL" in mechanisms(client)
        users.edit(accounts, "remove", "bob")
        relay.wait_log("users-loaded")
        assert client.command("AUTH EXTERNAL =").status == "504 5.5.4"


def test_external_without_tls(start_listener, accounts):
    relay = start_listener("starttls", auth=True,
                           keys={"users_file": accounts, "auth_without_tls": True})
    with Dialogue(relay.port).hello() as client:
        assert "EXTERNAL" not in mechanisms(client)


def test_external_after_xclient(start_submission, alone):
    relay = start_submission()
    relay.keys["xclient_networks"] = ["127.0.0.1"]
    relay.write_conf()
    relay.reload()
    with connect(relay, alone) as client:
        assert client.command("XCLIENT NAME=other.test").code == 220
        assert "EXTERNAL" not in mechanisms(client)


def test_external_by_smtplib(start_submission, alone):
    relay = start_submission()
    with smtplib.SMTP_SSL("127.0.0.1", relay.port, context=context_of(alone)) as client:
        client.ehlo("client.test")
        client.user = ""
        assert client.auth("EXTERNAL", lambda challenge=None: "")[0] == 235
        assert client.sendmail("bob@relay.test", ["to@example.test"], HEADER + b"\r\nhi\r\n") == {}
    relay.wait_log("accepted")


def test_external_by_curl(start_submission, alone, tmp_path):
    relay = start_submission()
    (tmp_path / "mail").write_bytes(HEADER + b"\r\nhi\r\n")
    subprocess.run(
        ["curl", "-sS", "-k", f"smtps://127.0.0.1:{relay.port}/client.test", "--cert",
         alone.certificate, "--key", alone.key, "--login-options", "AUTH=EXTERNAL",
         "--user", "bob:", "--mail-from", "bob@relay.test", "--mail-rcpt", "to@example.test",
         "-T", tmp_path / "mail"], check=True, timeout=60)
    (record,) = relay.wait_log("login")
    assert (record["user"], record["mechanism"]) == ("bob", "EXTERNAL")
    relay.wait_log("accepted")


# ---- configuration ------------------------------------------------------------------------------


def test_authorities_that_cannot_be_read(start_listener, authority, tmp_path):
    relay = start_listener()
    none = tmp_path / "none.pem"
    none.write_text("nothing\n")
    for file, why in {"/nonexistent.pem": "No such file or directory",
                      none: "no certificate or crl found"}.items():
        relay.sections["listener"]["smtp"]["client_ca"] = file
        relay.write_conf()
        done = subprocess.run([BIN / "smarthopd", "-t", "-c", relay.conf_path], timeout=60,
                              capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert f"{file}: {why}" in done.stderr
