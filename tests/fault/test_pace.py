"""Rates, and connections that next hops do not want: over reloads and restarts, for several
workers."""

import time

import pytest

from crowd import LONG_S, fill
from fake_dns import FakeDns
from rig import IS_FULL, Load, elapse, scaled
from support.wait import wait_until

RATE = 50
NS = 10**9


class Pace:
    """What the sink has had since the relay began, against what the rate allows: one at each start,
    and the rest evenly."""

    def __init__(self, sink, figure, hold):
        self.sink, self.figure, self.hold = sink, figure, hold
        self.began_ns = time.monotonic_ns()
        self.starts = 1

    def check(self, what):
        """Returns what it has been of the rate since the first message."""
        stats = self.sink.stats()
        allowed = self.starts + RATE * (stats["now_ns"] - self.began_ns) / NS
        self.hold(17, "messages beyond a rate, reloads and restarts included",
                  max(stats["messages"] - int(allowed), 0), 0)
        pace = stats["messages"] / (RATE * (stats["now_ns"] - stats["first_ns"]) / NS)
        self.figure(f"{what}: messages, of the rate", (stats["messages"], f"{pace:.4f}"))
        return pace


def test_a_rate(make_relay, make_counter, hold, figure):
    """A minute alone, one with reloads, one with restarts and kills (seconds in the short form)."""
    period = scaled(1, 60)
    sink = make_counter()
    relay = make_relay(sink.port)
    relay.sections["destination"] = {"*": {"messages_per_second": RATE}}
    fill(relay, 4 * RATE * period, 1, sink.port)
    pace = Pace(sink, figure, hold)
    relay.start()
    sink.await_messages(1)
    elapse(period)
    undisturbed = pace.check("undisturbed")
    if IS_FULL:
        hold(17, "a rate's shortfall over a minute, %", round(100 * (1 - undisturbed), 2), 2)
    for _ in range(5):
        relay.reload()
        elapse(period / 5)
        pace.check("reloads")
    for end in (relay.stop, relay.kill) * 3:
        end()
        pace.starts += 1
        relay.start()
        elapse(period / 6)
        pace.check("restarts")


@pytest.fixture
def dns():
    with FakeDns() as server:
        yield server


def test_what_a_next_hop_takes(dns, make_relay, make_counter, tmp_path, hold, figure):
    """It greets the sixth with 421. Two workers, whose domains have it as their MX, find that out
    together, and stay there."""
    takes, count = 5, scaled(600, 8000)
    sink = make_counter("--serve-most", takes, "--delay-ms", "10")
    dns.records["mx.test"] = ["A 60 127.0.0.1", "AAAA !nodata 60"]
    for n in range(8):
        dns.records[f"d{n}.example.test"] = ["MX 60 10 mx.test"]
    relay = make_relay(sink.port, workers=2, dns_servers=[dns.address])
    relay.sections["route"] = {"*": {"use_mx": True, "port": sink.port, "tls": "none"}}
    relay.start()
    load = Load(tmp_path, relay.port, "--messages", count, "--sessions", 20, "--domains", 8)
    assert load.report()["accepted"] == count
    serving = []

    def is_all_there():
        stats = sink.stats()
        if stats["unique_messages"] < count:
            serving.append(stats["serving"])
        return stats["unique_messages"] == count

    wait_until(is_all_there, "all messages", LONG_S)
    stats = sink.stats()
    assert stats["refused_4xx"] >= 1
    hold(17, "connections refused until it is known what a next hop takes",
         stats["refused_4xx"], 2 * takes)
    assert stats["duplicates"] == 0 and not relay.log("deferred")
    figure("421s; connections served, mean", (stats["refused_4xx"],
                                              f"{sum(serving) / max(len(serving), 1):.2f}"))
    if IS_FULL:
        middle = serving[len(serving) // 10:-len(serving) // 10]
        hold(17, "connections less than a next hop takes, mean",
             round(takes - sum(middle) / len(middle), 2), 1)
