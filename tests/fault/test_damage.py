"""Flipped bits in the store: what was altered is never delivered as good, is named in the log, and
keeps nobody else waiting."""

import subprocess

import pytest

from rig import scaled, simple_message, subject_of, transact
from support.dialogue import Dialogue
from support.wait import wait_until

MESSAGES = 24
VICTIM = "message-012"
FLIPS = scaled(10, 40)
FLIPPED_BITS = 20


def message_of(subject):
    """Every third one is large enough to be staged."""
    return simple_message(subject, lines=1500 if int(subject[-3:]) % 3 == 0 else 40)


@pytest.fixture
def stopped(make_relay):
    """(relay, ids by subject): a relay that is down, with mail in its store for a next hop that
    was down."""
    relay = make_relay(memory_body_max="16KiB", queue_memory_max=0).start()
    ids = {}
    with Dialogue(relay.port).hello() as client:
        for number in range(MESSAGES):
            subject = f"message-{number:03d}"
            reply = transact(client, message_of(subject), sender=f"from-{subject}@client.test",
                             recipient=f"to-{subject}@example.test")
            assert reply.code == 250
            ids[subject] = reply.text.split()[-1]
    relay.stop()
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


@pytest.mark.parametrize("text", [f"{VICTIM} line 000011", f"{VICTIM} line 001234",
                                  f"from-{VICTIM}@client.test", f"to-{VICTIM}@example.test"],
                         ids=["body", "staged body", "envelope", "recipient"])
def test_flipped_bit(stopped, make_sink, hold, text):
    relay, ids = stopped
    for offset in offsets_of(relay.data_path, text.encode()):
        flip(relay.data_path, offset + 3, 2)
    sink = make_sink(port=relay.hop_port)
    relay.start()
    sink.wait(MESSAGES - 1)
    wait_until(lambda: relay.queued() <= 1, "all others to be delivered")
    got = {subject_of(message.content) for message in sink.messages()}
    hold(14, "one flipped bit: altered messages delivered", len(got & {VICTIM}), 0)
    hold(14, "one flipped bit: other messages not delivered", len(set(ids) - {VICTIM} - got), 0)
    named = relay.wait_log("message-damaged", id=ids[VICTIM])[0]
    assert named["level"] == "error"
    wait_until(lambda: relay.queued() == 1, "an empty queue but for the damaged message")
    relay.stop()


def test_flipped_bits_anywhere(stopped, make_sink, rng, figure, hold):
    """Damage to the store's own pages may take the relay down, with whatever it then cannot read;
    even so nothing altered leaves it."""
    relay, _ = stopped
    whole = relay.data_path.read_bytes()
    alive, altered = 0, 0
    for _ in range(FLIPS):
        relay.data_path.write_bytes(whole)
        for _ in range(FLIPPED_BITS):
            flip(relay.data_path, rng.randrange(len(whole)), rng.randrange(8))
        sink = make_sink(port=relay.hop_port)
        try:
            relay.start()
            wait_until(lambda: not relay.is_running() or relay.queued() == 0, "the end", 1)
        except (AssertionError, OSError, subprocess.SubprocessError):
            pass  # it died, refused to start, or keeps what is damaged
        alive += relay.is_running()
        relay.kill()
        altered += sum(not message.content.endswith(message_of(subject_of(message.content)))
                       for message in sink.messages())
        sink.stop()
    hold(14, "20 flipped bits anywhere: altered messages delivered", altered, 0)
    figure(f"relays alive with {FLIPPED_BITS} bits flipped", f"{alive} of {FLIPS}")
