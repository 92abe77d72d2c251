"""Several hosts of one route, and the addresses that mail leaves from."""
import time
from collections import Counter

import pytest
from support import content
from support.dialogue import submit
from support.next_hop import NextHop
from support.relay import to

MESSAGE = content.message(b"hello")
FAST = {"host_retry_first": "100ms", "host_retry_max": "400ms"}


def weighted(*shares):
    """A route's keys: to these sinks with these weights."""
    hosts = [f"[{sink.host}]:{sink.port}*{weight}" for sink, weight in shares]
    return {"hosts": hosts, "tls": "none", "balance": "weighted"}


def send(relay, numbers, sender="sender@client.test"):
    for number in numbers:
        submit(relay, MESSAGE, f"r{number}@example.test", sender=sender)


def everybody(*sinks):
    return Counter(recipient for sink in sinks for recipient in sink.recipients())


@pytest.fixture
def sinks(start_sink):
    return [start_sink(host=f"127.0.0.{number}") for number in (1, 2, 3)]


def test_weights(start_relay, sinks):
    relay = start_relay(routes={"*": weighted(*zip(sinks, (3, 2, 1)))})
    send(relay, range(180))
    relay.wait_empty()
    counts = [len(sink.messages()) for sink in sinks]
    assert sum(counts) == 180
    for count, share in zip(counts, (90, 60, 30)):
        assert abs(count - share) <= share / 10, counts
    relay.stop()


@pytest.mark.parametrize("balance", ["ordered", "weighted"])
def test_a_host_dies_under_load(balance, start_relay, sinks):
    """Nothing is lost, the others take over, and it comes back."""
    relay = start_relay(routes={"*": to(*sinks, balance=balance)}, **FAST)
    submit(relay, MESSAGE, "warm-up@example.test", count=20)
    sinks[0].wait(1)
    for number in range(60):
        submit(relay, MESSAGE, f"r{number}@example.test")
        if number == 20:
            sinks[0].stop()
    relay.wait_empty()
    got = everybody(*sinks)
    assert set(got) == {"warm-up@example.test", *(f"r{number}@example.test" for number in range(60))}
    assert len(relay.wait_log("host-down")) == 1
    assert not relay.log("failed") and not relay.log("destination-backs-off")
    before = len(sinks[0].messages())
    sinks[0].start()
    number = 100
    while len(sinks[0].messages()) == before:
        send(relay, [number])
        number += 1
    assert len(relay.wait_log("host-up")) == 1
    relay.wait_empty()
    relay.stop()


def test_tenants_keep_their_hosts(start_relay, sinks):
    relay = start_relay(routes={"*": to(*sinks, balance="sticky-tenant")})
    for _ in range(3):
        for tenant in range(12):
            submit(relay, MESSAGE, f"r{tenant}@example.test", sender=f"a@tenant{tenant}.test")
    relay.wait_empty()
    for tenant in range(12):
        per_host = [sink.recipients().count(f"r{tenant}@example.test") for sink in sinks]
        assert sorted(per_host) == [0, 0, 3], per_host
    assert sum(bool(sink.messages()) for sink in sinks) > 1
    relay.stop()


def test_domains_keep_their_hosts(start_relay, sinks):
    """Also those of one message."""
    relay = start_relay(routes={"*": to(*sinks, balance="sticky-domain")})
    rcpts = [f"r@domain{number}.test" for number in range(12)]
    submit(relay, MESSAGE, *rcpts, count=3)
    relay.wait_empty()
    for rcpt in rcpts:
        assert sorted(sink.recipients().count(rcpt) for sink in sinks) == [0, 0, 3]
    assert sum(bool(sink.messages()) for sink in sinks) > 1
    relay.stop()


def test_sources(start_relay):
    """By turns, as the weights say, each with the name that it is to have."""
    source = {"addresses": ["127.0.0.2*3", "127.0.0.3", "::1"], "hello": "out.example"}
    with NextHop() as hop:
        relay = start_relay(routes={"*": to(hop, source="out")}, sources={"out": source},
                            messages_per_connection=1)
        submit(relay, MESSAGE, "to@example.test", count=40)
        hop.wait(40)
        relay.wait_empty()
        seen = Counter(hop.clients)
        assert set(seen) == {"127.0.0.2", "127.0.0.3"}
        assert 2.5 < seen["127.0.0.2"] / seen["127.0.0.3"] < 3.5, seen
        assert set(hop.said("EHLO")) == {"EHLO out.example"}
        relay.stop()


def test_a_source_that_is_not_ours(start_relay):
    with NextHop() as hop:
        relay = start_relay(routes={"*": to(hop, source="out")},
                            sources={"out": {"addresses": "192.0.2.77"}})
        submit(relay, MESSAGE, "to@example.test")
        relay.wait_log("destination-backs-off")
        while "bind to the source address" not in relay.queue()[0]["reason"]:
            time.sleep(0.01)  # it is recorded behind what the log tells
        relay.sections["source"]["out"] = {"addresses": "127.0.0.4"}
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        hop.wait(1)
        assert hop.clients == ["127.0.0.4"]
        relay.stop()
