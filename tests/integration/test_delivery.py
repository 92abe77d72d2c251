"""From the queue to the next hop: retries, outcomes, transports."""
import itertools
from datetime import datetime

import pytest
from support import certificates, content
from support.dialogue import Dialogue, submit
from support.process import run
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")
LATER = ["--reply-rcpt", "*=450 4.2.0 come later"]


def now_ms():
    return datetime.now().timestamp() * 1000


# ---- waiting ------------------------------------------------------------------------------------

def test_next_hop_down_then_up(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, retry_first="1s", retry_max="2s")
    sink.stop()
    ids = submit(relay, MESSAGE, "to@example.test", count=3)
    relay.wait_log("destination-backs-off")
    began = now_ms()
    listed = relay.wait_queued("backoff")
    assert sorted(message["id"] for message in listed) == sorted(ids)
    for message in listed:
        [recipient] = message["recipients"]
        assert began < recipient["next_try"] < now_ms() + 2200
        assert "Connection refused" in message["reason"]
    sink.start()
    sink.wait(3)
    relay.wait_empty()
    relay.stop()
    assert len(sink.messages()) == 3


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_restart(end, start_relay, sink):
    """What was accepted is there after a restart, and is delivered once."""
    relay = start_relay(routes={"*": to(sink)}, retry_first="300ms")
    sink.stop()
    bodies = [*content.CONTENTS.values(), content.large(1 << 20)]
    for number, body in enumerate(bodies):
        submit(relay, body, f"{number}@example.test")
    getattr(relay, end)()
    sink.start()
    relay.start()
    for message in sink.wait(len(bodies)):
        number = int(message.recipients[0].split("@")[0])
        content.assert_relayed(message.content, bodies[number])
    relay.wait_empty()
    relay.stop()
    assert len(sink.messages()) == len(bodies)


def test_deferral_grows(start_relay, start_sink):
    relay = start_relay(routes={"*": to(start_sink(*LATER))}, retry_first="100ms",
                        retry_max="400ms")
    [queue_id] = submit(relay, MESSAGE, "to@example.test")
    deferred = relay.wait_log("deferred", count=5)
    expected = {"id": queue_id, "to": "to@example.test", "code": "450", "dsn": "4.2.0",
                "text": "come later"}
    assert all(expected.items() <= record.items() for record in deferred)
    times = [datetime.fromisoformat(record["time"]).timestamp() for record in deferred]
    gaps = [after - before for before, after in itertools.pairwise(times)]
    for gap, least in zip(gaps, (0.1, 0.2, 0.4, 0.4)):
        assert least - 0.002 <= gap < least * 1.1 + 0.5  # a tenth is chance, the rest is patience
    [listed] = relay.queue()
    assert listed["recipients"][0]["status"] == {
        "code": 450, "enhanced": "4.2.0", "text": "come later",
        "by": listed["recipients"][0]["status"]["by"]}


def test_slow_next_hop_harms_only_itself(start_relay, start_sink, sink):
    slow = {stage: start_sink("--stall-at", stage) for stage in ("connect", "mail", "final")}
    relay = start_relay(routes={"*": to(sink), **{f"{stage}.test": to(stalled)
                                                  for stage, stalled in slow.items()}})
    for stage in slow:
        submit(relay, MESSAGE, f"to@{stage}.test", count=50)
    submit(relay, MESSAGE, "to@example.test", count=50)
    assert len(sink.wait(50, timeout=2)) == 50
    relay.kill()  # an orderly end would wait for them


# What goes wrong at random, at each of these stages in turn.
RUDENESS = {
    "refuses": ["--reply-connect", "10%=421 4.3.2 busy", "--reply-mail", "10%=451 4.3.0 no",
                "--reply-rcpt", "10%=450 4.2.0 no", "--reply-data", "10%=451 4.3.0 no",
                "--reply-final", "10%=451 4.3.0 no"],
    "hangs up": [option for stage in ("ehlo", "mail", "rcpt", "data", "body", "final", "quit")
                 for option in ("--drop-at", f"5%={stage}")],
}


@pytest.mark.parametrize("chunking", [[], ["--chunking"]], ids=["data", "bdat"])
@pytest.mark.parametrize("options", RUDENESS.values(), ids=RUDENESS)
def test_rude_next_hop(options, chunking, start_relay, start_sink):
    """Whatever it does, each message arrives once and whole."""
    sink = start_sink(*options, *chunking)
    relay = start_relay(routes={"*": to(sink)}, retry_first="20ms", retry_max="50ms")
    bodies = [*content.CONTENTS.values()] * 10
    with Dialogue(relay.port).hello() as client:
        for number, body in enumerate(bodies):
            client.begin(f"{number}@example.test", sender="")
            assert client.data(content.stuffed(body)).code == 250
    sink.wait(len(bodies))
    relay.wait_empty()
    relay.stop()
    arrived = {message.recipients[0]: message.content for message in sink.messages()}
    assert len(sink.messages()) == len(arrived) == len(bodies)
    for number, body in enumerate(bodies):
        content.assert_relayed(arrived[f"{number}@example.test"], body)


@pytest.mark.parametrize("options", RUDENESS.values(), ids=RUDENESS)
def test_rude_next_hop_under_load(options, start_relay, start_sink):
    """Mail arrives, waits and is read back from the store all at the same time."""
    sink = start_sink(*options)
    relay = start_relay(routes={"*": to(sink)}, retry_first="10ms", retry_max="10ms")
    run("smtp-source", "-s", 10, "-m", 1000, "-N", "-f", "", "-t", "to@example.test",
        f"127.0.0.1:{relay.port}")
    sink.wait(1000)
    relay.wait_empty()
    relay.stop()
    assert len(sink.recipients()) == len(set(sink.recipients())) == 1000


# ---- transports ---------------------------------------------------------------------------------

@pytest.mark.parametrize("options", [["--no-pipelining"], ["--chunking"], ["--delay-ms", "2"],
                                     ["--chunking", "--no-pipelining"]], ids=" ".join)
def test_next_hop_without_or_with(options, start_relay, start_sink):
    """Several recipients, some refused, every hard content, and one that is staged in the store."""
    sink = start_sink("--reply-rcpt", "no@*=550 5.1.1 no such user", *options)
    relay = start_relay(routes={"*": to(sink)})
    bodies = [*content.CONTENTS.values(), content.large(5 << 20)]
    for number, body in enumerate(bodies):
        submit(relay, body, "no@example.test", f"{number}@example.test", "also@example.test",
               sender="")
    for message in sink.wait(len(bodies)):
        number = int(message.recipients[0].split("@")[0])
        assert message.recipients == [f"{number}@example.test", "also@example.test"]
        content.assert_relayed(message.content, bodies[number])
    assert len(relay.wait_log("failed", to="no@example.test", count=len(bodies))) == len(bodies)


# (keys, connections for 20 messages)
REUSE = {"one after the other": ({}, 1), "a few each": ({"messages_per_connection": 5}, 4)}


@pytest.mark.parametrize("keys, connections", REUSE.values(), ids=REUSE)
def test_connection_reuse(keys, connections, start_relay, sink):
    relay = start_relay(**{"routes": {"*": to(sink)}, "connections_per_destination": 1,
                           "connection_idle_timeout": "1m", **keys})
    submit(relay, MESSAGE, "to@example.test", count=20)
    sink.wait(20)
    assert sink.stats()["connections"] == connections


def test_connection_not_kept(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, connection_idle_timeout="0")
    for _ in range(3):
        submit(relay, MESSAGE, "to@example.test")
        relay.wait_empty()
    assert sink.stats()["connections"] == 3


def test_opportunistic_tls(start_relay, start_sink, certificate):
    """Any certificate will do; later connections resume the session."""
    sink = start_sink(certificate=certificate)
    relay = start_relay(routes={"*": to(sink, tls="opportunistic")}, messages_per_connection=1,
                        connections_per_destination=1)
    submit(relay, MESSAGE, "to@example.test", count=20)
    for message in sink.wait(20):
        content.assert_relayed(message.content, MESSAGE)
    stats = sink.stats()
    assert stats["tls_sessions"] == 20
    assert stats["tls_resumed"] > 0
    assert all(record["tls"].startswith("TLSv1.3 ") for record in relay.log("delivered"))


def test_opportunistic_without_tls(start_relay, sink):
    relay = start_relay(routes={"*": to(sink, tls="opportunistic")})
    submit(relay, MESSAGE, "to@example.test")
    assert relay.wait_log("delivered")[0]["tls"] == ""


@pytest.fixture
def named_host(dns):
    """A host list's entry for a sink, by a name."""
    dns.records["mx.test"] = ["A 60 127.0.0.1"]
    return lambda sink: {"hosts": [f"mx.test:{sink.port}"], "tls": "required"}


# (the certificate's name, whether it is trusted, the enhanced code of the deferral)
REQUIRED = {"not offered": (None, False, "4.7.4"), "of an unknown authority": ("mx.test", False,
            "4.7.5"), "of another name": ("other.test", True, "4.7.5")}


@pytest.mark.parametrize("name, trusted, enhanced", REQUIRED.values(), ids=REQUIRED)
def test_required_tls_not_fulfilled(name, trusted, enhanced, start_relay, start_sink, named_host,
                                    dns, tmp_path):
    pair = name and certificates.make(tmp_path, name, f"DNS:{name}")
    sink = start_sink(certificate=pair)
    trust = {"SSL_CERT_FILE": str(pair.certificate)} if trusted else {}
    relay = start_relay(routes={"*": named_host(sink)}, dns_servers=[dns.address],
                        environment=trust)
    submit(relay, MESSAGE, "to@example.test")
    relay.wait_log("destination-backs-off", count=2)  # nor does it help to ask again
    [listed] = relay.wait_queued("backoff")
    assert ("TLS" if name is None else "certificate") in listed["reason"]
    assert enhanced in listed["reason"]
    assert not sink.messages()


def test_required_tls(start_relay, start_sink, named_host, dns, tmp_path):
    pair = certificates.make(tmp_path, "mx", "DNS:mx.test")
    relay = start_relay(routes={"*": named_host(start_sink(certificate=pair))},
                        dns_servers=[dns.address],
                        environment={"SSL_CERT_FILE": str(pair.certificate)})
    submit(relay, MESSAGE, "to@example.test")
    assert relay.wait_log("delivered")[0]["tls"].startswith("TLSv1.3 ")


# ---- a list of hosts ----------------------------------------------------------------------------

def test_first_host_first(start_relay, start_sink):
    first, second = start_sink(), start_sink()
    relay = start_relay(routes={"*": to(first, second)})
    submit(relay, MESSAGE, "to@example.test", count=10)
    first.wait(10)
    assert not second.messages()


# What is wrong with the first host.
TROUBLES = {"full": ["--reply-connect", "421 4.3.2 full"], "down": None,
            "closed": ["--reply-connect", "554 5.3.2 closed"], "cut": ["--drop-at", "ehlo"],
            "refusing EHLO": ["--reply-ehlo", "450 4.3.0 no"]}


@pytest.mark.parametrize("options", TROUBLES.values(), ids=TROUBLES)
def test_second_host(options, start_relay, start_sink, sink):
    first = start_sink(*(options or []))
    if options is None:
        first.stop()
    relay = start_relay(routes={"*": to(first, sink)}, retry_first="1m", retry_max="1m")
    submit(relay, MESSAGE, "to@example.test", count=10)
    assert len(sink.wait(10, timeout=5)) == 10
    wait_until(lambda: not relay.queue(), "the queue to be empty")
    assert not relay.log("deferred")
