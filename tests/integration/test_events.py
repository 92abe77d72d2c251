"""The event log: a JSON object for each outcome of each recipient."""
import json
import signal

from support import content
from support.dialogue import submit
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")
SENDER = "sender@client.test"
MIXED = ["--reply-rcpt", "no@*=550 5.1.1 no such user",
         "--reply-rcpt", "later@*=450 4.2.1 \xe4 come \"later\""]


def read(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def of(file, event, recipient=None):
    return [one for one in read(file) if one["event"] == event
            and recipient in (None, one.get("recipient"))]


def test_outcomes(start, sink, tmp_path):
    file = tmp_path / "events"
    relay, next_hop = start(*MIXED, event_log=str(file), retry_first="1h", retry_max="1h")

    def wait_deferred(tries):
        """Recorded as well as told: no try is under way."""
        def is_recorded():
            [later] = [one for message in relay.queue() for one in message["recipients"]
                       if one["address"] == "later@example.test"]
            return (later["state"], later["tries"]) == ("waiting", tries)
        wait_until(is_recorded, f"try {tries}")

    [queue_id] = submit(relay, MESSAGE, "ok@example.test", "no@example.test", "later@example.test")
    sink.wait(1)
    wait_deferred(1)
    relay.ctl("queue", "retry", queue_id)
    wait_deferred(2)

    accepted = of(file, "accepted")
    assert {one["recipient"] for one in accepted} == {
        "ok@example.test", "no@example.test", "later@example.test"}
    assert all(one["id"] == queue_id and one["sender"] == SENDER for one in accepted)

    [delivered] = of(file, "delivered", "ok@example.test")
    assert delivered["address"] == f"[127.0.0.1]:{next_hop.port}" and delivered["code"] == 250
    assert delivered["said"] and delivered["tries"] == 0 and delivered["tenant"] == "client.test"
    phases = ["connect_ms", "hello_ms", "tls_ms", "login_ms", "envelope_ms", "data_ms", "final_ms"]
    assert all(0 <= delivered[phase] < 60_000 for phase in [*phases, "attempt_ms", "age_ms"])
    assert abs(delivered["time"] - delivered["arrival"] - delivered["age_ms"]) < 60_000

    [failed] = of(file, "failed", "no@example.test")
    assert (failed["code"], failed["enhanced"], failed["text"], failed["class"]) == (
        550, "5.1.1", "no such user", "bad-mailbox")
    first, second = of(file, "deferred", "later@example.test")[:2]
    assert (first["tries"], second["tries"]) == (0, 1)
    assert first["class"] == "temporary" and 'come "later"' in first["text"]

    [notified] = of(file, "notified")
    assert notified["id"] == queue_id and "recipient" not in notified
    [told] = wait_until(lambda: of(file, "delivered", SENDER), "the notification's delivery")
    assert told["id"] == notified["notification"] and told["sender"] == ""

    relay.ctl("queue", "hold", queue_id)
    relay.ctl("queue", "release", queue_id)
    wait_deferred(3)
    relay.ctl("queue", "remove", queue_id)
    wait_until(lambda: of(file, "removed", "later@example.test"), "the removal")
    assert of(file, "held") and of(file, "released")
    relay.stop()


def test_unreachable(start_relay, sink, tmp_path):
    """Given up without ever having been tried: nobody was asked."""
    file = tmp_path / "events"
    sink.stop()
    relay = start_relay(routes={"client.test": {"discard": True}, "*": to(sink)},
                        event_log=str(file), expire_after="300ms")
    submit(relay, MESSAGE, "to@example.test")
    wait_until(lambda: file.exists() and of(file, "expired"), "the end")
    [expired] = of(file, "expired")
    assert expired["recipient"] == "to@example.test" and "attempt_ms" not in expired
    relay.stop()


def test_rotation_and_stop(start, tmp_path):
    """Nothing is lost by either."""
    file, old = tmp_path / "events", tmp_path / "events.1"
    relay, next_hop = start(event_log=str(file))
    submit(relay, MESSAGE, "first@example.test", count=20)
    next_hop.wait(20)
    wait_until(lambda: len(of(file, "delivered")) == 20, "20 events")
    file.rename(old)
    relay.process.signal(signal.SIGUSR1)
    wait_until(file.exists, "the new file")
    submit(relay, MESSAGE, "second@example.test", count=20)
    next_hop.wait(40)
    relay.wait_empty()
    relay.stop()
    assert len(of(old, "delivered", "first@example.test")) == 20
    assert len(of(file, "delivered", "second@example.test")) == 20
    assert len(read(old)) == len(read(file)) == 40


def test_off(start, tmp_path):
    relay, next_hop = start()
    submit(relay, MESSAGE, "to@example.test")
    next_hop.wait(1)
    relay.stop()
    assert not list(relay.folder.glob("*event*"))
