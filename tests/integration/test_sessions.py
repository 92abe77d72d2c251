"""What an operator sees of sessions, and may do to them: list, end, trace, and the log's line."""
import base64
import json
import re
import socket

import pytest
from support import scram, users
from support.control import Control, Trace
from support.dialogue import Dialogue
from support.process import BIN, Process
from support.relay import ANY_PORT, to
from support.wait import wait_until

PASSWORD = "tr0ub4dor&3"
LOCAL = "127.0.0.0/8"
MANY = 400
COUNTED = {"state_ms", "ms", "bytes", "session"}


def encode(text):
    return base64.b64encode(text.encode()).decode()


@pytest.fixture
def relay(start_relay, sink, certificate, tmp_path):
    """Offers AUTH, and knows bob."""
    file = users.make(tmp_path / "users", {"bob": PASSWORD})
    listeners = {"smtp": {"address": ANY_PORT, "tls": "starttls", "auth": True},
                 "proxied": {"address": ANY_PORT, "proxy": True}}
    routes = {"*": to(sink), "no.test": {"reject": "5.7.1 no"}}
    return start_relay(routes=routes, listeners=listeners, certificate=certificate,
                       users_file=file, auth_without_tls=True, sender_must_match=False,
                       proxy_networks=[LOCAL], errors_max=100, commands_without_mail_max=1000000)


def sessions(relay):
    return json.loads(relay.ctl("sessions", "--json").stdout)


def one_session(relay):
    [found] = sessions(relay)
    return found


# ---- the list ----


def test_nobody(relay):
    assert sessions(relay) == []
    assert relay.ctl("sessions").stdout == b"No client is connected.\n"


def test_what_a_session_does(relay, trusting):
    with Dialogue(relay.port).hello() as client:
        found = one_session(relay)
        assert {key: value for key, value in found.items() if key not in COUNTED} == {
            "listener": "smtp", "client": "[127.0.0.1]", "hello": "client.test", "user": "",
            "state": "waiting for a command", "tls": "", "messages": 0, "recipients": 0,
            "errors": 0}
        assert found["bytes"] == len("EHLO client.test\r\n")
        client.start_tls(trusting, server_name="relay.test")
        assert client.command("EHLO client.test").code == 250
        assert client.command(f"AUTH PLAIN {encode(chr(0) + 'bob' + chr(0) + PASSWORD)}").code == 235
        client.begin("a@example.test", "b@example.test")
        assert client.command("RCPT TO:<").code == 501
        assert client.command("DATA").code == 354
        found = one_session(relay)
        assert (found["user"], found["state"], found["recipients"], found["errors"]) == \
            ("bob", "receiving data", 2, 1)
        assert found["tls"].startswith("TLSv1.")
        assert found["ms"] >= found["state_ms"]
        table = relay.ctl("sessions").stdout.decode()
        assert "receiving data" in table and " bob" in table and "[127.0.0.1]" in table


def test_the_client_behind_a_proxy(relay):
    with Dialogue(relay.ports["proxied"]) as client:
        wait_until(lambda: sessions(relay), "the session")
        assert one_session(relay)["state"] == "waiting for a PROXY header"
        client.send(b"PROXY TCP4 192.0.2.7 203.0.113.1 40000 25\r\n")
        assert client.reply().code == 220
        found = one_session(relay)
        assert (found["client"], found["listener"]) == ("[192.0.2.7]", "proxied")


def test_many(relay):
    """More than a page, on several workers: each is told once."""
    clients = [Dialogue(relay.port) for _ in range(MANY)]
    for client in clients:
        assert client.reply().code == 220
    found = [session["session"] for session in sessions(relay)]
    assert len(found) == len(set(found)) == MANY
    assert relay.ctl("sessions").stdout.count(b"\n") == MANY + 1
    for client in clients:
        client.socket.close()


# ---- ending ----


def test_ending_one(relay):
    with Dialogue(relay.port).hello() as first, Dialogue(relay.port) as second:
        assert second.reply().code == 220
        number = next(s["session"] for s in sessions(relay) if s["hello"] == "client.test")
        assert b"has been ended" in relay.ctl("session", "end", number).stdout
        assert first.reply().status == "421 4.3.2"
        assert first.is_closed()
        assert second.command("NOOP").code == 250
        again = relay.ctl("session", "end", number, check=False)
        assert (again.returncode, again.stderr) == (1, b"smarthopctl: there is no such session\n")
    relay.wait_log("session", closed="ended by the operator", sid=str(number))


@pytest.mark.parametrize("number", ["0", "-1", "x", "1x", str(1 << 63)])
def test_no_session(relay, number):
    assert relay.ctl("session", "end", "--", number, check=False).returncode == 2


# ---- tracing ----


def test_a_trace(relay, trusting):
    with Trace(relay, "127.0.0.1") as trace, Dialogue(relay.port).hello() as client:
        client.start_tls(trusting, server_name="relay.test")
        assert client.command("EHLO \xfc\x1b[2J.test").code == 501
        assert client.command("EHLO x.test").code == 250
        client.begin("to@example.test")
        assert client.data(b"Subject: hidden\r\n\r\nof no concern\r\n.\r\n").code == 250
        assert client.command("QUIT").code == 221
        texts = trace.until("* closed")
    assert texts[:3] == ['* connected to "smtp"', "S: 220 relay.test ESMTP Smarthop",
                         "C: EHLO client.test"]
    assert texts[-3:] == ["C: QUIT", "S: 221 2.0.0 Bye", "* closed: quit"]
    assert any(re.fullmatch(r"\* TLSv1\.\d \S+", text) for text in texts)
    assert r"C: EHLO \xc3\xbc\x1b[2J.test" in texts
    at = texts.index("C: DATA")
    assert texts[at + 2] == "C: ... 37 bytes of data"
    assert texts[at + 3].startswith("S: 250 2.0.0 OK queued as ")
    assert not [text for text in texts if "hidden" in text or "concern" in text]


def test_whom_a_trace_follows(relay):
    with Trace(relay, "192.0.2.0/24") as trace, Dialogue(relay.port).hello():
        for address in ("198.51.100.7", "192.0.2.7"):
            with Dialogue(relay.ports["proxied"]) as client:
                client.send(f"PROXY TCP4 {address} 203.0.113.1 40000 25\r\n".encode())
                assert client.reply().code == 220
                assert client.command(f"EHLO {address.replace('.', '-')}.test").code == 250
                assert client.command("QUIT").code == 221
        texts = trace.until("* closed")
    assert texts[0] == '* connected to "proxied"'
    assert [text for text in texts if "EHLO" in text] == ["C: EHLO 192-0-2-7.test"]


def test_a_session_under_way_joins(relay):
    with Dialogue(relay.port).hello() as client, Trace(relay, LOCAL) as trace:
        assert trace.until("*") == ["* under way: waiting for a command, 0 messages"]
        assert client.command("NOOP").code == 250
        assert trace.until("S:") == ["C: NOOP", "S: 250 2.0.0 OK"]


PLAIN = encode(f"\0bob\0{PASSWORD}")
WRONG = encode(f"\0bob\0{PASSWORD}x")
NAME, WORD = encode("bob"), encode(PASSWORD)


def log_in_plain(client):
    assert client.command(f"AUTH PLAIN {PLAIN}").code == 235


def log_in_when_asked(client):
    assert client.command("AUTH PLAIN").code == 334
    assert client.command(PLAIN).code == 235


def log_in_login(client):
    assert client.command("AUTH LOGIN").code == 334
    assert client.command(NAME).code == 334
    assert client.command(WORD).code == 235


def log_in_scram(client):
    assert scram.log_in(client, scram.Scram("bob", PASSWORD)) == "235 2.7.0"


def fail_to_log_in(client):
    assert client.command(f"AUTH PLAIN {WRONG}").code == 535
    assert client.command(f"auth LOGIN {NAME}").code == 334
    assert client.command("*").code == 501


def pipeline(client):
    client.send(f"AUTH LOGIN\r\n{NAME}\r\n{WORD}\r\nNOOP\r\n".encode())
    assert [client.reply().code for _ in range(4)] == [334, 334, 235, 250]


def pipeline_what_is_refused(client):
    """The responses then come as commands."""
    client.send(f"AUTH CRAM-MD5\r\n{NAME}\r\n{WORD}\r\nAUTH {WORD}\r\nAUHT PLAIN {PLAIN}\r\n".encode())
    assert {client.reply().code for _ in range(5)} <= {500, 504}


@pytest.mark.parametrize("log_in", [log_in_plain, log_in_when_asked, log_in_login, log_in_scram,
                                    fail_to_log_in, pipeline, pipeline_what_is_refused])
def test_what_a_trace_masks(relay, log_in):
    with Trace(relay, LOCAL) as trace, Dialogue(relay.port).hello() as client:
        trace.until("S: 250 ")
        log_in(client)
        assert client.command("QUIT").code == 221
        texts = trace.until("* closed")
    assert len([text for text in texts if "****" in text]) >= 1
    shown = re.compile(r"C: AUTH [A-Z0-9-]+( \*{4})?|C: (AUTH )?\*{4}|C: \*|S: 334 \*{4}|"
                       r"C: \*{4} \(\d+ bytes, not a command\)|C: (NOOP|QUIT)|S: [25]\d\d .*|"
                       r"\* closed: quit")
    assert [text for text in texts if not shown.fullmatch(text)] == []
    for secret in (PLAIN, WRONG, NAME, WORD, PASSWORD, "bob"):
        assert not [text for text in texts if secret in text]


def test_a_slow_reader_loses_lines(relay):
    """It is told how many; the session that it follows is not held up."""
    batches, batch = 50, 1000
    with Trace(relay, LOCAL) as trace, Dialogue(relay.port).hello() as client:
        trace.until("S: 250 ")
        for _ in range(batches):
            client.send(b"VRFY x\r\n" * batch)
            assert {client.reply().code for _ in range(batch)} == {252}
        told = []
        while len(told) + trace.lost < 2 * batches * batch:
            told += trace.piece()
        assert trace.lost > 0
        assert set(told) == {"C: VRFY x", "S: 252 2.5.0 Not verified; send mail and it will be tried"}
        assert client.command("NOOP").code == 250
        assert trace.until("S:") == ["C: NOOP", "S: 250 2.0.0 OK"]


def test_too_many_traces(relay):
    traces = [Trace(relay, LOCAL) for _ in range(8)]
    with Control(relay) as control:
        refused = control.ask("trace", network=LOCAL)
        assert not refused["ok"] and refused["error"].startswith("8 traces are under way")
        assert control.ask("ping") == {"ok": True}
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        for trace in traces:
            assert len(trace.until("S: 220")) == 2
    traces.pop().__exit__()
    wait_until(lambda: Control(relay).ask("trace", network=LOCAL)["ok"], "room for another")
    for trace in traces:
        trace.__exit__()


def test_trace_of_local_clients(start_relay):
    relay = start_relay(submission_socket="mail.sock")
    with Trace(relay, "local") as trace, Dialogue(relay.port).hello() as other:
        assert other.command("NOOP").code == 250
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(relay.folder / "mail.sock"))
            client.sendall(b"QUIT\r\n")
            while client.recv(512):
                pass
        assert trace.until("* closed") == [
            "* connected to a local socket", "S: 220 relay.test ESMTP Smarthop", "C: QUIT", "S: 221 2.0.0 Bye",
            "* closed: quit"]


@pytest.mark.parametrize("network", ["", "x", "127.0.0.1/33", "127.0.0.1/8", "::1/129"])
def test_no_network(relay, network):
    done = relay.ctl("trace", network, check=False)
    assert (done.returncode, done.stdout) == (1, b"")


def test_smarthopctl_traces_for_a_while(relay):
    done = relay.ctl("trace", LOCAL, "--for", "100ms")
    assert done.stdout == b"Following 127.0.0.0/8.\n"
    assert relay.ctl("trace", LOCAL, "--for", "soon", check=False).returncode == 2
    assert relay.ctl("sessions", "--for", "1s", check=False).returncode == 2


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "JSON"])
def test_smarthopctl_traces_until_the_daemon_stops(relay, tmp_path, options):
    trace = Process([BIN / "smarthopctl", "-c", relay.conf_path, "trace", LOCAL, *options],
                    tmp_path, "trace")

    def is_followed():
        with Dialogue(relay.port).hello() as client:
            assert client.command("QUIT").code == 221
        return "* closed: quit" in trace.out()

    wait_until(is_followed, "the trace")
    relay.stop()
    assert trace.wait() == 0
    if options:
        lines = [json.loads(line) for line in trace.out().splitlines()]
        assert {"C: QUIT", "C: EHLO client.test"} <= {line["text"] for line in lines}
        assert set(lines[0]) == {"time", "session", "client", "text"}
    else:
        assert re.search(r"^\d\d:\d\d:\d\d\.\d{3} \d+ \[127\.0\.0\.1\] C: QUIT$", trace.out(), re.M)


# ---- the log ----


def test_the_line_of_a_session(relay, trusting):
    with Dialogue(relay.port).hello() as client:
        client.start_tls(trusting, server_name="relay.test")
        assert client.command("EHLO client.test").code == 250
        log_in_plain(client)
        client.begin("a@example.test", "b@example.test")
        assert client.command("RCPT TO:").status == "501 5.5.4"
        assert client.command("RCPT TO:<x@no.test>").status == "550 5.7.1"
        assert client.data(b"Subject: x\r\n\r\n.\r\n").code == 250
        assert client.command("QUIT").code == 221
    [line] = relay.wait_log("session")
    for key in ("time", "level", "event", "sid", "ms", "cipher"):
        assert line.pop(key)
    assert line.pop("tls").startswith("TLSv1.")
    assert int(line.pop("bytes")) > 100
    assert line == {"listener": "smtp", "client": "[127.0.0.1]", "hello": "client.test",
                    "user": "bob", "mechanism": "PLAIN", "messages": "1", "recipients": "2",
                    "refused": "1", "errors": "2", "code": "550", "dsn": "5.7.1", "closed": "quit"}


def test_the_line_of_a_session_that_did_nothing(relay):
    with socket.create_connection(("127.0.0.1", relay.port)) as client:
        assert client.recv(512).startswith(b"220 ")
    [line] = relay.wait_log("session")
    assert list(line) == ["time", "level", "event", "sid", "listener", "client", "messages",
                          "recipients", "bytes", "ms", "closed"]



def refused(relay, count):
    """[(from, to, code, dsn)] of what was told, and the texts."""
    lines = relay.wait_log("refused", count)
    return ([(line["from"], line.get("to"), line["code"], line["dsn"]) for line in lines],
            [line["text"] for line in lines])


def test_who_was_refused(relay):
    with Dialogue(relay.port).hello() as client:
        assert client.talk("MAIL FROM:<a b@x.test>", "MAIL FROM:<a@x.test> SIZE=99999999999",
                           "MAIL FROM:<a@x.test>", "RCPT TO:<no@no.test>", "RCPT TO:<a..b@x.test>",
                           "RCPT TO:<c@x.test> FOO=1", "RCPT TO:<d@x.test>", "RCPT TO:<e@x.test>") == [
            "501 5.1.7", "552 5.3.4", "250 2.1.0", "550 5.7.1", "501 5.1.3", "555 5.5.4",
            "250 2.1.5", "250 2.1.5"]
        assert client.data(b"Subject: x\n.\r\n.\r\n").status == "554 5.6.0"
        assert client.talk("RSET", "MAIL FROM:<>", "RCPT TO:<no@no.test>")[2] == "550 5.7.1"
    told, texts = refused(relay, 7)
    assert told == [("FROM:<a b@x.test>", None, "501", "5.1.7"), ("a@x.test", None, "552", "5.3.4"),
                    ("a@x.test", "no@no.test", "550", "5.7.1"),
                    ("a@x.test", "TO:<a..b@x.test>", "501", "5.1.3"),
                    ("a@x.test", "c@x.test", "555", "5.5.4"), ("a@x.test", "d@x.test", "554", "5.6.0"),
                    ("", "no@no.test", "550", "5.7.1")]
    assert texts[2] == "no" and texts[5].startswith("Message refused: bare LF at byte 10;")


def test_refusals_of_a_user_by_chunks(relay):
    with Dialogue(relay.port).hello() as client:
        log_in_plain(client)
        client.begin("a@example.test")
        client.send(b"BDAT 2 LAST\r\nx\n")
        assert client.reply().status == "554 5.6.0"
    [line] = relay.wait_log("refused")
    assert (line["user"], line["to"], line["code"]) == ("bob", "a@example.test", "554")
