"""POP3 out of the drop: poplib, word by word, and other people's clients."""
import os
import poplib
import subprocess

import pytest
from support import content
from support.drop import ALICE, BOB, PASSWORDS
from support.process import PATIENCE_S
from support.scram import Scram, decode, encode, tls_exporter
from support.wait import wait_until

MESSAGE = content.message(b"hello", b".dot")


def deliver(drop, *bodies):
    for body in bodies:
        drop.deliver(content.message(body))


def text_of(client, number):
    return b"".join(line + b"\r\n" for line in client.retr(number)[1])


def uids(client):
    return [line.split()[1] for line in client.uidl()[1]]


def connect(drop, tls=True):
    """Not logged in."""
    if tls:
        return poplib.POP3_SSL("localhost", drop.ports["pop3s"], context=drop.trusting)
    return poplib.POP3("127.0.0.1", drop.ports["pop3"])


def refusal(action, *arguments):
    with pytest.raises(poplib.error_proto) as refused:
        action(*arguments)
    return refused.value.args[0].decode()


def return_to(drop):
    """Behind a client that went without a word: the server has to see that first."""
    def try_it():
        try:
            return drop.pop3()
        except poplib.error_proto as refused:
            assert b"[IN-USE]" in refused.args[0]
    return wait_until(try_it, "the mailbox to be free")


# ---- messages ---------------------------------------------------------------------------------

@pytest.mark.parametrize("name", content.CONTENTS)
def test_messages_come_as_they_went(name, start_drop):
    drop = start_drop()
    sent = content.CONTENTS[name]
    with drop.lmtp() as client:
        client.ehlo_or_helo_if_needed()
        for line, code in (("MAIL FROM:<from@client.test>", 250),
                           ("RCPT TO:<alice@ours.test>", 250), ("DATA", 354)):
            assert client.docmd(line)[0] == code
        client.send(content.stuffed(sent))
        assert client.getreply()[0] == 250
    poplib._MAXLINE, usual = 1 << 20, poplib._MAXLINE
    try:
        client = drop.pop3()
        size = client.stat()[1]
        arrived = text_of(client, 1)
        client.quit()
    finally:
        poplib._MAXLINE = usual
    assert arrived.endswith(sent) and len(arrived) == size
    trace = arrived.removesuffix(sent)
    assert trace.startswith(b"Return-Path: <from@client.test>\r\nDelivered-To: alice@ours.test\r\n")
    assert trace.count(b"\nReceived: ") == 1


def test_a_large_message(start_drop):
    drop = start_drop()
    sent = content.large(5_000_000)
    drop.deliver(sent)
    client = drop.pop3()
    assert text_of(client, 1).endswith(sent)
    top = b"".join(line + b"\r\n" for line in client.top(1, 3)[1])
    assert top.endswith(b"\r\n".join(sent.split(b"\r\n\r\n", 1)[1].split(b"\r\n")[:3]) + b"\r\n")
    client.quit()


def test_lists(start_drop):
    drop = start_drop()
    deliver(drop, b"one", b"two", b"three")
    client = drop.pop3()
    count, size = client.stat()
    sizes = [int(line.split()[1]) for line in client.list()[1]]
    assert (count, size) == (3, sum(sizes))
    assert client.list(2) == f"+OK 2 {sizes[1]}".encode()
    assert [len(text_of(client, number)) for number in (1, 2, 3)] == sizes
    assert "no such message" in refusal(client.retr, 4)
    client.quit()


def test_what_is_deleted_goes_with_quit_alone(start_drop):
    drop = start_drop()
    deliver(drop, b"one", b"two", b"three")
    client = drop.pop3()
    before = uids(client)
    client.dele(2)
    assert "no such message" in refusal(client.retr, 2)
    client.close()
    client = return_to(drop)
    assert uids(client) == before
    client.dele(1)
    client.rset()
    client.dele(2)
    client.quit()
    client = drop.pop3()
    assert uids(client) == [before[0], before[2]]
    assert text_of(client, 2).endswith(b"three\r\n")
    client.quit()


def test_names_of_messages_stay(start_drop):
    drop = start_drop()
    deliver(drop, b"one", b"two")
    client = drop.pop3()
    before = uids(client)
    client.dele(1)
    client.quit()
    drop.relay.restart()
    deliver(drop, b"three")
    client = drop.pop3()
    assert uids(client)[0] == before[1]
    assert len({*before, *uids(client)}) == 3
    client.quit()


def test_one_session_has_the_mailbox(start_drop):
    drop = start_drop(relay_keys={"workers": 2}, workers=2)
    deliver(drop, b"one")
    first = drop.pop3()
    assert refusal(drop.pop3).startswith("-ERR [IN-USE]")
    other = drop.pop3(BOB)
    other.quit()
    first.dele(1)
    first.quit()
    for _ in range(20):  # at once, and whichever thread takes it
        drop.pop3().quit()
    assert drop.pop3().stat() == (0, 0)


def test_everything_at_once(start_drop):
    drop = start_drop()
    deliver(drop, *(b"message %d" % number for number in range(50)))
    client = drop.pop3()
    wanted = [text_of(client, number) for number in range(1, 51)]
    commands = (b"RETR %d\r\nDELE %d\r\n" % (number, number) for number in range(1, 51))
    client.sock.sendall(b"".join(commands) + b"QUIT\r\n")
    for text in wanted:
        client._getresp()
        lines = []
        while (line := client._getline()[0]) != b".":
            lines.append(line[1:] if line.startswith(b"..") else line)
        assert b"".join(line + b"\r\n" for line in lines) == text
        assert client._getresp().startswith(b"+OK")
    assert client._getresp().startswith(b"+OK")
    client.close()
    assert drop.pop3().stat() == (0, 0)


# ---- logging in -------------------------------------------------------------------------------

def test_stls(start_drop):
    drop = start_drop()
    client = connect(drop, tls=False)
    assert "STLS" in client.capa()
    client.user(BOB)  # forgotten behind the handshake
    client.stls(drop.trusting)
    capabilities = client.capa()
    assert "STLS" not in capabilities
    assert {"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-256-PLUS"} <= set(capabilities["SASL"])
    assert "USER first" in refusal(client.pass_, PASSWORDS[BOB])
    client.user(ALICE)
    client.pass_(PASSWORDS[ALICE])
    assert "STLS" not in client.capa()
    client.quit()


def test_nothing_is_slipped_under_tls(start_drop):
    drop = start_drop()
    client = connect(drop, tls=False)
    client.sock.sendall(b"STLS\r\nUSER alice\r\n")
    assert client._getline()[0].startswith(b"-ERR")
    assert client.file.read() == b""


def test_capabilities_without_tls(start_drop):
    drop = start_drop()
    client = connect(drop, tls=False)
    capabilities = client.capa()
    assert {"TOP", "UIDL", "RESP-CODES", "AUTH-RESP-CODE", "PIPELINING", "UTF8",
            "LANG"} <= set(capabilities)
    assert "SCRAM-SHA-256-PLUS" not in capabilities["SASL"]
    assert client._shortcmd("UTF8").startswith(b"+OK")
    assert client._longcmd("LANG")[1][0].startswith(b"en ")
    client.quit()


def test_sasl_plain(start_drop):
    drop = start_drop()
    secret = encode(f"\0{ALICE}\0{PASSWORDS[ALICE]}")
    client = connect(drop)
    assert client._shortcmd(f"AUTH PLAIN {secret}").startswith(b"+OK")
    client.quit()
    client = connect(drop)
    assert client._shortcmd("AUTH PLAIN") == b"+ "
    assert client._shortcmd(secret).startswith(b"+OK")
    client.quit()
    client = connect(drop)
    assert client._shortcmd("AUTH PLAIN") == b"+ "
    assert "-ERR" in refusal(client._shortcmd, "*")
    assert "[AUTH]" in refusal(client._shortcmd, "AUTH PLAIN " + encode(f"\0{ALICE}\0wrong"))
    client.close()


@pytest.mark.parametrize("binding", ["none", "exporter"])
def test_scram(binding, start_drop, tmp_path):
    drop = start_drop()
    drop.trusting.keylog_filename = str(tmp_path / "keys")
    client = connect(drop)
    mechanism, scram = "SCRAM-SHA-256", Scram(ALICE, PASSWORDS[ALICE])
    if binding == "exporter":
        mechanism = "SCRAM-SHA-256-PLUS"
        scram = Scram(ALICE, PASSWORDS[ALICE], "p=tls-exporter,,", tls_exporter(client.sock))
    challenge = client._shortcmd(f"AUTH {mechanism} {encode(scram.first())}").decode()
    outcome = client._shortcmd(encode(scram.final(decode(challenge[2:])))).decode()
    scram.check(decode(outcome[2:]))
    assert client._shortcmd("").startswith(b"+OK")
    assert client.stat() == (0, 0)
    client.quit()


def test_wrong_passwords_are_held_back(start_drop):
    drop = start_drop()
    client = connect(drop)
    seen = set()
    for _ in range(20):
        client.user(ALICE)
        seen.add(refusal(client.pass_, "wrong").split()[1])
        if "[SYS/TEMP]" in seen:
            break
    assert seen == {"[AUTH]", "[SYS/TEMP]"}


# ---- other people's clients -------------------------------------------------------------------

def run(*arguments, **options):
    done = subprocess.run(arguments, capture_output=True, timeout=PATIENCE_S * 3, **options)
    return done.returncode, done.stdout, done.stderr


def count_of(drop):
    client = drop.pop3()
    count = client.stat()[0]
    client.quit()
    return count


def test_curl(start_drop, certificate):
    drop = start_drop()
    deliver(drop, b"one", b"two")
    port = drop.ports["pop3s"]
    base = ["curl", "-sS", "--cacert", certificate.certificate, "-u", f"{ALICE}:{PASSWORDS[ALICE]}"]
    code, out, errors = run(*base, f"pop3s://localhost:{port}/2")
    assert (code, errors) == (0, b"") and out.endswith(b"two\r\n")
    code, out, errors = run(*base, "--ssl-reqd", f"pop3://localhost:{drop.ports['pop3']}/")
    assert (code, errors) == (0, b"") and len(out.splitlines()) == 2


def test_fetchmail(start_drop, certificate, tmp_path):
    drop = start_drop()
    deliver(drop, b"one", b"two")
    conf = tmp_path / "fetchmailrc"
    conf.write_text(
        f'set idfile "{tmp_path}/ids"\nset pidfile "{tmp_path}/pid"\n'
        f'poll localhost protocol POP3 service {drop.ports["pop3s"]} uidl\n'
        f'user "{ALICE}" password "{PASSWORDS[ALICE]}" keep ssl '
        f'sslcertfile "{certificate.certificate}" mda "cat >> {tmp_path}/mail"\n')
    conf.chmod(0o600)
    environment = {**os.environ, "FETCHMAILHOME": str(tmp_path), "HOME": str(tmp_path)}
    code, _, errors = run("fetchmail", "-f", conf, "--nosyslog", env=environment)
    assert code == 0, errors
    mail = (tmp_path / "mail").read_bytes()
    assert mail.count(b"Delivered-To: ") == 2 and b"one" in mail and b"two" in mail
    assert run("fetchmail", "-f", conf, env=environment)[0] == 1  # nothing new
    code, _, errors = run("fetchmail", "-f", conf, "--nokeep", "--all", env=environment)
    assert code == 0, errors
    assert count_of(drop) == 0


def test_mpop(start_drop, certificate, tmp_path):
    drop = start_drop()
    deliver(drop, b"one", b"two")
    conf = tmp_path / "mpoprc"
    conf.write_text(
        f"account default\nhost localhost\nport {drop.ports['pop3s']}\ntls on\ntls_starttls off\n"
        f"tls_trust_file {certificate.certificate}\nauth scram-sha-256\nuser {ALICE}\n"
        f"password {PASSWORDS[ALICE]}\nkeep on\nuidls_file {tmp_path}/uidls\n"
        f"delivery mbox {tmp_path}/mail\n")
    conf.chmod(0o600)
    for _ in range(2):  # the second time there is nothing new
        code, _, errors = run("mpop", "-C", conf, "-Q")
        assert code == 0, errors
    assert (tmp_path / "mail").read_bytes().count(b"Delivered-To: ") == 2
    code, _, errors = run("mpop", "-C", conf, "-Q", "--keep=off", "--only-new=off")
    assert code == 0, errors
    assert count_of(drop) == 0
