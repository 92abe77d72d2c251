"""Slow and rude clients: one client's trouble stays its own, and memory and time have bounds."""

import itertools
import os
import resource
import selectors
import socket
import ssl
import threading
import time

import pytest

from rig import Load, Sampler, elapse, simple_message, transact
from support import certificates
from support.dialogue import Dialogue
from support.relay import ANY_PORT
from support.wait import wait_until

MIB = 1 << 20
SLOW_CLIENTS = 2000
GOOD_MESSAGES = 200
RSETS = 999_000  # below FaultRelay's commands_without_mail_max
IDLE_CLIENTS = 500
DESCRIPTORS = 256
HEADERS = 100_000
HANDSHAKES = 3000


@pytest.fixture
def relay(make_sink, make_relay):
    return make_relay(make_sink().port, connection_idle_timeout="200ms").start()


@pytest.fixture
def many_descriptors():
    """For the clients; the relay sees to its own."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Growth:
    """How much memory the relay had at most beyond what it had before."""

    def __init__(self, relay):
        self.before = relay.memory()
        self.sampler = Sampler(relay.memory)

    def __enter__(self):
        self.sampler.__enter__()
        return self

    def __exit__(self, *problem):
        self.sampler.__exit__(*problem)

    @property
    def mib(self):
        return (self.sampler.peak - self.before) / MIB


class SlowClients:
    """Connections that send a byte a second: half of them of a command, half of a body."""

    ENVELOPE = b"MAIL FROM:<slow@client.test>\r\nRCPT TO:<to@example.test>\r\nDATA\r\n"

    def __init__(self, port, count):
        self.clients = []
        for n in range(count):
            client = Dialogue(port).hello()
            client.send(b"RSET slow" if n % 2 else self.ENVELOPE)
            self.clients.append(client)
        self.ended = threading.Event()
        self.cut_off = 0
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self):
        while not self.ended.wait(1):
            for client in self.clients:
                try:
                    client.send(b"x")
                except OSError:
                    self.cut_off += 1

    def close(self):
        self.ended.set()
        self.thread.join()
        for client in self.clients:
            client.__exit__()


def seconds_to_send(relay, message):
    began = time.monotonic()
    assert relay.send(message).code == 250
    return time.monotonic() - began


def test_slow_clients_slow_nobody_else(relay, many_descriptors, hold):
    seconds_to_send(relay, simple_message("first"))
    with Growth(relay) as growth:
        slow = SlowClients(relay.port, SLOW_CLIENTS)
        try:
            wait_until(lambda: relay.status()["sessions"] >= SLOW_CLIENTS, "all slow sessions")
            taken = sorted(seconds_to_send(relay, simple_message(f"good-{n}"))
                           for n in range(GOOD_MESSAGES))
            elapse(2)
        finally:
            slow.close()
    p99 = taken[int(0.99 * len(taken))]
    hold(6, "2,000 slow clients: cut off", slow.cut_off, 0)
    hold(6, "2,000 slow clients: good client's p99, ms", round(1000 * p99, 1), 1000, goal=100)
    hold(6, "2,000 slow clients: memory growth, MiB", round(growth.mib, 1), 64)


def test_client_that_never_reads(relay, figure):
    """It pipelines commands until neither side takes more; then it is left alone."""
    with Growth(relay) as growth, Dialogue(relay.port).hello() as client:
        deaf = client.socket
        deaf.settimeout(1)
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 1 << 30:
                sent += deaf.send(b"NOOP\r\n" * 10000)
        before = relay.cpu_seconds()
        elapse(1)
        spent = relay.cpu_seconds() - before
        seconds_to_send(relay, simple_message("meanwhile"))
    figure("sent until it stuck, MiB; memory growth, MiB", (sent // MIB, f"{growth.mib:.1f}"))
    assert spent < 0.1
    assert growth.mib < 16


def test_a_million_pipelined_resets(relay, figure, hold):
    with Growth(relay) as growth, Dialogue(relay.port).hello() as client:
        began = time.monotonic()
        sender = threading.Thread(target=client.send, args=(b"RSET\r\n" * RSETS,))
        sender.start()
        codes = {client.reply().code for _ in range(RSETS)}
        sender.join()
        seconds = time.monotonic() - began
        assert codes == {250}
        assert transact(client, simple_message("behind them")).code == 250
    figure("seconds", f"{seconds:.1f}")
    hold(11, "a million resets: memory growth, MiB", round(growth.mib, 1), 8)


def flood(client, piece, times):
    """Sends until all is sent or the relay has closed."""
    try:
        for _ in range(times):
            client.send(piece)
        client.send(b"\r\n")
    except OSError:
        pass


def test_command_line_of_4_mib(relay, hold):
    with Growth(relay) as growth, Dialogue(relay.port).hello() as client:
        flood(client, b"x" * 65536, 64)
        assert client.reply().code == 500
        assert client.command("NOOP").code == 250
    hold(11, "a command line of 4 MiB: memory growth, MiB", round(growth.mib, 1), 8)


@pytest.mark.parametrize("head, piece, times", [
    (b"", b"x" * 65536, 64),
    (b"", b"X-Field: value of it\r\n" * 1000, HEADERS // 1000),
    (b"Subject: folded\r\n", b" line of it\r\n" * 1000, 4000),
], ids=["line of 4 MiB", "100,000 header fields", "header field of 52 MB"])
def test_message_beyond_all_bounds(relay, hold, head, piece, times):
    """It is read to its end and refused for good; the session goes on."""
    with Growth(relay) as growth, Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.command("DATA").code == 354
        client.send(head)
        flood(client, piece, times)
        client.send(b".\r\n")
        assert client.reply().code == 554
        assert transact(client, simple_message("behind it")).code == 250
    hold(11, "endless lines and headers: memory growth, MiB", round(growth.mib, 1), 8)


def first_word(client):
    """What the relay says, or that it has closed."""
    try:
        return client.recv(512)[:3].decode() or "closed"
    except ConnectionResetError:
        return "closed"


def test_no_descriptors_left(make_sink, make_relay, many_descriptors, figure, hold):
    """None of the idle gives way here: each may wait longer than the test lasts."""
    relay = make_relay(make_sink().port, connection_idle_timeout="200ms",
                       stress_idle_min="1h").start()
    resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    clients = [socket.create_connection(("127.0.0.1", relay.port)) for _ in range(IDLE_CLIENTS)]
    selector = selectors.DefaultSelector()
    for client in clients:
        client.settimeout(5)
        selector.register(client, selectors.EVENT_READ)
    wait_until(lambda: len(selector.select(0)) == IDLE_CLIENTS, "an answer to each client", 5)
    answers = [first_word(client) for client in clients]
    served = answers.count("220")
    assert set(answers) <= {"220", "421", "closed"}
    assert 100 < served < DESCRIPTORS

    before = relay.cpu_seconds()
    elapse(2)
    spent = (relay.cpu_seconds() - before) / 2
    with socket.create_connection(("127.0.0.1", relay.port), timeout=5) as late:
        assert first_word(late) in ("421", "closed")
    figure("served", served)
    hold(9, "no descriptors left: share of a CPU while idle", round(spent, 3), 0.05)
    for client in clients:
        client.close()
    wait_until(lambda: relay.send(simple_message("after")).code == 250, "service again")
    relay.drain(20)


def test_the_idle_give_up_descriptors(make_sink, make_relay, many_descriptors, figure):
    """Everybody who comes is served, as long as others do nothing."""
    relay = make_relay(make_sink().port, connection_idle_timeout="200ms",
                       stress_idle_min="0ms").start()
    resource.prlimit(relay.process.pid, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    clients = []
    for _ in range(IDLE_CLIENTS):
        clients.append(socket.create_connection(("127.0.0.1", relay.port), timeout=20))
        assert first_word(clients[-1]) == "220"
    status = relay.status()
    figure("sessions; of all that gave way", (status["sessions"], status["gave_way"]))
    assert status["sessions"] < DESCRIPTORS
    assert status["gave_way"] == IDLE_CLIENTS - status["sessions"]
    answers = [first_word(client) for client in clients[:status["gave_way"] // 2]]
    assert set(answers) == {"421"}
    for client in clients:
        client.close()
    relay.drain(20)


def test_large_messages_at_once(relay, tmp_path, hold):
    with Growth(relay) as growth:
        load = Load(tmp_path, relay.port, "--messages", 40, "--sessions", 40, "--size", 8 * MIB)
        report = load.report()
        relay.drain(30)
    assert (report["accepted"], report["failed"]) == (40, 0)
    hold(10, "40 x 8 MiB at once: peak memory, MiB", round(growth.sampler.peak / MIB), 192)


class RudeHandshakes:
    """TLS clients of which none gets to say anything, each kind in its turn."""

    def __init__(self, port, stranger):
        self.port = port
        self.wary = ssl.create_default_context()
        self.shows = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        self.shows.check_hostname, self.shows.verify_mode = False, ssl.CERT_NONE
        self.shows.load_cert_chain(stranger.certificate, stranger.key)
        outgoing = ssl.MemoryBIO()
        with pytest.raises(ssl.SSLWantReadError):
            self.shows.wrap_bio(ssl.MemoryBIO(), outgoing).do_handshake()
        self.hello = outgoing.read()
        self.kinds = itertools.cycle([self.garbage, self.half, self.no_more, self.refuses,
                                      self.is_a_stranger])

    def garbage(self, client):
        client.sendall(b"GET / HTTP/1.0\r\n\r\n")
        client.recv(100)

    def half(self, client):
        client.sendall(self.hello[:100])

    def no_more(self, client):
        client.sendall(self.hello)
        client.recv(100)

    def refuses(self, client):
        with pytest.raises(ssl.SSLError):
            self.wary.wrap_socket(client, server_hostname="relay.test")

    def is_a_stranger(self, client):
        self.shows.wrap_socket(client).close()

    def come(self, count):
        for kind in itertools.islice(self.kinds, count):
            with socket.create_connection(("127.0.0.1", self.port)) as client:
                kind(client)


def test_thousands_of_failed_handshakes(make_sink, make_relay, tmp_path, figure):
    """They leave nothing behind: neither memory nor descriptors."""
    authority = certificates.make(tmp_path, "authority", "DNS:authority.test")
    stranger = certificates.make(tmp_path, "stranger", "DNS:stranger.test")
    anywhere = {"address": ANY_PORT}
    relay = make_relay(
        make_sink().port, certificate=authority, limit_exempt_networks=[],
        client_handshakes_per_minute=1000000,
        listeners={"smtp": anywhere, "smtps": {
            **anywhere, "tls": "implicit", "client_certificates": "ask",
            "client_ca": authority.certificate}}).start()
    rude = RudeHandshakes(relay.ports["smtps"], stranger)
    descriptors = f"/proc/{relay.process.pid}/fd"
    rude.come(HANDSHAKES // 3)
    wait_until(lambda: relay.status()["sessions"] == 0, "their sessions to end")
    memory, files = relay.memory(), len(os.listdir(descriptors))
    rude.come(HANDSHAKES)
    wait_until(lambda: relay.status()["sessions"] == 0, "their sessions to end")
    growth = (relay.memory() - memory) / MIB
    figure("memory growth, MiB", f"{growth:.2f}")
    assert len(relay.log("certificate-refused")) >= HANDSHAKES // 5
    assert len(os.listdir(descriptors)) <= files
    assert growth < 1
    assert relay.send(simple_message("after")).code == 250
