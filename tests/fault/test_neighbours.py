"""Next hops that are slow, or stall, and tenants with much mail: nobody else waits for them."""

import pytest

from crowd import fill, flow
from rig import IS_FULL, Load, scaled
from support.wait import wait_until

# (addresses, small and full; messages for each, small and full; what their sink does)
SLOW = {
    "one that crawls": ((1, 1), (300, 50_000), ["--delay-ms", "10000"]),
    "ten slow ones": ((10, 10), (30, 2_000), ["--delay-ms", "200"]),
    "many that stall": ((200, 5_000), (3, 3), ["--stall-at", "connect"]),
}


@pytest.mark.parametrize("hops, each, options", SLOW.values(), ids=SLOW)
def test_slow_next_hops(hops, each, options, make_relay, make_counter, tmp_path, hold,
                        figure):
    """The latencies of mail for another next hop, alone, beside them, and alone again."""
    hops, each, count = scaled(*hops), scaled(*each), scaled(50, 1000)
    slow, fast = make_counter(*options), make_counter()
    relay = make_relay(fast.port).start()
    alone = [flow(relay, fast, tmp_path, 10**7, count)]
    relay.stop()
    fill(relay, hops * each, hops, slow.port)
    relay.start()
    wait_until(lambda: slow.stats()["connections"] >= hops, "all slow next hops to be tried", 60)
    cpu = relay.cpu_seconds()
    beside = flow(relay, fast, tmp_path, 2 * 10**7, count)
    figure("CPU ms for each", f"{(relay.cpu_seconds() - cpu) * 1000 / count:.2f}")
    relay.kill()
    again = make_relay(fast.port).start()
    alone.append(flow(again, fast, tmp_path, 3 * 10**7, count))
    for part in ("p50", "p99"):
        figure(f"{part} alone, beside, alone; ms",
               (alone[0][part], beside[part], alone[1][part]))
    if IS_FULL:
        hold(7, "p50 beside them, of that alone",
             round(beside["p50"] / max(one["p50"] for one in alone), 2), 1.2)
        hold(7, "p99 beside them, ms more than alone",
             round(beside["p99"] - max(one["p99"] for one in alone)), 500)


def to_first_address(relay, port):
    """The next hop that fill() names first."""
    relay.sections["route"]["*"]["hosts"] = f"[127.1.0.1]:{port}"


def few(sink):
    return sum(message.sender == "few@other.test" for message in sink.messages())


def test_a_tenant_with_much_mail(make_relay, make_sink, tmp_path, hold):
    """Another tenant's few, for the same next hop, are there long before all of it."""
    much = 2000
    sink = make_sink("--delay-ms", "5", host="0.0.0.0")
    relay = make_relay(sink.port, connections_per_destination=1)
    to_first_address(relay, sink.port)
    fill(relay, much, 1, sink.port)
    relay.start()
    sink.wait(1)
    Load(tmp_path, relay.port, "--messages", 10, "--from", "few@other.test",
         first_id=much + 1).report()
    wait_until(lambda: few(sink) == 10, "the few")
    hold(7, "another tenant's messages before the few", len(sink.messages()) - 10, much - 1)


def test_a_tenant_with_very_much_mail(make_relay, make_counter, tmp_path, hold, figure):
    """The same where a rate holds: each tenant has half of it."""
    rate, much = 200, scaled(1000, 100_000)
    sink = make_counter()
    relay = make_relay(sink.port)
    relay.sections["destination"] = {"*": {"messages_per_second": rate}}
    to_first_address(relay, sink.port)
    fill(relay, much, 1, sink.port)
    relay.start()
    sink.await_messages(1)
    Load(tmp_path, relay.port, "--messages", 10, "--from", "few@other.test",
         first_id=much + 1).report()
    wait_until(lambda: sink.stats()["latency_ms"]["count"] == 10, "the few", 60)
    slowest = sink.stats()["latency_ms"]["max"]
    figure("the slowest of 10, ms", slowest)
    if IS_FULL:
        hold(7, "a tenant's slowest of 10 beside 100,000, ms", round(slowest),
             1000 * (1 + 10 / (rate / 2)))
