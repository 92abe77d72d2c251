"""Logging in, what it permits, and what happens to a message that a user submits."""
import re
import shutil
import smtplib
import ssl
from functools import partial
from pathlib import Path

import pytest
from support import content, users
from support.dialogue import Dialogue
from support.process import run
from support.relay import ANY_PORT, to
from support.scram import Scram, encode, log_in, tls_exporter

ALICE, PASSWORD = "alice@client.test", "wonder land"
MAIL = f"MAIL FROM:<{ALICE}>"
RCPT = "RCPT TO:<to@example.test>"
OK, SENDER_OK, RECIPIENT_OK, LOGGED_IN = "250 2.0.0", "250 2.1.0", "250 2.1.5", "235 2.7.0"
DENIED, LATER = "535 5.7.8", "454 4.7.0"
SAMPLE = content.message(b"hello")

LISTENERS = {
    "smtp": {"address": ANY_PORT, "tls": "starttls", "auth": True},
    "submission": {"address": ANY_PORT, "tls": "starttls", "role": "submission"},
    "submissions": {"address": ANY_PORT, "tls": "implicit", "role": "submission"},
}


def plain(user, password):
    return f"AUTH PLAIN {encode(f'{chr(0)}{user}{chr(0)}{password}')}"


GOOD = plain(ALICE, PASSWORD)


@pytest.fixture(scope="module")
def made_users(tmp_path_factory):
    file = users.make(tmp_path_factory.mktemp("users") / "users", {ALICE: PASSWORD, "bob": "b,ü="})
    users.allow(file, "bob", "@bob.test", "shared@client.test")
    return file


@pytest.fixture
def users_file(made_users, tmp_path):
    """This test's own."""
    return Path(shutil.copy(made_users, tmp_path))


@pytest.fixture
def start_submission(start_relay, users_file, certificate):
    """With all of LISTENERS; what is accepted is dropped. `start(**keys)`"""
    def start(**keys):
        return start_relay(**{"routes": {"*": {"discard": True}}, "listeners": LISTENERS,
                              "certificate": certificate, "users_file": users_file, **keys})
    return start


@pytest.fixture
def secured(trusting):
    """A session under TLS, behind EHLO. `secured(relay, client=...)`"""
    def start(relay, listener="submissions", context=trusting, **options):
        return Dialogue(relay.ports[listener], context=context, server_name="relay.test",
                        **options).hello()
    return start


# ---- other people's clients: each sends SAMPLE as ALICE by one mechanism ------------------------

def send_by_smtplib(relay, listener, mechanism, certificate, _):
    context = ssl.create_default_context(cafile=certificate.certificate)
    if listener == "submissions":
        client = smtplib.SMTP_SSL("localhost", relay.ports[listener], context=context)
    else:
        client = smtplib.SMTP("localhost", relay.ports[listener])
        client.starttls(context=context)
    with client:
        client.ehlo()
        client.user, client.password = ALICE, PASSWORD
        code, _ = client.auth(mechanism, getattr(client, f"auth_{mechanism.lower()}"))
        assert code == 235
        client.sendmail(ALICE, "to@example.test", SAMPLE)


def send_by_swaks(relay, listener, mechanism, certificate, file):
    run("swaks", "--server", "127.0.0.1", "--port", relay.ports[listener], "--from", ALICE, "--to",
        "to@example.test", "--data", f"@{file}", "--auth", mechanism, "--auth-user", ALICE,
        "--auth-password", PASSWORD, "-tlsc" if listener == "submissions" else "-tls",
        "--tls-verify", "--tls-ca-path", certificate.certificate)


def send_by_curl(relay, listener, mechanism, certificate, file):
    scheme = "smtps" if listener == "submissions" else "smtp"
    run("curl", "--silent", "--show-error", "--ipv4",
        f"{scheme}://localhost:{relay.ports[listener]}", "--ssl-reqd", "--cacert",
        certificate.certificate, "--mail-from", ALICE, "--mail-rcpt", "to@example.test",
        "--user", f"{ALICE}:{PASSWORD}", "--login-options", f"AUTH={mechanism}", "--upload-file",
        file, "--crlf")


def send_by_msmtp(relay, listener, mechanism, certificate, file):
    run("msmtp", "--file=/dev/null", "--host=localhost", "--source-ip=127.0.0.1", "--tls=on",
        f"--port={relay.ports[listener]}", f"--from={ALICE}", f"--auth={mechanism.lower()}",
        f"--user={ALICE}", f"--passwordeval=echo {PASSWORD}",
        f"--tls-starttls={'off' if listener == 'submissions' else 'on'}",
        f"--tls-trust-file={certificate.certificate}", "to@example.test", stdin=file.read_bytes())


CLIENTS = [(send, mechanism) for mechanism in ("PLAIN", "LOGIN")
           for send in (send_by_smtplib, send_by_swaks, send_by_curl, send_by_msmtp)]
CLIENTS.append((send_by_msmtp, "SCRAM-SHA-256"))


@pytest.mark.parametrize("listener", ["submission", "submissions"])
def test_clients(listener, start_submission, sink, certificate, tmp_path):
    relay = start_submission(routes={"*": to(sink)})
    file = tmp_path / "message"
    file.write_bytes(SAMPLE.replace(b"\r\n", b"\n"))
    for send, mechanism in CLIENTS:
        send(relay, listener, mechanism, certificate, file)
    assert [(record["user"], record["mechanism"]) for record in relay.log("login")] == [
        (ALICE, mechanism) for _, mechanism in CLIENTS]
    for message in sink.wait(len(CLIENTS)):
        received, rest = content.split_trace(message.content)
        assert received["protocol"] == b"ESMTPSA" and rest.startswith(SAMPLE)


# ---- SCRAM --------------------------------------------------------------------------------------

def tls_unique(socket):
    return socket.get_channel_binding("tls-unique")


def no_binding(_):
    return b""


def another_channel(_):
    return bytes(32)


TLS12, TLS13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
PLUS = "SCRAM-SHA-256-PLUS"
# (TLS, mechanism, GS2 header, where the channel's data is from, how it ends)
SCRAMS = [
    (TLS12, "SCRAM-SHA-256", "n,,", no_binding, LOGGED_IN),
    (TLS13, "SCRAM-SHA-256", "n,,", no_binding, LOGGED_IN),
    (TLS12, PLUS, "p=tls-unique,,", tls_unique, LOGGED_IN),
    (TLS13, PLUS, "p=tls-exporter,,", tls_exporter, LOGGED_IN),
    (TLS12, PLUS, "p=tls-unique,,", another_channel, DENIED),
    (TLS13, PLUS, "p=tls-exporter,,", another_channel, DENIED),
    (TLS13, PLUS, "p=tls-unique,,", tls_unique, DENIED),
    (TLS12, PLUS, "p=tls-exporter,,", another_channel, DENIED),
    (TLS13, PLUS, "n,,", no_binding, DENIED),
    # a client that could bind and was not told that the server can: a downgrade (RFC 5802 6)
    (TLS13, "SCRAM-SHA-256", "y,,", no_binding, DENIED),
]


def test_scram(start_submission, secured, certificate, tmp_path):
    relay = start_submission(errors_max=100)
    outcomes = []
    for number, (version, mechanism, header, binding, _) in enumerate(SCRAMS):
        context = ssl.create_default_context(cafile=certificate.certificate)
        context.minimum_version = context.maximum_version = version
        context.keylog_filename = str(tmp_path / f"keylog-{number}")
        with secured(relay, context=context, client=f"127.0.0.{number + 1}") as client:
            scram = Scram(ALICE, PASSWORD, header, binding(client.socket))
            outcomes.append(log_in(client, scram, mechanism))
    assert outcomes == [row[-1] for row in SCRAMS]


@pytest.mark.parametrize("user, password, status", [
    ("bob", "b,ü=", LOGGED_IN), ("BOB", "b,ü=", LOGGED_IN), ("bob", "wrong", DENIED),
    ("nobody", "b,ü=", DENIED)])
def test_scram_password(user, password, status, start_submission, secured):
    with secured(start_submission()) as client:
        assert log_in(client, Scram(user, password)) == status


# ---- the dialogue -------------------------------------------------------------------------------

# (name, the commands and the status of each one's reply), under TLS and behind EHLO
DIALOGUES = {
    "in order": [(MAIL, "530 5.7.0"), (GOOD, LOGGED_IN), (MAIL, SENDER_OK), (RCPT, RECIPIENT_OK)],
    "without an initial response": [
        ("AUTH PLAIN", "334"), (GOOD.split()[-1], LOGGED_IN)],
    "LOGIN": [("auth login", "334"), (encode(ALICE), "334"), (encode(PASSWORD), LOGGED_IN)],
    "LOGIN with the name at once": [
        (f"AUTH LOGIN {encode(ALICE)}", "334"), (encode(PASSWORD), LOGGED_IN)],
    "cancelled": [
        ("AUTH LOGIN", "334"), ("*", "501 5.7.0"), ("AUTH LOGIN", "334"), (encode(ALICE), "334"),
        ("*", "501 5.7.0"), ("AUTH SCRAM-SHA-256", "334"), ("*", "501 5.7.0"), (GOOD, LOGGED_IN)],
    "malformed": [
        ("AUTH PLAIN !", "501 5.5.2"), ("AUTH PLAIN YQ", "501 5.5.2"),
        ("AUTH PLAIN =", "501 5.5.2"), ("AUTH PLAIN", "334"), ("YQ=", "501 5.5.2"),
        ("AUTH PLAIN", "334"), ("=", "501 5.5.2"),
        ("AUTH PLAIN", "334"), ("", "501 5.5.2"), (f"AUTH PLAIN {encode(ALICE)}", "501 5.5.2"),
        (f"AUTH SCRAM-SHA-256 {encode('n,,r=a,n=b')}", "501 5.5.2"), (GOOD, LOGGED_IN)],
    "broken lines": [
        ("AUTH PLAIN", "334"), (b"YQ\0==", "500 5.5.2"), ("AUTH PLAIN", "334"),
        (b"YQ\r==", "500 5.5.2"), (GOOD, LOGGED_IN)],
    "too long": [
        ("AUTH PLAIN", "334"), ("A" * 12284, "501 5.5.2"), ("AUTH PLAIN", "334"),
        ("A" * 12288, "500 5.5.6"), ("AUTH PLAIN", "334"), ("A" * 100000, "500 5.5.6"),
        (GOOD, LOGGED_IN)],
    "mechanisms": [
        ("AUTH", "501 5.5.4"), ("AUTH CRAM-MD5", "504 5.5.4"), ("AUTH EXTERNAL =", "504 5.5.4"),
        (GOOD.replace("PLAIN", "plain"), LOGGED_IN)],
    "as somebody else": [
        (f"AUTH PLAIN {encode(chr(0).join(['bob', ALICE, PASSWORD]))}", DENIED),
        (f"AUTH PLAIN {encode(chr(0).join([ALICE, ALICE, PASSWORD]))}", LOGGED_IN)],
    "twice": [(GOOD, LOGGED_IN), (GOOD, "503 5.5.1"), ("EHLO client.test", "250"),
              (GOOD, "503 5.5.1"), (MAIL, SENDER_OK)],
    "needs EHLO": [("HELO client.test", "250"), (GOOD, "503 5.5.1")],
    "AUTH of MAIL": [(GOOD, LOGGED_IN), (MAIL + " AUTH=<>", SENDER_OK), ("RSET", OK),
                     (MAIL + f" AUTH={ALICE}", SENDER_OK)],
}


@pytest.mark.parametrize("dialogue", DIALOGUES.values(), ids=DIALOGUES)
def test_dialogue(dialogue, start_submission, secured):
    relay = start_submission(errors_max=1000)
    with secured(relay) as client:
        replies = client.talk(*(line for line, _ in dialogue))
    assert list(zip((line for line, _ in dialogue), replies)) == dialogue


def keywords(client):
    return client.command("EHLO client.test").lines


MECHANISMS = "AUTH PLAIN LOGIN SCRAM-SHA-256"


def test_before_tls(start_submission, trusting):
    relay = start_submission()
    with Dialogue(relay.ports["submission"]).hello() as client:
        assert not [word for word in keywords(client) if word.startswith("AUTH")]
        assert client.talk(GOOD, "AUTH LOGIN", MAIL) == ["538 5.7.11", "538 5.7.11", "530 5.7.0"]
        client.start_tls(trusting, server_name="relay.test")
        assert f"{MECHANISMS} SCRAM-SHA-256-PLUS" in keywords(client)
        assert client.talk(GOOD, MAIL) == [LOGGED_IN, SENDER_OK]


def test_auth_without_tls(start_submission):
    relay = start_submission(auth_without_tls=True)
    with Dialogue(relay.ports["submission"]).hello() as client:
        assert MECHANISMS in keywords(client)
        assert client.talk(f"AUTH {PLUS}", GOOD, "STARTTLS") == [
            "504 5.5.4", LOGGED_IN, "503 5.5.1"]


def test_starttls_forgets(start_submission, trusting):
    relay = start_submission()
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        client.start_tls(trusting, server_name="relay.test")
        assert client.talk(GOOD, RCPT, "EHLO client.test", RCPT, "DATA") == [
            "503 5.5.1", "503 5.5.1", "250", "503 5.5.1", "503 5.5.1"]


def test_auth_is_not_there(start_relay):
    relay = start_relay(routes={"*": {"discard": True}})
    with Dialogue(relay.port).hello() as client:
        assert client.command(GOOD).status == "502 5.5.1"


# ---- those who must not come in -----------------------------------------------------------------

def test_no_telling_who_exists(start_submission, secured):
    relay = start_submission()
    with secured(relay) as client:
        wrong, unknown, empty = [client.command(line) for line in (
            plain(ALICE, "wrong"), plain("nobody", PASSWORD), plain("bob", "x" * 600))]
    assert wrong.status == DENIED and wrong == unknown == empty
    assert [record["user"] for record in relay.wait_log("login-failed", 3)] == [
        ALICE, "nobody", "bob"]


def test_address_is_held_back(start_submission, secured):
    """Whoever it guesses at, for log-ins as well; others are not."""
    relay = start_submission(errors_max=1000)
    with secured(relay, client="127.0.0.2") as client:
        guesses = (client.command(plain(f"user{number}", "guess")) for number in range(100))
        denied = next(number for number, reply in enumerate(guesses) if reply.status == LATER)
        assert 5 <= denied <= 20
        assert client.command(GOOD).status == LATER
    with secured(relay) as client:
        assert client.command(GOOD).status == LOGGED_IN


@pytest.mark.parametrize("guess", [
    lambda client: client.command(plain("bob", "guess")).status,
    lambda client: log_in(client, Scram("bob", "guess"))], ids=["PLAIN", "SCRAM"])
def test_user_is_held_back(guess, start_submission, secured):
    """Guesses at one user from many addresses."""
    relay = start_submission()
    outcomes = []
    while LATER not in outcomes and len(outcomes) < 20:
        with secured(relay, client=f"127.0.1.{len(outcomes) + 1}") as client:
            outcomes.append(guess(client))
    assert len(outcomes) < 20 and set(outcomes[:-1]) == {DENIED}


def test_errors_end_the_session(start_submission, secured):
    with secured(start_submission(errors_max=3)) as client:
        assert client.talk(*[plain(ALICE, "wrong")] * 3) == [DENIED] * 3
        assert client.reply().status == "421 4.7.0" and client.is_closed()


def test_secrets_are_not_logged(start_submission, secured):
    relay = start_submission(log_level="debug", errors_max=100)
    with secured(relay) as client:
        client.talk(plain(ALICE, "wrong"), "AUTH LOGIN", encode(ALICE), encode("wrong"),
                    "AUTH PLAIN", encode("wrong"), f"AUTH PLAIN {PASSWORD}")
        assert log_in(client, Scram(ALICE, PASSWORD)) == LOGGED_IN
    with secured(relay) as client:
        assert client.command(GOOD).status == LOGGED_IN
    relay.stop()
    said = relay.log_text()
    for secret in (PASSWORD, "wrong", encode(PASSWORD), encode("wrong"), GOOD.split()[-1],
                   plain(ALICE, "wrong").split()[-1], "p="):
        assert secret not in re.sub(r"step=\S+", "", said)


# ---- what a log-in permits ----------------------------------------------------------------------

def test_stranger_may_relay(start_submission, sink):
    relay = start_submission(routes={"*": to(sink)}, relay_networks=["127.0.0.1/32"],
                             auth_without_tls=True)
    with Dialogue(relay.port, client="127.0.0.9").hello() as client:
        assert client.talk(MAIL, RCPT, GOOD, "RSET", GOOD, MAIL, RCPT) == [
            SENDER_OK, "550 5.7.1", "503 5.5.1", OK, LOGGED_IN, SENDER_OK, RECIPIENT_OK]
        assert client.data(content.stuffed(SAMPLE)).status == OK
    received, _ = content.split_trace(sink.wait(1)[0].content)
    assert (received["protocol"], received["client"]) == (b"ESMTPA", b"[127.0.0.9]")


# (user, password, sender, the status of MAIL)
SENDERS = [
    (ALICE, PASSWORD, ALICE, SENDER_OK), (ALICE, PASSWORD, "Alice@CLIENT.test", SENDER_OK),
    (ALICE, PASSWORD, "", SENDER_OK), (ALICE, PASSWORD, "other@client.test", "553 5.7.1"),
    (ALICE, PASSWORD, "alice@other.test", "553 5.7.1"),
    (ALICE, PASSWORD, f'"{ALICE}"@other.test', "553 5.7.1"),
    (ALICE, PASSWORD, "@client.test:alice@other.test", "553 5.7.1"),
    ("bob", "b,ü=", "bob@relay.test", SENDER_OK), ("bob", "b,ü=", "any@bob.test", SENDER_OK),
    ("bob", "b,ü=", "shared@client.test", SENDER_OK),
    ("bob", "b,ü=", "any@sub.bob.test", "553 5.7.1"), ("bob", "b,ü=", ALICE, "553 5.7.1"),
    ("bob", "b,ü=", "bob@client.test", "553 5.7.1"),
]


@pytest.mark.parametrize("bound", [True, False])
def test_sender(bound, start_submission, secured):
    relay = start_submission(sender_must_match=bound)
    outcomes = []
    for user, password, sender, _ in SENDERS:
        with secured(relay) as client:
            assert log_in(client, Scram(user, password)) == LOGGED_IN
            outcomes.append((user, sender, client.command(f"MAIL FROM:<{sender}>").status))
    assert outcomes == [(user, sender, status if bound else SENDER_OK)
                        for user, _, sender, status in SENDERS]


# ---- users come and go --------------------------------------------------------------------------

def outcome_of(secured, relay, user, password):
    with secured(relay) as client:
        return client.command(plain(user, password)).status


def test_users_file_changes(start_submission, secured, users_file):
    relay = start_submission()
    status = partial(outcome_of, secured, relay)
    steps = [("add", "carol", "old", {"old": LOGGED_IN}),
             ("passwd", "carol", "new", {"old": DENIED, "new": LOGGED_IN}),
             ("remove", "carol", None, {"new": DENIED})]
    for number, (action, name, password, outcomes) in enumerate(steps, 1):
        users.edit(users_file, action, name, password)
        relay.wait_log("users-loaded", number, timeout=4)
        assert {word: status(name, word) for word in outcomes} == outcomes


def test_broken_users_file(start_submission, secured, users_file):
    relay = start_submission()
    good = users_file.read_text()
    users_file.write_text("what is this\n")
    relay.wait_log("users-refused", timeout=4)
    assert outcome_of(secured, relay, ALICE, PASSWORD) == LOGGED_IN
    users_file.write_text("".join(line for line in good.splitlines(True) if "alice" not in line))
    relay.wait_log("users-loaded", timeout=4)
    assert outcome_of(secured, relay, ALICE, PASSWORD) == DENIED


# ---- the end of the daemon, and of the client, in the middle of it ------------------------------

def test_stop_while_a_response_is_awaited(start_submission, secured):
    relay = start_submission()
    with secured(relay) as client:
        assert client.command("AUTH LOGIN").code == 334
        relay.stop()
        assert client.reply().status == "421 4.3.2" and client.is_closed()


def test_client_leaves_while_its_password_is_checked(start_submission, secured):
    relay = start_submission()
    for _ in range(10):
        with secured(relay) as client:
            client.send(f"{plain(ALICE, 'wrong')}\r\n".encode())
    assert outcome_of(secured, relay, "bob", "b,ü=") in (LOGGED_IN, LATER)
    relay.stop()


# ---- missing fields (RFC 6409 8) ----------------------------------------------------------------

BODY = b"Subject: x\r\n\r\nhello\r\n"
# What may be there already, under which name it is missed.
FIELDS = {b"Date": b"date: Sat, 21 Nov 2026 20:00:00 +0000\r\n",
          b"Message-ID": b"MESSAGE-ID: <1@client.test>\r\n",
          b"From": b"From: Somebody <else@client.test>\r\n"}
PRESENT = [(), (b"Date",), (b"Message-ID",), (b"From",), (b"Date", b"Message-ID"), tuple(FIELDS)]


@pytest.mark.parametrize("sender", [ALICE, ""])
@pytest.mark.parametrize("present", PRESENT, ids=lambda names: b"+".join(names).decode() or "none")
def test_missing_fields(present, sender, start_submission, secured, sink):
    """They come between the Received field and what the user has sent."""
    relay = start_submission(routes={"*": to(sink)})
    sent = b"".join(FIELDS[name] for name in present) + BODY
    with secured(relay) as client:
        assert client.command(GOOD).status == LOGGED_IN
        client.begin("to@example.test", sender=sender)
        assert client.data(content.stuffed(sent)).status == OK
    received, rest = content.split_trace(sink.wait(1)[0].content)
    ours = {b"Date": b"Date: %s\r\n" % received["date"],
            b"Message-ID": b"Message-ID: <%s@relay.test>\r\n" % received["id"],
            b"From": b"From: <%s>\r\n" % sender.encode() if sender else b""}
    assert rest == b"".join(ours[name] for name in FIELDS if name not in present) + sent


@pytest.mark.parametrize("sent", [b" <boss@client.test>\r\nhello\r\n", b"hello\r\nyou\r\n", b"hello",
                                  b"\tx: y\r\nFrom: x\r\n\r\nhello\r\n"])
def test_text_without_a_header(start_submission, secured, sink, sent):
    """It does not become a part of the fields that were added: an empty line is between."""
    relay = start_submission(routes={"*": to(sink)})
    with secured(relay) as client:
        assert client.command(GOOD).status == LOGGED_IN
        client.begin("to@example.test", sender=ALICE)
        client.send(b"BDAT %d LAST\r\n" % len(sent) + sent)
        assert client.reply().status == OK
    _, rest = content.split_trace(sink.wait(1)[0].content)
    fields, _, text = rest.partition(b"\r\n\r\n")
    assert fields.endswith(b"\r\nFrom: <%s>" % ALICE.encode())
    assert text.removesuffix(b"\r\n") == sent.removesuffix(b"\r\n")


def test_relaying_adds_nothing(start_submission, sink):
    relay = start_submission(routes={"*": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.data(content.stuffed(BODY)).status == OK
    content.assert_relayed(sink.wait(1)[0].content, BODY)
