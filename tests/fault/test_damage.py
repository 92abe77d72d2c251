"""Flipped bits in the store: what was altered is never delivered as good, is named in the log, and
keeps nobody else waiting."""

import os

import pytest

from relay_harness import Sink, free_port, simple_message, Client, wait_until

MESSAGES = 24
VICTIM = MESSAGES // 2
FLIPS = int(os.environ.get("SMARTHOP_FLIPS", 10))
OTHERS_S = 10


def subject(number):
    return f"message-{number:03d}"


def message_of(number):
    return simple_message(subject(number), lines=40 if number % 3 else 1500)


def number_of(message):
    return int(message.partition(b"\r\nSubject: message-")[2][:3])


@pytest.fixture
def stopped(make_relay):
    """(relay, ids): a relay that is down, with mail in its store for a next hop that was down."""
    relay = make_relay(free_port(), memory_body_max="16KiB", queue_memory_max="0")
    relay.start()
    ids = []
    with Client(relay.port) as client:
        client.hello()
        for number in range(MESSAGES):
            code, text = client.transact(message_of(number), sender=f"from-{number:03d}@client.test",
                                         recipient=f"to-{number:03d}@example.test")
            assert code == 250
            ids.append(text.rpartition(" ")[2])
    assert relay.stop() == 0
    return relay, ids


def flip(path, offset, bit):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ (1 << bit)]))


def offsets_of(path, text):
    """Each place of the text in the file: LMDB may have left older copies of a page."""
    content, found, at = path.read_bytes(), [], -1
    while (at := content.find(text, at + 1)) >= 0:
        found.append(at)
    assert found, f"{text} is not in the store"
    return found


def restart(relay, started, folder):
    sink = Sink(folder / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    relay.start()
    return sink


DAMAGES = {
    "body": f"{subject(VICTIM)} line 000011",
    "staged body": f"{subject(VICTIM)} line 001234",
    "envelope": f"from-{VICTIM:03d}@client.test",
    "recipient": f"to-{VICTIM:03d}@example.test",
}


@pytest.mark.parametrize("text", DAMAGES.values(), ids=DAMAGES.keys())
def test_flipped_bit(stopped, started, tmp_path, text):
    relay, ids = stopped
    for offset in offsets_of(relay.data_path, text.encode()):
        flip(relay.data_path, offset + 3, 2)
    sink = restart(relay, started, tmp_path)
    wait_until(lambda: len(sink.messages()) >= MESSAGES - 1, OTHERS_S, "all other mail")
    named = wait_until(lambda: [event for event in relay.events("message-damaged")
                                if event["id"] == ids[VICTIM]], 5, "the damaged message's name")
    assert named[0]["level"] == "error"
    got = sorted(number_of(message) for message in sink.messages())
    assert got == [number for number in range(MESSAGES) if number != VICTIM]
    assert relay.queued() == 1
    assert relay.is_alive()
    assert relay.stop() == 0


def test_flipped_bits_anywhere(stopped, started, tmp_path, rng, figure):
    """Damage to the store's own pages may take the relay down, with whatever it then cannot read;
    even so nothing altered leaves it."""
    relay, _ = stopped
    whole = relay.data_path.read_bytes()
    survived = 0
    for n in range(FLIPS):
        relay.data_path.write_bytes(whole)
        for _ in range(20):
            flip(relay.data_path, rng.randrange(len(whole)), rng.randrange(8))
        folder = tmp_path / f"flips-{n}"
        sink = Sink(folder, port=relay.hop_port)
        started.append(sink)
        sink.start()
        try:
            relay.start()
            wait_until(lambda: not relay.is_alive() or relay.queued() == 0, 1, "the end")
        except (OSError, RuntimeError, TimeoutError, ValueError):
            pass  # it died, refused to start, or keeps what is damaged
        survived += relay.is_alive()
        relay.kill()
        for message in sink.messages():
            assert message.endswith(message_of(number_of(message)))
        sink.stop()
    figure("of the relays with 20 flipped bits alive at the end", f"{survived} of {FLIPS}")
