"""What an operator sees of destinations while the daemon runs."""
import json

import pytest
from support import content
from support.dialogue import submit
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"Hello.")


def destinations(relay, *words):
    return json.loads(relay.ctl("destination", *(words or ["list"]), "--json").stdout)


def wait_for(relay, state, *words):
    def found():
        listed = destinations(relay, *words)
        return listed if [one["state"] for one in listed] == [state] else None
    return wait_until(found, f"a destination that is {state}")[0]


def test_nothing(start):
    relay, _ = start()
    assert destinations(relay) == []
    assert b"No destination has mail in hand" in relay.ctl("destination", "list").stdout
    shown = relay.ctl("destination", "show", "nobody.test", check=False)
    assert (shown.returncode, shown.stdout) == (1, b"")
    assert b"nobody.test" in shown.stderr


def test_a_breaker(start):
    """What is left alone, until when, and why."""
    relay, next_hop = start(retry_first="1h", retry_max="1h")
    next_hop.stop()
    submit(relay, MESSAGE, "a@example.test")
    one = wait_for(relay, "backoff")
    assert one["breaker"] == "open"
    assert one["failures"] == 1
    assert one["tenant"] == "client.test"
    assert one["next_hop"] in one["key"]
    assert "Connection refused" in one["why"]
    assert one["backoff_until"] > 0 and one["rate_until"] is None
    assert [(host["name"], host["address"], host["connections"]) for host in one["hosts"]] == [
        ("127.0.0.1", f"127.0.0.1:{next_hop.port}", 0)]
    assert one["connections"] == 0 and one["connections_allowed"] == 1
    [row, why] = relay.ctl("destination", "list").stdout.splitlines()[1:]
    assert row.startswith(b"backoff") and b"Connection refused" in why
    text = relay.ctl("destination", "show", "127.0.0.1").stdout
    assert b"open, 1 failures in a row" in text and b"Left alone" in text


def test_a_suspension(start):
    relay, next_hop = start()
    relay.ctl("queue", "suspend", "127.0.0.1", "--for", "1h", "--reason", "works")
    submit(relay, MESSAGE, "a@example.test")
    one = wait_for(relay, "suspended")
    assert one["why"] == "works" and one["suspended_until"] > 0
    relay.ctl("queue", "resume", "127.0.0.1")
    next_hop.wait(1)
    relay.wait_empty()


def test_a_rate(start):
    relay, next_hop = start(destinations={"127.0.0.1": {"messages_per_day": 1, "connections": 3}})
    for _ in range(3):
        submit(relay, MESSAGE, "a@example.test")
    next_hop.wait(1)
    one = wait_for(relay, "rate")
    assert one["rate_until"] > 0 and one["breaker"] == "closed"
    assert one["connections_most"] == 3
    assert one["ready"] + one["sending"] >= 1


@pytest.mark.parametrize("pattern, count", [("127.0.0.1", 2), ("two.test", 1), ("*", 2),
                                            ("absent.test", 0)])
def test_choosing(pattern, count, start_relay, start_sink):
    """By host, as suspensions do, or by a part of the key."""
    relay = start_relay(routes={"*": to(start_sink())}, retry_first="1h", retry_max="1h")
    relay.ctl("queue", "suspend", "*", "--for", "1h", "--reason", "works")
    submit(relay, MESSAGE, "a@example.test", sender="x@one.test")
    submit(relay, MESSAGE, "a@example.test", sender="x@two.test")
    wait_until(lambda: len(destinations(relay)) == 2, "two tenants")
    assert len(destinations(relay, "list", pattern)) == count


def test_many(start_relay, start_sink):
    """More than a page of each worker; each is told once."""
    relay = start_relay(routes={"*": to(start_sink())}, recipients_max=1000)
    relay.ctl("queue", "suspend", "*", "--for", "1h", "--reason", "works")
    for number in range(200):
        submit(relay, MESSAGE, "a@example.test", sender=f"x@tenant{number}.test")
    wait_until(lambda: len(destinations(relay)) >= 200, "200 tenants")
    tenants = [one["tenant"] for one in destinations(relay)]
    assert sorted(tenants) == sorted(f"tenant{number}.test" for number in range(200))


def test_without_a_daemon(start):
    relay, _ = start()
    relay.stop()
    listed = relay.ctl("destination", "list", check=False)
    assert listed.returncode == 3
    assert b"not running" in listed.stderr
