"""Why mail is still here, and suspending it: by smarthopctl beside the daemon and without it."""
import json

from support import content
from support.dialogue import submit
from support.relay import to
from support.wait import wait_until

SAMPLE = content.message(b"hello")


def explained(relay, message):
    return json.loads(relay.ctl("queue", "explain", message, "--json").stdout)


def gates(relay, message):
    return {one["address"]: one["gate"] for one in explained(relay, message)["recipients"]}


def suspended(relay):
    found = json.loads(relay.ctl("queue", "suspensions", "--json").stdout)
    return [one["pattern"] for one in found]


def status(relay):
    return json.loads(relay.ctl("status", "--json").stdout)


def send(relay, *recipients):
    submit(relay, SAMPLE, *recipients)
    return relay.queue()[-1]["id"]


def test_each_recipient_has_its_own_gate(start_relay, start_sink):
    good, full = start_sink(), start_sink("--reply-rcpt", "450 4.2.2 mailbox is full")
    relay = start_relay(routes={"full.test": to(full), "held.test": {"hold": "look"},
                                "*": to(good)},
                        retry_first="60s", retry_max="60s")
    message = send(relay, "x@full.test", "y@held.test")
    wait_until(lambda: gates(relay, message).get("x@full.test") == "retry", "the first try")
    told = explained(relay, message)
    retried = next(one for one in told["recipients"] if one["address"] == "x@full.test")
    assert gates(relay, message) == {"x@full.test": "retry", "y@held.test": "held"}
    assert retried["tries"] == 1
    assert retried["status"]["text"] == "mailbox is full"
    assert told["now"] < retried["until"] < told["expires"]
    shown = relay.ctl("queue", "explain", message).stdout.decode()
    assert "waits for   retry: it waits for its next try" in shown
    assert "last said   450 4.2.2 mailbox is full" in shown
    assert relay.ctl("queue", "explain", "0000000000001", check=False).returncode == 1

    relay.stop()
    assert explained(relay, message)["down"] is True
    assert gates(relay, message) == {"x@full.test": "retry", "y@held.test": "held"}


def test_suspended_mail_waits_and_goes_on(start_relay, start_sink):
    one, other = start_sink(), start_sink()
    relay = start_relay(routes={"one.test": {**to(one), "hosts": [f"localhost:{one.port}"]},
                                "*": to(other)})
    relay.ctl("queue", "suspend", "LOCALHOST", "--for", "1h", "--reason", "new machine")
    message = send(relay, "x@one.test")
    wait_until(lambda: gates(relay, message) == {"x@one.test": "suspended"}, "the gate")
    assert relay.queue()[0]["recipients"][0]["state"] == "suspended"
    assert relay.queue()[0]["reason"] == 'an operator has suspended "localhost": new machine'
    submit(relay, SAMPLE, "y@two.test")
    other.wait(1)  # what goes elsewhere goes on
    assert status(relay)["suspensions"] == 1

    relay.restart()
    assert gates(relay, message) == {"x@one.test": "suspended"}
    assert one.messages() == []
    relay.ctl("queue", "resume", "localhost")
    wait_until(lambda: gates_are_open(relay), "nothing to be suspended")
    assert suspended(relay) == []
    assert relay.ctl("queue", "resume", "localhost", check=False).returncode == 1


def gates_are_open(relay):
    return all(one["state"] != "suspended" for message in relay.queue()
               for one in message["recipients"])


def test_the_whole_queue_without_a_daemon(start_relay, start_sink):
    sink = start_sink()
    relay = start_relay(routes={"*": to(sink)})
    relay.stop()
    relay.ctl("queue", "suspend", "*", "--for", "1h", "--reason", "quiet")
    relay.start()
    message = send(relay, "x@one.test")
    wait_until(lambda: gates(relay, message) == {"x@one.test": "suspended"}, "the gate")
    relay.stop()
    assert gates(relay, message) == {"x@one.test": "suspended"}
    relay.ctl("queue", "resume", "*")
    assert gates(relay, message) == {"x@one.test": "down"}
    relay.start()
    sink.wait(1)
    relay.wait_empty()


def test_wrong_usage(start_relay, start_sink):
    relay = start_relay(routes={"*": to(start_sink())})
    for wrong in (["*", "--reason", "x"], ["*", "--for", "1h"],
                  ["a b", "--for", "1h", "--reason", "x"],
                  ["*", "--for", "1h", "--until", "2100-01-01T00:00", "--reason", "x"],
                  ["*", "--until", "2001-01-01T00:00", "--reason", "x"],
                  ["*", "--until", "soon", "--reason", "x"]):
        assert relay.ctl("queue", "suspend", *wrong, check=False).returncode == 2
    assert suspended(relay) == []


def test_suspended_mail_ends_at_its_time(start_relay, start_sink):
    relay = start_relay(routes={"client.test": {"discard": True}, "*": to(start_sink())},
                        expire_after="10s", bounce_expire_after="10s", delay_warning_after="0")
    relay.ctl("queue", "suspend", "*", "--for", "1h", "--reason", "quiet")
    send(relay, "x@one.test")
    relay.wait_log("expired")
    relay.wait_empty()
    assert status(relay)["overdue"] == 0
    assert status(relay)["oldest"] == 0
