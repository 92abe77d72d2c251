"""kill -9 in the midst of everything: what was acknowledged arrives, once but for what was in
flight, unaltered, and nothing is left behind."""

import os

from rig import Load, assert_unaltered, elapse
from support.wait import wait_until

KILLS = int(os.environ.get("SMARTHOP_KILLS", 20))
LARGE_KILLS = max(2, KILLS // 5)
CONNECTIONS = 8
DUPLICATES_MOST = 2 * CONNECTIONS  # a kill: on each connection a message, and one being settled
DRAIN_S = 60
RECOVERY_S = 10
START_S = 5
SIZE = 6000
LARGE = 5 << 20
STAGED = {"memory_body_max": "128KiB"}
LOAD = ("--messages", 500000, "--rate", 600, "--deadline", 60)


def kill_in_waves(relay, rng, folder, kills, *load_options, first_wave=0):
    """Starts the relay, loads it, kills it, as often as asked; it runs at the end. Returns the
    acknowledged ids and the seconds that each start took."""
    acked, starts = set(), []
    for wave in range(first_wave, first_wave + kills):
        starts.append(relay.start().start_seconds)
        load = Load(folder, relay.port, *LOAD, *load_options, first_id=1 + wave * 1000000)
        elapse(rng.uniform(0.05, 0.8))
        relay.kill()
        load.cut()
        acked |= load.acked()
    starts.append(relay.start().start_seconds)
    return acked, starts


def await_nothing_left(relay):
    """Until no row of any message is in the store, nor any chunk of a body."""
    def is_bare():
        rows = relay.store_rows()
        return not any(rows[table] for table in ("message", "group", "body", "due", "deadline"))
    wait_until(is_bare, "a store without rows of messages", RECOVERY_S)


def test_kill_under_load(make_sink, make_relay, rng, tmp_path, figure):
    sink = make_sink()
    relay = make_relay(sink.port, connections_per_destination=CONNECTIONS)
    acked, starts = kill_in_waves(relay, rng, tmp_path, KILLS, "--sessions", 16,
                                  "--per-session", 5, "--size", SIZE)
    relay.drain(DRAIN_S)
    duplicates = sink.stats()["duplicates"]
    figure("acknowledged", len(acked))
    figure("duplicates a kill", duplicates / KILLS)
    figure("slowest start, s", f"{max(starts):.3f}")
    assert len(acked) > 50 * KILLS, "too little mail was under way for the kills to mean anything"
    assert acked - sink.load_ids() == set()
    assert duplicates <= DUPLICATES_MOST * KILLS
    assert max(starts) < START_S
    assert_unaltered(sink, SIZE)
    await_nothing_left(relay)
    relay.stop()


def test_kill_with_a_rude_next_hop(make_sink, make_relay, rng, tmp_path, figure):
    sink = make_sink("--reply-mail", "10%=451 4.3.0 later", "--reply-connect", "2%=421 4.3.2 busy",
                     "--drop-at", "5%=data", "--drop-at", "5%=final")
    relay = make_relay(sink.port, connections_per_destination=CONNECTIONS)
    acked, _ = kill_in_waves(relay, rng, tmp_path, KILLS, "--sessions", 16, "--per-session", 5,
                             "--size", SIZE)
    relay.drain(DRAIN_S)
    duplicates = sink.stats()["duplicates"]
    figure("acknowledged", len(acked))
    figure("duplicates a kill", duplicates / KILLS)
    assert acked - sink.load_ids() == set()
    assert duplicates <= DUPLICATES_MOST * KILLS
    assert_unaltered(sink, SIZE)
    await_nothing_left(relay)
    relay.stop()


def test_kill_while_large_messages_arrive(make_sink, make_relay, rng, tmp_path, figure):
    """Three waves: what the first leaves in the file is used again by the others."""
    sink = make_sink()
    relay = make_relay(sink.port, connections_per_destination=CONNECTIONS, **STAGED)
    acked, peaks = set(), []
    for wave in range(3):
        got, _ = kill_in_waves(relay, rng, tmp_path, LARGE_KILLS, "--sessions", 4, "--size",
                               LARGE, first_wave=wave * LARGE_KILLS)
        acked |= got
        relay.drain(DRAIN_S)
        await_nothing_left(relay)
        relay.stop()
        peaks.append(relay.data_path.stat().st_size)
    figure("acknowledged", len(acked))
    figure("file after each wave, MiB", [peak >> 20 for peak in peaks])
    assert acked - sink.load_ids() == set()
    assert_unaltered(sink, LARGE)
    assert peaks[2] <= 1.5 * peaks[0]
