"""The store's file from wave to wave of mail of all sizes: what the first one took is used again."""

import pytest

from rig import Load, await_nothing_left, scaled

WAVES = 3
# (messages, size) of a wave
SIZES = {
    "mixed": scaled([(300, 4000), (20, 300_000), (2, 6 << 20)],
                    [(20000, 4000), (600, 300_000), (30, 6 << 20)]),
    "small": scaled([(600, 2000)], [(40000, 2000)]),
}
SETTINGS = {"store_map_size": "4GiB", "memory_body_max": "128KiB"}
DRAIN_S = 200


def offer(relay, folder, sizes, wave):
    """All sizes at once, to a next hop that is down."""
    loads = [Load(folder, relay.port, "--messages", messages, "--size", size, "--sessions", 8,
                  "--per-session", 0, first_id=1 + (wave * len(sizes) + number) * 1_000_000)
             for number, (messages, size) in enumerate(sizes)]
    for load, (messages, _) in zip(loads, sizes):
        assert load.report()["accepted"] == messages


@pytest.mark.parametrize("sizes", SIZES.values(), ids=SIZES)
def test_store_over_waves(make_sink, make_relay, tmp_path, hold, figure, sizes):
    relay = make_relay(**SETTINGS).start()
    peaks = []
    for wave in range(WAVES):
        offer(relay, tmp_path, sizes, wave)
        sink = make_sink(port=relay.hop_port)
        relay.ctl("queue", "retry", "--all", check=False)
        relay.drain(DRAIN_S)
        await_nothing_left(relay)
        sink.stop()
        peaks.append(relay.data_path.stat().st_blocks * 512)
    figure("file after each wave, MiB", [peak >> 20 for peak in peaks])
    hold(15, "the store's file, third wave to first", round(peaks[2] / peaks[0], 3), 1.5, goal=1.1)
    relay.stop()
