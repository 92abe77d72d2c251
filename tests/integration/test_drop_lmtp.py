"""LMTP into the drop: smtplib, word by word, aliases, folders, bounds, and other people's clients."""
import smtplib
import subprocess

import pytest
from support import content
from support.dialogue import Dialogue
from support.drop import ALICE, BOB, DOMAIN
from support.process import PATIENCE_S

MESSAGE = content.message(b"hello")
ALIASES = f"""\
team: {ALICE}, {BOB}
sales@{DOMAIN}: team      # an alias of an alias
far: x@elsewhere.test
@{DOMAIN}: {BOB}
"""


def greet(drop):
    client = Dialogue(drop.ports["lmtp"])
    assert client.reply().code == 220
    assert client.command("LHLO client.test").code == 250
    return client


def texts(drop, user=ALICE):
    client = drop.pop3(user)
    found = [b"".join(line + b"\r\n" for line in client.retr(number)[1])
             for number in range(1, client.stat()[0] + 1)]
    client.quit()
    return found


def statuses(client, count):
    return [client.reply().status for _ in range(count)]


def data(client, wire, recipients=1):
    """The statuses of the message's end."""
    assert client.command("DATA").code == 354
    client.send(wire)
    return statuses(client, recipients)


def test_smtplib(start_drop):
    drop = start_drop()
    with drop.lmtp() as client:
        for _ in range(3):
            refused = client.sendmail("from@client.test", [f"{ALICE}@{DOMAIN}", f"x@{DOMAIN}"],
                                      MESSAGE)
            assert refused[f"x@{DOMAIN}"][0] == 550
    assert len(texts(drop)) == 3


def test_a_local_socket(start_drop, tmp_path):
    drop = start_drop(lmtp=[str(tmp_path / "lmtp.sock")])
    with smtplib.LMTP(str(tmp_path / "lmtp.sock")) as client:
        assert client.sendmail("from@client.test", f"{ALICE}@{DOMAIN}", MESSAGE) == {}
    assert b" (local)\r\n" in texts(drop)[0]


@pytest.mark.parametrize("recipients", [1, 7])
def test_smtp_source(recipients, start_drop, tmp_path):
    """Postfix's client counts the replies; with too few or too many it would wait or fail."""
    (tmp_path / "aliases").write_text(f"@{DOMAIN}: {ALICE}\n")
    drop = start_drop(aliases=tmp_path / "aliases")
    subprocess.run(["smtp-source", "-L", "-m", "20", "-s", "3", "-r", str(recipients), "-f",
                    "a@b.test", "-t", f"x@{DOMAIN}", f"inet:127.0.0.1:{drop.ports['lmtp']}"],
                   check=True, capture_output=True, timeout=PATIENCE_S)
    assert len(texts(drop)) == 20


def test_extensions(start_drop):
    drop = start_drop(message_size_max="1MiB")
    with drop.lmtp() as client:
        client.ehlo()
        assert client.esmtp_features == {
            "pipelining": "", "size": "1048576", "8bitmime": "", "enhancedstatuscodes": "",
            "smtputf8": "", "chunking": ""}


def test_success_is_reported_by_who_hands_over(start_drop):
    """The drop sends nothing, and so does not take over the duty of RFC 3461."""
    drop = start_drop()
    with smtplib.SMTP("127.0.0.1", drop.relay.port) as client:
        client.sendmail(f"{BOB}@{DOMAIN}", f"{ALICE}@{DOMAIN}", MESSAGE,
                        rcpt_options=["NOTIFY=SUCCESS"])
    drop.relay.wait_empty()
    assert len(texts(drop)) == 1
    [report] = texts(drop, BOB)
    assert b"Action: relayed" in report or b"Action: delivered" in report


def test_utf8(start_drop, tmp_path):
    (tmp_path / "aliases").write_text(f"jörg: {ALICE}\n")
    drop = start_drop(aliases=tmp_path / "aliases")
    with greet(drop) as client:
        assert client.command("MAIL FROM:<ä@client.test> SMTPUTF8").status == "250 2.1.0"
        assert client.command(f"RCPT TO:<jörg@{DOMAIN}>").status == "250 2.1.5"
        assert data(client, content.stuffed(MESSAGE)) == ["250 2.0.0"]
    assert "Return-Path: <ä@client.test>\r\n".encode() in texts(drop)[0]


def test_chunks(start_drop):
    drop = start_drop()
    half = len(MESSAGE) // 2
    with greet(drop) as client:
        client.begin(f"{ALICE}@{DOMAIN}")
        client.send(b"BDAT %d\r\n%s" % (half, MESSAGE[:half]))
        assert client.reply().status == "250 2.0.0"
        client.send(b"BDAT %d LAST\r\n%s" % (len(MESSAGE) - half, MESSAGE[half:]))
        assert client.reply().status == "250 2.0.0"
    assert texts(drop)[0].endswith(MESSAGE)


def test_several_recipients_are_answered_in_turn(start_drop, tmp_path):
    (tmp_path / "aliases").write_text(ALIASES)
    drop = start_drop(aliases=tmp_path / "aliases")
    with greet(drop) as client:
        client.begin(f"{ALICE}@{DOMAIN}", f"sales@{DOMAIN}", f"anybody@{DOMAIN}")
        assert client.command(f"RCPT TO:<far@{DOMAIN}>").status == "550 5.1.6"
        assert client.command("RCPT TO:<x@elsewhere.test>").status == "550 5.1.2"
        assert data(client, content.stuffed(MESSAGE), 3) == ["250 2.0.0"] * 3
    assert [b"Delivered-To: alice@ours.test\r\n" in text for text in texts(drop)] == [True]
    assert [b"Delivered-To: sales@ours.test\r\n" in text for text in texts(drop, BOB)] == [True]


def test_folders_behind_the_separator(start_drop):
    drop = start_drop()
    client = drop.imap()
    client.create("Lists")
    drop.deliver(MESSAGE, f"{ALICE}+lists@{DOMAIN}")
    drop.deliver(MESSAGE, f"{ALICE}+elsewhere@{DOMAIN}")
    assert client.select("Lists")[1] == [b"1"]
    assert client.select("INBOX")[1] == [b"1"]
    client.logout()


def test_a_full_mailbox(start_drop, tmp_path):
    """An alias of several is taken as long as one of them has room."""
    (tmp_path / "aliases").write_text(ALIASES)
    drop = start_drop(quota_messages=1, aliases=tmp_path / "aliases")
    with greet(drop) as client:
        client.begin(f"{ALICE}@{DOMAIN}")
        assert data(client, content.stuffed(MESSAGE)) == ["250 2.0.0"]
        client.begin(f"team@{DOMAIN}")
        assert data(client, content.stuffed(MESSAGE)) == ["250 2.0.0"]
        assert client.command("MAIL FROM:<>").code == 250
        assert client.command(f"RCPT TO:<{ALICE}@{DOMAIN}>").status == "452 4.2.2"
        assert client.command(f"RCPT TO:<team@{DOMAIN}>").status == "452 4.2.2"


def test_a_full_mailbox_for_good(start_drop):
    drop = start_drop(quota_bytes="1KiB", quota_permanent=True)
    with greet(drop) as client:
        client.begin(f"{ALICE}@{DOMAIN}")
        assert data(client, content.stuffed(content.large(2000))) == ["552 5.2.2"]
        client.begin(f"{ALICE}@{DOMAIN}")
        assert data(client, content.stuffed(MESSAGE)) == ["250 2.0.0"]


def test_loops(start_drop):
    drop = start_drop(hops_max=10)
    with greet(drop) as client:
        client.begin(f"{ALICE}@{DOMAIN}", f"{BOB}@{DOMAIN}")
        again = b"Delivered-To: alice@ours.test\r\n" + MESSAGE
        assert data(client, content.stuffed(again), 2) == ["554 5.4.6", "250 2.0.0"]
        client.begin(f"{ALICE}@{DOMAIN}")
        assert data(client, content.stuffed(b"Received: x\r\n" * 11 + MESSAGE)) == ["554 5.4.6"]


def test_too_large(start_drop):
    drop = start_drop(message_size_max="100KiB")
    with greet(drop) as client:
        assert client.command("MAIL FROM:<> SIZE=102401").status == "552 5.3.4"
        client.begin(f"{ALICE}@{DOMAIN}")
        assert data(client, content.stuffed(content.large(200_000))) == ["552 5.3.4"]
        client.begin(f"{ALICE}@{DOMAIN}")
        assert data(client, content.stuffed(content.large(90_000))) == ["250 2.0.0"]
    assert len(texts(drop)) == 1


def test_no_message_hides_in_another(start_drop):
    drop = start_drop()
    with greet(drop) as client:
        for end in (b"\n.\n", b"\r\n.\n", b"\n.\r\n", b"\r.\r", b"\r\n.\r"):
            client.begin(f"{ALICE}@{DOMAIN}")
            hidden = b"MAIL FROM:<x@y.test>\r\nRCPT TO:<bob@ours.test>\r\nDATA\r\n"
            assert data(client, b"x\r\n" + end + hidden + b"\r\n.\r\n") == ["554 5.6.0"]
    assert texts(drop) == [] and texts(drop, BOB) == []


def test_a_client_that_goes(start_drop):
    """What has no end yet is not there; the next client finds all as it was."""
    drop = start_drop()
    client = greet(drop)
    client.begin(f"{ALICE}@{DOMAIN}")
    assert client.command("DATA").code == 354
    client.send(content.large(1_000_000))
    client.reset()
    drop.deliver(MESSAGE)
    assert len(texts(drop)) == 1


def test_many_messages_in_one_go(start_drop):
    """RFC 2920: the commands of the next message may come with the end of the one before."""
    drop = start_drop()
    count = 200
    chunk = b"BDAT %d LAST\r\n%s" % (len(MESSAGE), MESSAGE)
    one = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<alice@ours.test>\r\n" + chunk
    with greet(drop) as client:
        client.socket.settimeout(PATIENCE_S)
        client.send(one * count + b"QUIT\r\n")
        assert statuses(client, 3 * count) == ["250 2.1.0", "250 2.1.5", "250 2.0.0"] * count
        assert client.reply().status == "221 2.0.0"
    assert len(texts(drop)) == count
