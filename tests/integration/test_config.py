"""The configuration file, and the signals that the daemon knows."""
import os
import shutil
import signal
import socket

import pytest
from support import certificates, content
from support.dialogue import Dialogue, submit
from support.process import BIN, Process, run
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")
LISTENER = 'listener "smtp" { address = "127.0.0.1:0" }\n'
DISCARD = {"*": {"discard": True}}


def check(folder, text):
    """smarthopd -t on this file: (exit code, what it prints, what it complains of)"""
    file = folder / "relay.conf"
    if text is not None:
        file.write_text(text)
    done = run(BIN / "smarthopd", "-t", "-c", file, check=False)
    return (done.returncode, done.stdout.decode().replace(f"{folder}/", ""),
            done.stderr.decode().replace(f"{folder}/", ""))


def test_correct(tmp_path):
    assert check(tmp_path, LISTENER) == (0, "relay.conf: correct\n", "")


# (the file, how each line of the complaint begins)
WRONG = {
    "no file": (None, ["relay.conf: "]),
    "no listener": ("", ["relay.conf: "]),
    "unknown key": (LISTENER + "retry_frist = 5m\n",
                    ["relay.conf:2: unknown key retry_frist; the nearest known one is retry_"]),
    "bad value": (LISTENER + "\nretry_first = soon\n", ["relay.conf:3: retry_first: "]),
    "out of range": (LISTENER + "recipients_max = 99\n", ["relay.conf:2: recipients_max: "]),
    "all at once": ("hops_max = 0\n" + LISTENER + "workers = x\nsizes = 1\n",
                    ["relay.conf:1: hops_max: ", "relay.conf:3: workers: ",
                     "relay.conf:4: unknown key sizes"]),
    "TLS without a certificate": (
        'listener "smtp" {\n address = "127.0.0.1:0"\n tls = starttls\n}\n',
        ['relay.conf:1: listener "smtp" has TLS']),
    "certificate without its key": (LISTENER + 'tls_certificate = "cert.pem"\n',
                                    ["relay.conf:2: tls_certificate and tls_key go together"]),
    "certificate that is not there": (
        LISTENER + 'tls_certificate = "none.pem"\ntls_key = "none.key"\n',
        ["smarthopd: none.pem: "]),
    "key with a pass phrase": (
        LISTENER + 'tls_certificate = "cert.pem"\ntls_key = "locked.key"\n',
        ["smarthopd: locked.key: the key has a pass phrase"]),
    "user that is not there": (LISTENER + 'user = "no-such-user"\n',
                               ['smarthopd: user "no-such-user": ']),
    "each file that is not there": (
        LISTENER + 'users_file = u\nrecipients_file = r\nresponse_rules = s\n',
        ["u: open file: No such file", "r: open file: No such file", "s: open file: No such file"]),
    "include that is not there": (LISTENER + 'include("none.conf")\n', ["relay.conf:2: "]),
    "two answers in a route": (LISTENER + 'route "*" {\n discard = yes\n use_mx = yes\n}\n',
                               ["relay.conf:3: use_mx and discard exclude each other"]),
}


@pytest.fixture(scope="module", name="locked_key")
def make_locked_key(tmp_path_factory):
    """cert.pem, and a key that only who knows its pass phrase can read: locked.key"""
    folder = tmp_path_factory.mktemp("locked")
    pair = certificates.make(folder, "cert", "DNS:relay.test")
    locked = folder / "locked.key"
    run("openssl", "pkey", "-in", pair.key, "-out", locked, "-aes128", "-passout", "pass:secret")
    return certificates.Pair(pair.certificate, locked)


@pytest.mark.parametrize("text, complaints", WRONG.values(), ids=WRONG)
def test_wrong(text, complaints, tmp_path, locked_key):
    for file in (locked_key.certificate, locked_key.key):
        shutil.copy(file, tmp_path)
    code, printed, complained = check(tmp_path, text)
    assert (code, printed) == (1, "")
    lines = complained.splitlines()
    assert len(lines) == len(complaints), complained
    for line, beginning in zip(lines, complaints):
        assert line.startswith(beginning), complained


def test_certificate_that_has_ended(tmp_path):
    """It is told of, but mail goes on: most clients do not look at it."""
    authority = certificates.Authority(tmp_path)
    pair = authority.issue("old", options=("-startdate", "20200101000000Z",
                                           "-enddate", "20200102000000Z"))
    text = LISTENER + f'tls_certificate = "{pair.certificate}"\ntls_key = "{pair.key}"\n'
    code, printed, complained = check(tmp_path, text)
    assert (code, printed) == (0, "relay.conf: correct\n")
    assert complained.endswith(": the certificate was valid until 2020-01-02T00:00:00Z only\n")


@pytest.mark.parametrize("arguments, code", [(["-h"], 0), (["-V"], 0), (["--bogus"], 2),
                                             (["stray"], 2), (["-c"], 2)], ids=str)
def test_usage(arguments, code):
    done = run(BIN / "smarthopd", *arguments, check=False)
    assert done.returncode == code
    if arguments == ["stray"]:
        assert done.stderr.startswith(b'smarthopd: "stray" is no option\n')


# ---- starting -----------------------------------------------------------------------------------

def test_port_taken(start_relay):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(AssertionError, match=f'listener "smtp" on {address}'):
            start_relay(listeners={"smtp": {"address": address, "tls": "none"}})


def test_folder_of_a_socket_is_missing(tmp_path):
    file = tmp_path / "relay.conf"
    file.write_text('hostname = "relay.test"\nsubmission_socket = "none/s.sock"\n' + LISTENER)
    started = run(BIN / "smarthopd", "-c", file, check=False)
    assert started.returncode == 1
    assert b"none/s.sock: local socket: its folder: No such file" in started.stderr


def test_port_of_another_one(start_relay, tmp_path):
    """With a store of its own: the two would share the clients without a word."""
    relay = start_relay()
    file = tmp_path / "relay.conf"
    file.write_text(f'hostname = "other.test"\nstore_path = "{tmp_path}/queue"\n'
                    f'control_socket = "{tmp_path}/c.sock"\nsubmission_socket = "{tmp_path}/s.sock"\n'
                    f'listener "smtp" {{ address = "127.0.0.1:{relay.port}" }}\n')
    started = run(BIN / "smarthopd", "-c", file, check=False)
    assert started.returncode == 1
    assert f"127.0.0.1:{relay.port}: bind: Address already in use" in started.stderr.decode()
    relay.stop()


def test_first_start(tmp_path):
    """With all that is standard, in an empty folder."""
    (tmp_path / "relay.conf").write_text('hostname = "relay.test"\n' + LISTENER)
    relay = Process([BIN / "smarthopd", "-c", tmp_path / "relay.conf"], tmp_path, "relay")
    wait_until(lambda: " started " in relay.err(), "the daemon has started")
    assert (tmp_path / "var" / "queue" / "data.mdb").exists()
    assert relay.stop() == 0


def test_started_twice(start_relay):
    """Two daemons on one queue would deliver everything twice."""
    relay = start_relay(routes=DISCARD)
    relay.write_conf()  # the same ports
    second = run(BIN / "smarthopd", "-c", relay.conf_path, check=False)
    assert second.returncode == 1 and second.stderr
    submit(relay, MESSAGE, "to@example.test")


# ---- reload -------------------------------------------------------------------------------------

def test_reload_refused(start_relay, sink, start_sink):
    """A file with one fault changes nothing, not even what is right in it."""
    relay = start_relay(routes={"*": to(sink)})
    relay.keys["hostname"] = "changed.test"
    relay.sections["route"] = {"*": to(start_sink())}
    relay.write_conf(extra="no_such_key = 1\n")
    refused = relay.reload()
    assert refused["event"] == "reload-refused" and "unknown key no_such_key" in refused["text"]
    submit(relay, MESSAGE, "to@example.test")
    received = content.split_trace(sink.wait(1)[0].content)[0]
    assert received["by"] == b"relay.test"


def test_reload(start_relay, sink, start_sink):
    """New sessions and new mail see the new file; a session under way keeps the old one."""
    relay, other = start_relay(routes={"*": to(sink)}), start_sink()
    with Dialogue(relay.port).hello() as under_way:
        relay.keys["hostname"] = "changed.test"
        relay.sections["route"] = {"*": to(other)}
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        submit(relay, MESSAGE, "to@example.test")
        assert content.split_trace(other.wait(1)[0].content)[0]["by"] == b"changed.test"
        assert under_way.command("EHLO client.test").lines[0] == "relay.test"
        under_way.begin("old@example.test")
        assert under_way.data(content.stuffed(MESSAGE)).code == 250
        assert sink.wait(1)[0].recipients == ["old@example.test"]


def test_reload_notes_what_needs_a_restart(start_relay):
    relay = start_relay(routes=DISCARD)
    relay.keys["workers"] = 1
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    assert "workers" in relay.wait_log("reload-note")[0]["text"]


def test_reload_under_load(start_relay, sink):
    """No session is cut, no message lost."""
    relay = start_relay(routes={"*": to(sink)})
    with Dialogue(relay.port).hello() as client:
        for number in range(20):
            client.begin(f"{number}@example.test")
            assert client.data(content.stuffed(MESSAGE)).code == 250
            relay.reload()
    assert len(sink.wait(20)) == 20


# ---- stopping -----------------------------------------------------------------------------------

@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_stop(number, start_relay):
    """Idle clients are told; nobody gets in any more."""
    relay = start_relay(routes=DISCARD)
    with (Dialogue(relay.port).hello() as idle, Dialogue(relay.port) as greeted,
          Dialogue(relay.port).hello() as with_envelope):
        assert greeted.reply().code == 220
        with_envelope.begin("to@example.test")
        relay.process.signal(number)
        for client in (idle, greeted, with_envelope):
            assert client.reply().status == "421 4.3.2" and client.is_closed()
    assert relay.process.wait() == 0
    assert relay.log("stopping")
    with pytest.raises(ConnectionRefusedError):
        Dialogue(relay.port)


def test_stop_lets_a_message_end(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)})
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.command("DATA").code == 354
        client.send(MESSAGE)
        relay.process.signal(signal.SIGTERM)
        relay.wait_log("stopping")
        client.send(b".\r\n")
        assert [client.reply().status, client.reply().status] == ["250 2.0.0", "421 4.3.2"]
        assert client.is_closed()
    assert relay.process.wait() == 0
    relay.restart()
    content.assert_relayed(sink.wait(1)[0].content, MESSAGE)
    relay.stop()
    assert len(sink.messages()) == 1


# ---- the log ------------------------------------------------------------------------------------

@pytest.mark.parametrize("ask", [
    lambda relay: relay.process.signal(signal.SIGUSR1),
    lambda relay: relay.process.signal(signal.SIGHUP),
    lambda relay: run(BIN / "smarthopctl", "-c", relay.conf_path, "reopen-log"),
], ids=["SIGUSR1", "SIGHUP", "smarthopctl"])
def test_log_reopened(ask, start_relay):
    relay = start_relay(routes=DISCARD)
    submit(relay, MESSAGE, "before@example.test")
    relay.wait_log("session")
    rotated = relay.log_path.with_suffix(".1")
    os.rename(relay.log_path, rotated)
    old = rotated.read_text()
    ask(relay)
    # It exists before it is written to.
    wait_until(lambda: str(rotated) not in relay.process.open_files(), "the new log")
    submit(relay, MESSAGE, "after@example.test")
    wait_until(lambda: "to=after@example.test" in relay.log_text(), "the new log's lines")
    assert rotated.read_text() == old
