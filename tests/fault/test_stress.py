"""More clients than there are places: the idle make room, the busy stay; and what each one costs."""

import resource
import socket

import pytest

from rig import simple_message, transact
from support.dialogue import Dialogue
from support.wait import wait_until

KIB = 1024
PLACES = 40
MEASURED = 5000


@pytest.fixture
def many_descriptors():
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_idle_make_room(make_sink, make_relay):
    """One worker, so that none of its clients waits at another."""
    relay = make_relay(make_sink().port, workers=1, sessions_max=PLACES, stress_idle_min="0ms").start()
    before = relay.status()["gave_way"]
    sending = [Dialogue(relay.port).hello() for _ in range(5)]
    for client in sending:
        client.begin("to@example.test")
    resting = [Dialogue(relay.port).hello() for _ in range(5)]
    for n, client in enumerate(resting):
        assert transact(client, simple_message(f"resting-{n}")).code == 250
    idle = [Dialogue(relay.port).hello() for _ in range(PLACES - 10)]
    relay.wait_log("stress-begin")

    coming = [Dialogue(relay.port).hello() for _ in range(len(idle))]
    for client in idle:
        assert client.reply().status == "421 4.3.2"
        assert client.is_closed()
    for n, client in enumerate(coming):
        assert transact(client, simple_message(f"coming-{n}")).code == 250
    with Dialogue(relay.port) as late:
        assert late.reply().status == "421 4.3.2"
    for client in resting:
        assert client.command("NOOP").code == 250
    for n, client in enumerate(sending):
        assert client.data(simple_message(f"sending-{n}") + b".\r\n").code == 250

    status = relay.status()
    assert status["stress"] and status["sessions"] == PLACES
    assert status["gave_way"] - before == len(idle)
    assert b"Sessions are scarce" in relay.ctl("status").stdout
    for client in (*sending, *resting, *coming):
        client.socket.close()
    relay.wait_log("stress-end")
    assert (len(relay.log("stress-begin")), len(relay.log("stress-end"))) == (1, 1)
    assert not relay.status()["stress"]
    assert len(relay.log("session", closed="made room")) == len(idle)
    relay.drain(20)


def test_waits_become_shorter(make_sink, make_relay):
    """Those under way, too; and who sends a message has the time for it."""
    relay = make_relay(make_sink().port, sessions_max=100, stress_threshold=50,
                       stress_command_timeout="300ms", stress_data_timeout="1h").start()
    sending = [Dialogue(relay.port).hello() for _ in range(5)]
    for client in sending:
        client.begin("to@example.test")
        assert client.command("DATA").code == 354
    idle = [Dialogue(relay.port).hello() for _ in range(45)]
    assert not relay.status()["stress"]
    late = [Dialogue(relay.port) for _ in range(10)]
    for client in late:
        assert client.reply().code == 220
    for client in (*idle, *late):
        assert client.reply().status == "421 4.4.2"
        assert client.is_closed()
    for n, client in enumerate(sending):
        client.send(simple_message(f"sending-{n}") + b".\r\n")
        assert client.reply().code == 250
    relay.drain(20)


def connect(relay, lines):
    client = socket.create_connection(("127.0.0.1", relay.port))
    assert client.recv(512).startswith(b"220 ")
    for line, code in lines:
        client.sendall(line)
        if code:
            assert client.recv(4096).startswith(code)
    return client


ENVELOPE = [(b"EHLO slow.test\r\n", b"250"), (b"MAIL FROM:<slow@client.test>\r\n", b"250"),
            (b"RCPT TO:<to@example.test>\r\n", b"250"), (b"DATA\r\n", b"354")]


@pytest.mark.parametrize("lines, most", [
    ([], 4 * KIB),
    ([(b"EHLO slow.te", None)], 4 * KIB),
    ([*ENVELOPE, (b"Subject: slow\r\n\r\n" + b"x" * KIB, None)], 24 * KIB),
], ids=["idle", "within a command", "1 KiB of a message"])
def test_what_a_slow_client_costs(make_sink, make_relay, many_descriptors, figure, lines, most):
    relay = make_relay(make_sink().port).start()
    connect(relay, lines).close()
    before = relay.memory()
    clients = [connect(relay, lines) for _ in range(MEASURED)]
    sent = sum(len(line) for line, _ in lines) * MEASURED
    wait_until(lambda: sum(session["bytes"] for session in relay.sessions()) == sent,
               "what was sent", 60)
    each = (relay.memory() - before) / MEASURED
    figure("memory of one, KiB", f"{each / KIB:.1f}")
    for client in clients:
        client.close()
    assert each < most
