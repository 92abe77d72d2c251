"""Many messages for many next hops: stores that are filled at once, and sinks that count."""

import json
import signal
from pathlib import Path

from rig import Load
from support.process import BIN, run
from support.sink import Sink
from support.wait import wait_until

LONG_S = 900  # for what is done a million times


def fill(relay, count, hops, port):
    """Puts so many messages into its store, for that port of so many addresses from 127.1.0.1 on.
    Their ids are those of smtp_load from 1 on, their tenant is example.org."""
    run(BIN / "queue_fill", relay.store, count, hops, f"loopback={port}", "quiet", "size=1000",
        timeout=LONG_S)


def ctl(relay, *arguments):
    """As relay.ctl, for what takes long."""
    return run(BIN / "smarthopctl", "-c", relay.conf_path, *arguments, timeout=LONG_S).stdout


def backing_off(relay):
    """How many destinations are."""
    return json.loads(ctl(relay, "--json", "queue", "count"))["backing_off"]


class CountingSink(Sink):
    """Writes down nothing but its counts, so that it is fast."""

    def __init__(self, folder, *options, host="0.0.0.0", **where):
        super().__init__(folder, *options, host=host, **where)

    def record_options(self):
        return []

    def forget(self):
        """Counts anew."""
        path = Path(self.folder) / "stats.json"
        path.unlink(missing_ok=True)
        self.process.signal(signal.SIGUSR2)
        wait_until(path.exists, "the sink's counts")

    def await_messages(self, count, timeout=LONG_S):
        """Its counts, once it has so many different ones."""
        def enough():
            stats = self.stats()
            return stats if stats["unique_messages"] >= count else None
        return wait_until(enough, f"{count} messages at the sink", timeout)


def flow(relay, sink, folder, first_id, count, *options):
    """Sends at a steady rate; the latencies, from MAIL to the sink's 250."""
    sink.forget()
    load = Load(folder, relay.port, "--messages", count, "--rate", 100, "--sessions", 20,
                "--per-session", 0, *options, first_id=first_id)
    assert load.report()["accepted"] == count
    stats = sink.await_messages(count)
    assert (stats["unique_messages"], stats["duplicates"]) == (count, 0)
    return stats["latency_ms"]
