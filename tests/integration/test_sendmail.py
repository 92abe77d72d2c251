"""sendmail beside a scripted server on its socket: no daemon is needed."""
import os
import pwd
import re
import shutil
import subprocess

import pytest

from support.local_server import LocalServer
from support.process import BIN, PATIENCE_S, run
from support.relay import to

OK, USAGE, DATAERR, NOUSER, UNAVAILABLE, TEMPFAIL, PROTOCOL, NOPERM, CONFIG = (
    0, 64, 65, 67, 69, 75, 76, 77, 78)
USER = pwd.getpwuid(os.getuid()).pw_name
HEADER = b"From: a@b.test\nTo: c@d.test\nSubject: x\n"
MESSAGE = HEADER + b"\nhello\n"


class Site:
    """A folder with a configuration and room for the server's socket."""

    def __init__(self, folder):
        self.folder = folder
        self.socket = folder / "mail.sock"
        self.config = folder / "relay.conf"
        self.config.write_text('hostname = "host.test"\nsubmission_socket = "mail.sock"\n'
                               'listener main { address = "127.0.0.1:0" }\n')

    def run(self, *arguments, stdin=MESSAGE, program=BIN / "sendmail", env=None):
        command = [str(program), "-C", str(self.config), *arguments]
        return subprocess.run(command, input=stdin, capture_output=True, timeout=PATIENCE_S,
                              check=False, env=env)

    def submit(self, *arguments, stdin=MESSAGE, **server):
        """The transactions of one good run."""
        with LocalServer(self.socket, **server) as peer:
            done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout, done.stderr) == (OK, b"", b"")
        return peer.transactions

    def submit_one(self, *arguments, **options):
        [transaction] = self.submit(*arguments, **options)
        return transaction

    def fail(self, status, *arguments, stdin=MESSAGE, **server):
        """What is said, in one line, by a run that ends so."""
        with LocalServer(self.socket, **server) as peer:
            done = self.run(*arguments, stdin=stdin)
        assert (done.returncode, done.stdout, peer.transactions) == (status, b"", [])
        [line] = done.stderr.decode().splitlines()
        return line


@pytest.fixture
def site(tmp_path):
    return Site(tmp_path)


def crlf(text):
    return text.replace(b"\n", b"\r\n")


# ---- the envelope -----------------------------------------------------------------------------

def test_plain(site):
    got = site.submit_one("c@d.test")
    assert got.content == crlf(MESSAGE)
    assert got.mail == f"<{USER}@host.test> SIZE={len(got.content)}"
    assert got.rcpts == ["<c@d.test>"]


@pytest.mark.parametrize("arguments, sender", [
    (["-f", "me@x.test"], "<me@x.test>"), (["-fme@x.test"], "<me@x.test>"),
    (["-r", "me"], "<me@host.test>"), (["-f", "Me Too <me@x.test>"], "<me@x.test>"),
    (["-f", ""], "<>"), (["-f", "<>"], "<>"), (["-f", '"a b"@x.test'], '<"a b"@x.test>'),
])
def test_sender(site, arguments, sender):
    assert site.submit_one(*arguments, "c@d.test").mail.partition(" SIZE=")[0] == sender


def test_recipients_of_the_command_line(site):
    got = site.submit_one("b@x.test, Name <a@x.test>", "local", "--", "a@x.test")
    assert sorted(got.rcpts) == ["<a@x.test>", "<b@x.test>", "<local@host.test>"]


LISTS = {
    "plain": (b"a@x.test", ["a@x.test"]),
    "several": (b"a@x.test, b@x.test,,\n  c@x.test", ["a@x.test", "b@x.test", "c@x.test"]),
    "names": (b'A B <a@x.test>, "B, C" <b@x.test>, =?utf-8?q?=2C?= <c@x.test>',
              ["a@x.test", "b@x.test", "c@x.test"]),
    "comments": (b"a@x.test (A (nested), \\) b@x.test), (x) b (y) @ (z) x.test",
                 ["a@x.test", "b@x.test"]),
    "white space": (b"a . b @ x . test", ["a.b@x.test"]),
    "group": (b"Team: a@x.test, B <b@x.test>;, c@x.test", ["a@x.test", "b@x.test", "c@x.test"]),
    "empty group": (b"undisclosed-recipients:;, a@x.test", ["a@x.test"]),
    "source route": (b"<@r.test,@s.test:a@x.test>", ["a@x.test"]),
    "quoted": (b'"a, b" @x.test, "<"@x.test', ['"<"@x.test', '"a, b"@x.test']),
    "quoted group": (b'"a@b": a@x.test;', ["a@x.test"]),
    "semicolons": (b"a@x.test; b@x.test", ["a@x.test", "b@x.test"]),
    "literal": (b"a@[192.0.2.1], b@[IPv6:2001:db8::1]", ["a@[192.0.2.1]", "b@[IPv6:2001:db8::1]"]),
    "local": (b"root, Joe <joe>", ["joe@host.test", "root@host.test"]),
    "twice": (b"a@x.test, A <a@x.test>", ["a@x.test"]),
}


@pytest.mark.parametrize("value, expected", LISTS.values(), ids=LISTS)
def test_address_list(site, value, expected):
    got = site.submit_one("-t", stdin=b"To: " + value + b"\n\nx\n")
    assert [rcpt[1:-1] for rcpt in got.rcpts] == expected
    assert got.content == crlf(b"To: " + value + b"\n\nx\n")


@pytest.mark.parametrize("value", [
    b"Joe Doe", b"a@x.test b@x.test", b"<a@x.test", b"a@x.test>", b"<a@x.test> b", b'"a@x.test',
    b"(a@x.test", b"a@", b"@x.test", b"a@x..test", b"<>", b"a@[x", b"<a@x.test><b@x.test>",
    b"a@x.test:;", b"a\x00b@x.test"])
def test_bad_address_list(site, value):
    said = site.fail(DATAERR, "-t", stdin=b"To: good@x.test\nCc: " + value + b"\n\nx\n")
    assert said.startswith("sendmail: the Cc field holds something that is no address: ")


def test_header_recipients(site):
    header = b"To: a@x.test\nbcc : b@x.test,\n c@x.test\nSubject: x\nCC: d@x.test\n"
    got = site.submit_one("-ti", "e@x.test", stdin=header + b"\nBcc: body@x.test\n")
    assert [rcpt[1] for rcpt in got.rcpts] == list("abcde")
    assert got.content == crlf(b"To: a@x.test\nSubject: x\nCC: d@x.test\n\nBcc: body@x.test\n")


def test_resent(site):
    header = (b"Resent-From: me@x.test\nResent-To: a@x.test\nResent-Bcc: b@x.test\n"
              b"To: old@x.test\nBcc: secret@x.test\n")
    got = site.submit_one("-t", "c@x.test", stdin=header + b"\n")
    assert [rcpt[1] for rcpt in got.rcpts] == list("abc")
    assert got.content == crlf(
        b"Resent-From: me@x.test\nResent-To: a@x.test\nTo: old@x.test\n\n")


def test_bcc_stays_without_t(site):
    message = b"Bcc: b@x.test\n\nx\n"
    got = site.submit_one("a@x.test", stdin=message)
    assert got.content == crlf(message) and got.rcpts == ["<a@x.test>"]


def test_no_recipients(site):
    assert site.fail(USAGE) == "sendmail: no recipients; name them, or use -t"
    assert site.run("-t", stdin=b"Subject: x\n\n").returncode == DATAERR


# ---- the message ------------------------------------------------------------------------------

MESSAGES = {
    "CRLF": (b"A: b\r\n\r\nx\r\n", b"A: b\r\n\r\nx\r\n"),
    "no last line end": (b"A: b\n\nx", b"A: b\r\n\r\nx\r\n"),
    "header only": (b"A: b\n", b"A: b\r\n"),
    "nothing": (b"", b""),
    "no header": (b"hello\nyou: there\n", b"\r\nhello\r\nyou: there\r\n"),
    "no empty line": (b"A: b\nhello\n", b"A: b\r\n\r\nhello\r\n"),
    "empty line first": (b"\nA: b\n", b"\r\nA: b\r\n"),
    "mailbox line": (b"From me Sat Nov 21 20:00:00 2026\nA: b\n\nFrom x\n",
                     b"A: b\r\n\r\nFrom x\r\n"),
    "dots": (b"A: b\n\n..\n.x\nx.\n", b"A: b\r\n\r\n..\r\n.x\r\nx.\r\n"),
    "CR in the header": (b"A: b\rBcc: c\n\nx\n", b"A: b Bcc: c\r\n\r\nx\r\n"),
    "many CRs": (b"A: b\r\r\n\r\nx\r\r\r\n\ry\n", b"A: b\r\n\r\nx\r\n y\r\n"),
    "CR at the end": (b"A: b\n\nx\r", b"A: b\r\n\r\nx\r\n"),
    "NUL": (b"A: b\n\nx\0y\n", b"A: b\r\n\r\nx y\r\n"),
    "folded": (b"A: b\n c\n\td\n\nx\n", b"A: b\r\n c\r\n\td\r\n\r\nx\r\n"),
    "large": (b"A: b\n\n" + b".line\n" * 400000, b"A: b\r\n\r\n" + b".line\r\n" * 400000),
}


@pytest.mark.parametrize("message, sent", MESSAGES.values(), ids=MESSAGES)
def test_message(site, message, sent):
    got = site.submit_one("c@d.test", stdin=message)
    assert got.content == sent
    assert f" SIZE={len(sent)}" in got.mail


@pytest.mark.parametrize("message, without_i, with_i", [
    (b"A: b\n\nx\n.\ny\n", b"x\r\n", b"x\r\n.\r\ny\r\n"),
    (b"A: b\r\n\r\nx\r\n.\r\ny\r\n", b"x\r\n", b"x\r\n.\r\ny\r\n"),
    (b"A: b\n\nx\n.", b"x\r\n", b"x\r\n.\r\n"),
    (b"A: b\n\n. \n.\r.\n", b". \r\n. .\r\n", b". \r\n. .\r\n"),
])
def test_lone_dot(site, message, without_i, with_i):
    assert site.submit_one("c@d.test", stdin=message).content == b"A: b\r\n\r\n" + without_i
    for option in ("-i", "-oi"):
        site.socket.unlink()
        assert site.submit_one(option, "c@d.test", stdin=message).content == (
            b"A: b\r\n\r\n" + with_i)


@pytest.mark.parametrize("name, sent", [
    ("Joe Doe", b'"Joe Doe" <a@x.test>'),
    ('J. "Q" \\', b'"J. \\"Q\\" \\\\" <a@x.test>'),
    ("Ö z", b"=?utf-8?Q?=C3=96?=\r\n =?utf-8?Q?=20?=\r\n =?utf-8?Q?=7A?=\r\n <a@x.test>"),
])
def test_full_name(site, name, sent):
    got = site.submit_one("-F", name, "-f", "a@x.test", "c@d.test", stdin=b"A: b\n\nx\n")
    assert got.content == b"A: b\r\nFrom: " + sent + b"\r\n\r\nx\r\n"


def test_full_name_where_there_is_a_from(site):
    assert site.submit_one("-F", "Joe", "c@d.test").content == crlf(MESSAGE)


def test_header_field_too_long(site):
    message = b"To: c@d.test\nA: " + b"x" * (1 << 20) + b"\n\n"
    assert "longer than 1048576 bytes" in site.fail(DATAERR, "-t", stdin=message)


# ---- parameters -------------------------------------------------------------------------------

@pytest.mark.parametrize("arguments, mail, rcpt", [
    (["-N", "never"], "", " NOTIFY=never"),
    (["-N", "failure,delay", "-R", "hdrs", "-V", "a b+c"],
     " RET=hdrs ENVID=a+20b+2Bc", " NOTIFY=failure,delay"),
    (["-B", "7BIT"], " BODY=7BIT", ""), (["-B8BITMIME"], " BODY=8BITMIME", ""),
])
def test_parameters(site, arguments, mail, rcpt):
    got = site.submit_one(*arguments, "c@d.test")
    assert got.mail.partition(f" SIZE={len(got.content)}")[2] == mail
    assert got.rcpts == ["<c@d.test>" + rcpt]


def test_eight_bit(site):
    message = "A: b\n\nGrüße\n".encode()
    assert site.submit_one("c@d.test", stdin=message).mail.endswith(" BODY=8BITMIME")


def test_utf8_address(site):
    got = site.submit_one("jörg@d.test")
    assert got.mail.endswith(" SMTPUTF8") and got.rcpts == ["<jörg@d.test>"]


def test_what_is_not_offered_is_left_out(site):
    got = site.submit_one("-N", "never", "-R", "full", "-V", "x", "-B", "8BITMIME", "-f", "a@x.test",
                          "c@d.test", extensions=())
    assert (got.mail, got.rcpts) == ("<a@x.test>", ["<c@d.test>"])


@pytest.mark.parametrize("arguments", [
    ["-N", "always"], ["-N", "never,delay"], ["-R", "some"], ["-B", "BINARYMIME"], ["-V", ""],
    ["-V", "x" * 101], ["-V", "a\nb"], ["-bd"], ["-bx"], ["-Z"], ["-f"], ["-f", "a b"],
    ["-f", "a@x.test,b@x.test"], ["-F", "a\nb"], ["not an address"]])
def test_wrong_usage(site, arguments):
    with LocalServer(site.socket) as peer:
        done = site.run(*(arguments if arguments[-1] == "-f" else [*arguments, "c@d.test"]))
    assert done.returncode == USAGE and peer.commands == []
    assert len(done.stderr.splitlines()) == 1 and done.stderr.startswith(b"sendmail: ")


def test_options_that_mean_nothing_here(site):
    site.submit("-oem", "-odb", "-O", "DeliveryMode=b", "-em", "-m", "-n", "-U", "-G", "-h", "3",
                "-p", "ESMTP", "-L", "tag", "-X", "log", "-Am", "-d0", "-bm", "c@d.test")


def test_verbose(site):
    with LocalServer(site.socket):
        done = site.run("-v", "c@d.test")
    lines = done.stderr.decode().splitlines()
    assert done.returncode == OK and done.stdout == b""
    assert lines[0] == "<<< 220 relay.test ESMTP" and lines[-1] == "<<< 250 queued"
    assert ">>> RCPT TO:<c@d.test>" in lines


# ---- refusals ---------------------------------------------------------------------------------

REFUSALS = [
    ("CONNECT", "421 4.3.2 later", TEMPFAIL), ("CONNECT", "554 no", UNAVAILABLE),
    ("CONNECT", "", TEMPFAIL), ("CONNECT", "hello", PROTOCOL), ("EHLO", "502 no", UNAVAILABLE),
    ("MAIL", "451 4.3.0 later", TEMPFAIL), ("MAIL", "552 5.3.4 too large", DATAERR),
    ("MAIL", "530 5.7.0 log in", NOPERM), ("MAIL", "553 5.1.7 bad", NOUSER),
    ("MAIL", "354 what", PROTOCOL), ("MAIL", "", TEMPFAIL),
    ("RCPT", "550 5.1.1 unknown", NOUSER), ("RCPT", "550 unknown", NOUSER),
    ("RCPT", "550 5.7.1 no", NOPERM), ("RCPT", "452 4.5.3 too many", TEMPFAIL),
    ("DATA", "451 later", TEMPFAIL), ("DATA", "250 what", PROTOCOL),
    ("END", "554 5.6.0 bad", DATAERR), ("END", "452 4.3.1 full", TEMPFAIL), ("END", "", TEMPFAIL),
    ("END", "554 no", UNAVAILABLE),
]


@pytest.mark.parametrize("command, reply, status", REFUSALS)
def test_refusal(site, command, reply, status):
    said = site.fail(status, "c@d.test", replies={command: reply})
    assert said.startswith("sendmail: ")
    if reply and status != PROTOCOL:
        assert said.endswith(reply)
    if command == "RCPT":
        assert "c@d.test" in said


def test_nobody_gets_it_where_one_is_refused(site):
    said = site.fail(NOUSER, "a@x.test", "b@x.test", replies={"RCPT TO:<b": "550 5.1.1 unknown"})
    assert said == "sendmail: b@x.test: 550 5.1.1 unknown"


def test_refusal_cannot_steer_a_terminal(site):
    assert "\x1b" not in site.fail(NOUSER, "c@d.test", replies={"MAIL": "550 5.1.0 \x1b[2J"})


def test_more_recipients_than_one_transaction_takes(site):
    recipients = [f"r{number:02}@x.test" for number in range(10)]
    answers = (["250 ok"] * 4 + ["452 4.5.3 too many"]) * 2 + ["250 ok"] * 2
    got = site.submit(*recipients, replies={"RCPT": answers})
    assert [len(transaction.rcpts) for transaction in got] == [4, 4, 2]
    assert sum((transaction.rcpts for transaction in got), []) == [f"<{r}>" for r in recipients]


def test_refusal_after_a_first_transaction(site):
    answers = ["250 ok", "452 4.5.3 too many", "550 5.1.1 unknown"]
    with LocalServer(site.socket, replies={"RCPT": answers}) as peer:
        done = site.run("a@x.test", "b@x.test")
    assert done.returncode == NOUSER and len(peer.transactions) == 1
    assert done.stderr.decode().splitlines() == [
        "sendmail: b@x.test: 550 5.1.1 unknown",
        "sendmail: the message has been taken for 1 of 2 recipients, up to a@x.test"]


def test_server_down(site):
    done = site.run("c@d.test")
    assert done.returncode == TEMPFAIL
    assert done.stderr.decode() == (f"sendmail: the mail server cannot be reached at {site.socket}: "
                                    "No such file or directory\n")


def test_bad_configuration(site):
    site.config.write_text("nonsense = 1\n")
    done = site.run("c@d.test")
    assert done.returncode == CONFIG and len(done.stderr.splitlines()) == 1


# ---- the other modes --------------------------------------------------------------------------

def test_dialogue(site):
    commands = b"EHLO me\r\nMAIL FROM:<a@x.test>\r\nRCPT TO:<b@x.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"
    with LocalServer(site.socket) as peer:
        done = site.run("-bs", stdin=commands)
    replies = [line[:3] for line in done.stdout.splitlines() if line[3:4] == b" "]
    assert (done.returncode, done.stderr) == (OK, b"")
    assert replies == [b"220", b"250", b"250", b"250", b"354", b"250", b"221"]
    assert peer.transactions[0].content == b"x\r\n"


def test_long_dialogue(site):
    with LocalServer(site.socket) as peer:
        done = site.run("-bs", stdin=b"NOOP\r\n" * 100000)
    assert done.returncode == OK and len(peer.commands) == 100000
    assert done.stdout.count(b"250 2.0.0 ok\r\n") == 100000


def test_dialogue_without_a_server(site):
    done = site.run("-bs", stdin=b"")
    assert done.returncode == TEMPFAIL and done.stdout.startswith(b"421 4.3.2 ")


@pytest.fixture
def programs(site):
    """sendmail under its names, beside a smarthopctl that shows its arguments."""
    shutil.copy(BIN / "sendmail", site.folder)
    for name in ("mailq", "newaliases"):
        (site.folder / name).symlink_to("sendmail")
    control = site.folder / "smarthopctl"
    control.write_text('#!/bin/sh\necho "$@"\nexit 3\n')
    control.chmod(0o755)
    return site.folder


@pytest.mark.parametrize("program, arguments, expected", [
    ("sendmail", ["-bp"], "queue list --format=mailq"), ("mailq", [], "queue list --format=mailq"),
    ("sendmail", ["-q"], "queue retry --all"), ("sendmail", ["-q30m"], "queue retry --all"),
])
def test_queue(site, programs, program, arguments, expected):
    done = site.run(*arguments, program=programs / program)
    assert done.stdout.decode() == f"-c {site.config} {expected}\n"
    assert done.returncode == 3


@pytest.mark.parametrize("program, arguments", [
    ("newaliases", []), ("sendmail", ["-bi"]), ("sendmail", ["-I"])])
def test_aliases(site, programs, program, arguments):
    done = site.run(*arguments, program=programs / program)
    assert (done.returncode, done.stdout, done.stderr) == (OK, b"", b"")


def test_queue_without_smarthopctl(site, programs):
    (programs / "smarthopctl").unlink()
    done = site.run("-bp", program=programs / "sendmail", env={"PATH": "/nowhere"})
    assert done.returncode == UNAVAILABLE


# ---- the daemon -------------------------------------------------------------------------------

def test_daemon(start_relay, sink):
    """From -t to the next hop, by the daemon's own socket, with the fields that were missing."""
    relay = start_relay(routes={"*": to(sink)}, submission_socket="mail.sock",
                        relay_networks=["192.0.2.0/24"])
    sent = b"To: c@d.test\nBcc: e@d.test\nSubject: x\n\n.\nhello\n"
    run(BIN / "sendmail", "-C", relay.conf_path, "-t", "-i", "-f", "a@b.test", stdin=sent)
    [message] = sink.wait(1)
    assert (message.sender, message.recipients) == ("a@b.test", ["c@d.test", "e@d.test"])
    header, _, body = message.content.partition(b"\r\n\r\n")
    assert body == b".\r\nhello\r\n"
    assert header.startswith(b"Received: from relay.test (local)\r\n\tby relay.test with ESMTP id ")
    for name in (b"Date", b"Message-ID", b"From", b"To", b"Subject"):
        assert header.count(b"\r\n%s: " % name) == 1
    assert b"Bcc" not in header
    relay.stop()
    assert not (relay.folder / "mail.sock").exists()


# ---- -bs, written without waiting for a reply -------------------------------------------------

FIELDS = b"Date: now\r\nMessage-ID: <1@b.test>\r\nFrom: a\r\n\r\n"
ENVELOPE = b"MAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\n"
CHUNK = FIELDS + b"DATA\r\nMAIL\r\n.\r\n"
SCRIPT = b"".join([
    b"EHLO me\r\n",
    ENVELOPE, b"DATA\r\n", FIELDS, b"MAIL\r\n..\r\nDATA\r\n.\r\n",
    ENVELOPE, b"BDAT %d\r\n" % len(CHUNK), CHUNK, b"BDAT 0 LAST\r\n",
    b"MAIL FROM:<a@b.test>\r\nDATA\r\n", b"RCPT TO:<c@d.test>\r\n",
    b"data \r\n", FIELDS, b"three\r\n.\r\n",
    b"QUIT\r\n"])
CODES = ["220", "250", "250", "250", "354", "250", "250", "250", "250", "250",
         "250", "554", "250", "354", "250", "221"]
BODIES = {FIELDS + b"MAIL\r\n.\r\nDATA\r\n", CHUNK, FIELDS + b"three\r\n"}


def speak(relay, script, size):
    """The codes that a script gets which is written in pieces of this size."""
    with subprocess.Popen([str(BIN / "sendmail"), "-C", str(relay.conf_path), "-bs"], bufsize=0,
                          stdin=subprocess.PIPE, stdout=subprocess.PIPE) as program:
        for at in range(0, len(script), size):
            program.stdin.write(script[at:at + size])
        replies = program.stdout.read()
    assert program.returncode == OK
    return [line[:3].decode() for line in replies.splitlines() if line[3:4] == b" "]


def bodies(messages):
    return {re.sub(rb"\AReceived:[^\n]*\n(?:\t[^\n]*\n)*", b"", message.content)
            for message in messages}


@pytest.mark.parametrize("size", [1, 7, len(SCRIPT)])
def test_whole_dialogue(start_relay, sink, size):
    """What is behind a DATA is not the server's to see before its 354."""
    relay = start_relay(routes={"*": to(sink)}, submission_socket="mail.sock")
    assert speak(relay, SCRIPT, size) == CODES
    assert bodies(sink.wait(3)) == BODIES


def test_whole_dialogue_of_unix_lines(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, submission_socket="mail.sock")
    script = b"EHLO me\r\n" + ENVELOPE + b"DATA\r\n" + FIELDS + b"..\r\nMAIL\r\n.\r\nQUIT\r\n"
    codes = speak(relay, script.replace(b"\r", b""), len(script))
    assert codes == ["220", "250", "250", "250", "354", "250", "221"]
    assert bodies(sink.wait(1)) == {FIELDS + b".\r\nMAIL\r\n"}


def test_whole_dialogue_of_mixed_lines(start_relay):
    """One that begins with CRLF has no other line ends: what ends by LF is not mended."""
    relay = start_relay(submission_socket="mail.sock")
    script = b"EHLO me\r\n" + ENVELOPE + b"DATA\r\n" + FIELDS + b"a\n.\nMAIL\r\n.\r\nQUIT\r\n"
    assert speak(relay, script, len(script)) == ["220", "250", "250", "250", "354", "554", "221"]
