"""A queue of a million messages for ten thousand next hops (of fewer in the short form)."""

import json
import resource
import time

from crowd import LONG_S, backing_off, ctl, fill
from rig import IS_FULL, Load, Sampler, scaled
from support.wait import wait_until

MIB = 1 << 20
SITE = 7  # the number of a destination that the filters look for
# (the filter, what is found of each destination's messages)
FILTERS = [
    (["count", "--domain", f"site{SITE}.example.net"], "all"),
    (["count", "--recipient", f"user0@site{SITE}.example.net"], "all"),
    (["count", "--sender", f"sender{SITE}@example.org"], "one"),
    (["count", "--sender", "nobody@example.org"], "none"),
]
GROUPINGS = ["destination", "domain", "state"]


def enqueue_rate(relay, folder, count, first_id):
    load = Load(folder, relay.port, "--messages", count, "--sessions", 50, first_id=first_id)
    report = load.report()
    assert (report["accepted"], report["failed"]) == (count, 0)
    return report["accepted_per_s"]


def timed(action, *arguments):
    """What it gives, its seconds, and those of CPU that its programs took."""
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    result = action(*arguments)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return result, time.monotonic() - began, cpu


def check_filters(relay, hops, each, figure, hold):
    found = {"all": each, "one": 1, "none": 0}
    for filter_, what in FILTERS:
        answer, seconds, cpu = timed(ctl, relay, "--json", "queue", *filter_)
        figure(" ".join(filter_) + ", s", f"{seconds:.2f}")
        if IS_FULL:
            hold(16, "CPU seconds of a filter", round(cpu, 2), 3)
        assert json.loads(answer)["messages"] == found[what]
    for key in GROUPINGS:
        _, seconds, cpu = timed(ctl, relay, "queue", "group-by", key)
        figure(f"group-by {key}, s", f"{seconds:.2f}")
        if IS_FULL:
            hold(16, "CPU seconds of group-by", round(cpu, 2), 3)
    groups = ctl(relay, "queue", "group-by", "domain").decode().splitlines()
    assert len([line for line in groups if ".example.net" in line]) == hops


def test_a_deep_queue(make_relay, make_counter, tmp_path, hold, figure):
    """Memory, restart, the commands, enqueueing and draining, with all of its next hops down and
    then all up."""
    hops, each, more = scaled(50, 10_000), scaled(40, 100), scaled(400, 20_000)
    keys = {"store_map_size": "64GiB", "retry_first": "1h", "retry_max": "1h"}
    empty = make_relay(None, **keys).start()
    rate_of_empty = enqueue_rate(empty, tmp_path, more, first_id=10**7)
    empty.kill()

    relay = make_relay(None, **keys)
    fill(relay, hops * each, hops, relay.hop_port)
    relay.start()
    figure("start to banner, s", f"{relay.start_seconds:.2f}")
    with Sampler(relay.memory) as memory:
        _, seconds, _ = timed(wait_until, lambda: backing_off(relay) == hops, "all to be tried",
                              LONG_S)
        figure("until all next hops were tried, s", f"{seconds:.2f}")
        check_filters(relay, hops, each, figure, hold)
        rate = enqueue_rate(relay, tmp_path, more, first_id=hops * each + 1)
        figure("enqueued a second, empty and full", (rate_of_empty, rate))
    peak = memory.peak
    relay.restart()
    if IS_FULL:
        hold(16, "restart to banner, s", round(relay.start_seconds, 2), 2)
        hold(16, "enqueued a second, empty to full", round(rate_of_empty / rate, 2), 2, goal=1.25)
    assert relay.queued() == hops * each + more

    with Sampler(relay.memory) as memory:
        sink = make_counter(port=relay.hop_port)
        began, cpu = time.monotonic(), relay.cpu_seconds()
        ctl(relay, "queue", "retry", "--all", "--yes")
        stats = sink.await_messages(hops * each + more)
        seconds = time.monotonic() - began
        wait_until(lambda: relay.queued() == 0, "an empty queue", LONG_S)
    peak = max(peak, memory.peak)
    assert stats["unnumbered"] == 0
    hold(16, "messages delivered twice", stats["duplicates"], 0)
    figure("drained a second", f"{(hops * each + more) / seconds:.0f}")
    figure("CPU ms for each", f"{(relay.cpu_seconds() - cpu) * 1000 / (hops * each + more):.3f}")
    hold(16, "peak memory, MiB", peak // MIB, 300)
