"""kill -9 in the midst of everything: what was acknowledged arrives, once but for what was in
flight, unaltered, and nothing is left behind."""

from rig import Load, assert_unaltered, await_nothing_left, elapse, scaled

KILLS = scaled(10, 100)
LARGE_KILLS = max(2, KILLS // 5)
CONNECTIONS = 8
DUPLICATES_MOST = 2 * CONNECTIONS  # a kill: on each connection a message, and one being settled
DRAIN_S = 60
START_S = 5
SIZE = 6000
LARGE = 5 << 20
STAGED = {"memory_body_max": "128KiB"}
LOAD = ("--messages", 500000, "--rate", 600, "--deadline", 60)


def kill_in_waves(relay, rng, folder, kills, *load_options):
    """Starts the relay, loads it, kills it, as often as asked; it runs at the end. Returns the
    acknowledged ids and the seconds that each start took."""
    acked, starts = set(), []
    for wave in range(kills):
        starts.append(relay.start().start_seconds)
        load = Load(folder, relay.port, *LOAD, *load_options, first_id=1 + wave * 1000000)
        elapse(rng.uniform(0.05, 0.8))
        relay.kill()
        load.cut()
        acked |= load.acked()
    starts.append(relay.start().start_seconds)
    return acked, starts


def test_kill_under_load(make_sink, make_relay, rng, tmp_path, figure, hold):
    sink = make_sink()
    relay = make_relay(sink.port, connections_per_destination=CONNECTIONS)
    acked, starts = kill_in_waves(relay, rng, tmp_path, KILLS, "--sessions", 16,
                                  "--per-session", 5, "--size", SIZE)
    relay.drain(DRAIN_S)
    duplicates = sink.stats()["duplicates"]
    figure("acknowledged", len(acked))
    figure("kills", KILLS)
    assert len(acked) > 50 * KILLS, "too little mail was under way for the kills to mean anything"
    hold(1, "kill -9 under load: messages lost", len(acked - sink.load_ids()), 0)
    hold(2, "kill -9 under load: duplicates a kill", duplicates / KILLS, DUPLICATES_MOST, goal=0.5)
    hold(3, "kill -9 under load: slowest start, s", round(max(starts), 3), START_S, goal=0.5)
    assert_unaltered(sink, SIZE)
    await_nothing_left(relay)
    relay.stop()


def test_kill_with_a_rude_next_hop(make_sink, make_relay, rng, tmp_path, figure, hold):
    sink = make_sink("--reply-mail", "10%=451 4.3.0 later", "--reply-connect", "2%=421 4.3.2 busy",
                     "--drop-at", "5%=data", "--drop-at", "5%=final")
    relay = make_relay(sink.port, connections_per_destination=CONNECTIONS)
    acked, _ = kill_in_waves(relay, rng, tmp_path, KILLS, "--sessions", 16, "--per-session", 5,
                             "--size", SIZE)
    relay.drain(DRAIN_S)
    duplicates = sink.stats()["duplicates"]
    figure("acknowledged", len(acked))
    hold(1, "kill -9, rude next hop: messages lost", len(acked - sink.load_ids()), 0)
    hold(2, "kill -9, rude next hop: duplicates a kill", duplicates / KILLS, DUPLICATES_MOST)
    assert_unaltered(sink, SIZE)
    await_nothing_left(relay)
    relay.stop()


def test_kill_while_large_messages_arrive(make_sink, make_relay, rng, tmp_path, figure, hold):
    """How the file's size goes from wave to wave is test_store_size's to tell: here chance decides
    how much mail is queued at once, and so how large the file has to be."""
    sink = make_sink()
    relay = make_relay(sink.port, connections_per_destination=CONNECTIONS, **STAGED)
    acked, _ = kill_in_waves(relay, rng, tmp_path, 2 * LARGE_KILLS, "--sessions", 4, "--size", LARGE)
    relay.drain(DRAIN_S)
    await_nothing_left(relay)
    relay.stop()
    figure("acknowledged", len(acked))
    hold(1, "kill -9, large messages: messages lost", len(acked - sink.load_ids()), 0)
    assert_unaltered(sink, LARGE)
