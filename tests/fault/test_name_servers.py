"""Name servers that are silent, or lie, for some domains: the others' mail goes on, nothing is
returned, and all of it leaves soon after they are well."""

import time

import pytest

from crowd import flow
from fake_dns import FakeDns
from rig import IS_FULL, Load, scaled
from support.wait import wait_until

ILLNESSES = {"silent": ["* !silent"], "failing": ["* !servfail"], "talking nonsense": ["* !malformed"]}
LONG = "1h"  # so that only the look-ups' own clock lets them go on


@pytest.fixture
def dns():
    with FakeDns() as server:
        server.records["mx.test"] = ["A 60 127.0.0.1", "AAAA !nodata 60"]
        yield server


def names(kind, count):
    return [f"d{n}.{kind}.test" for n in range(count)]


@pytest.mark.parametrize("illness", ILLNESSES.values(), ids=ILLNESSES)
def test_name_servers_that_are_ill(illness, dns, make_relay, make_counter, tmp_path, hold,
                                   figure):
    domains, each, count = scaled(20, 100), scaled(2, 50), scaled(40, 1000)
    dns.records |= {name: illness for name in names("ill", domains)}
    dns.records |= {name: ["MX 60 10 mx.test"] for name in names("well", domains)}
    sink = make_counter()
    relay = make_relay(sink.port, dns_servers=[dns.address], retry_first=LONG,
                       retry_max=LONG, dns_timeout="500ms")
    relay.sections["route"] = {"*": {"use_mx": True, "port": sink.port, "tls": "none"}}
    relay.start()
    ill = Load(tmp_path, relay.port, "--messages", domains * each, "--sessions", 20, "--domains",
               domains, "--rcpt-domain", "ill.test", first_id=10**7)
    assert ill.report()["accepted"] == domains * each
    latency = flow(relay, sink, tmp_path, 1, count, "--domains", domains, "--rcpt-domain",
                   "well.test")
    figure("p50 and p99 of the others, ms", (latency["p50"], latency["p99"]))
    wait_until(lambda: len({record["destination"] for record in relay.log("destination-backs-off")})
               == domains, "all of them to back off", 60)
    wait_until(lambda: relay.queued() == domains * each, "the others' mail to be recorded")

    began = time.monotonic()
    dns.records |= {name: ["MX 60 10 mx.test"] for name in names("ill", domains)}
    stats = sink.await_messages(count + domains * each, 60)
    seconds = time.monotonic() - began
    figure("until all had left, s", f"{seconds:.1f}")
    assert (stats["duplicates"], stats["messages"]) == (0, count + domains * each)
    hold(8, "messages returned", len(relay.log("failed")), 0)
    if IS_FULL:
        hold(8, "p99 of other mail, ms", round(latency["p99"]), 500)
        hold(8, "seconds until all had left when it was well", round(seconds, 1), 10)
