"""Queued mail follows a new configuration where an operator says so: queue reroute."""
import json
import subprocess

import pytest

from support import content
from support.dialogue import submit
from support.process import BIN
from support.relay import to
from support.wait import PATIENCE_S, wait_until

SAMPLE = content.message(b"hello")
PATIENT = {"retry_first": "60s", "retry_max": "60s"}
NOWHERE = {"hosts": ["[127.0.0.1]:1"], "tls": "none"}
DEAD = "hosts:[127.0.0.1]:1;tls=none"


def queued(start_relay, *recipients, routes=None, **keys):
    """A relay with a message that it cannot deliver, and its id."""
    relay = start_relay(routes=routes or {"*": NOWHERE}, **PATIENT, **keys)
    submit(relay, SAMPLE, *recipients)
    return relay, relay.wait_queued("backoff")[0]["id"]


def configure(relay, **routes):
    relay.sections["route"] = {name.replace("_", "."): keys for name, keys in routes.items()}
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"


def hop(sink):
    return f"hosts:[{sink.host}]:{sink.port};tls=none"


def rerouted(relay, *arguments):
    return json.loads(relay.ctl("--json", "queue", "reroute", *arguments).stdout)


def test_by_id(start_relay, start_sink):
    sink = start_sink()
    relay, message = queued(start_relay, "x@one.test", "y@two.test", event_log="events")
    configure(relay, one_test=to(sink), two_test=NOWHERE)
    wanted = (
        f"<x@one.test> moved\n    from {DEAD}\n    to   {hop(sink)}\n    by   route \"one.test\"\n"
        f"<y@two.test> same\n    from {DEAD}\n    to   {DEAD}\n    by   route \"two.test\"\n"
    )
    done = relay.ctl("queue", "reroute", message, "--dry-run").stdout.decode()
    assert done == wanted + "matching: would be rerouted (1 group of 1 message)\n"
    assert not relay.log("rerouted") and not sink.messages()
    done = relay.ctl("queue", "reroute", message).stdout.decode()
    assert done == wanted + "matching: rerouted (1 group of 1 message)\n"
    assert [m.recipients for m in sink.wait(1)] == [["x@one.test"]]
    (record,) = relay.log("rerouted", id=message, to="x@one.test")
    tenant = ";tenant=client.test"
    assert (record["destination"], record["before"]) == (hop(sink) + tenant, DEAD + tenant)
    wait_until(lambda: [each["address"] for each in relay.queue()[0]["recipients"]] == ["y@two.test"],
               "the delivery to be recorded")
    events = [json.loads(line) for line in (relay.folder / "events").read_text().splitlines()]
    (event,) = [event for event in events if event["event"] == "rerouted"]
    assert (event["id"], event["recipient"]) == (message, "x@one.test")


def test_by_filter(start_relay, start_sink):
    sink = start_sink()
    relay = start_relay(routes={"*": NOWHERE}, **PATIENT)
    for number in range(30):
        submit(relay, SAMPLE, f"r{number}@one.test", f"r{number}@two.test")
    configure(relay, one_test=to(sink), two_test={"reject": "5.1.2 gone"}, client_test={"hold": "x"})
    row = {"from": DEAD, "recipients": 30}
    routes = [{**row, "fate": "moved", "to": hop(sink), "route": "one.test"},
              {**row, "fate": "returned", "to": "gone", "route": "two.test"}]
    told = rerouted(relay, "--domain", "*.test", "--dry-run")
    assert told == {"ok": True, "id": "matching", "affected": 30, "groups": 30, "messages": 30,
                    "busy": 0, "moot": 0, "dry_run": True, "routes": routes}
    assert rerouted(relay, "--all") == {**told, "id": "all", "dry_run": False}
    assert len(sink.wait(30)) == 30
    wait_until(lambda: {m["sender"] for m in relay.queue()} == {""}, "only notifications")
    assert len(relay.queue()) == 30


def test_to_a_named_next_hop(start_relay, start_sink):
    sink = start_sink()
    relay, message = queued(start_relay, "x@one.test")
    (row,) = rerouted(relay, message, "--next-hop", hop(sink))["routes"]
    assert row == {"recipient": "x@one.test", "recipients": 1, "fate": "moved", "from": DEAD,
                   "to": hop(sink), "route": None}
    assert len(sink.wait(1)) == 1
    relay.wait_empty()


def test_what_is_held_waits_for_its_release(start_relay, start_sink):
    sink = start_sink()
    relay, message = queued(start_relay, "x@one.test")
    relay.ctl("queue", "hold", message)
    configure(relay, one_test=to(sink))
    relay.ctl("queue", "reroute", message)
    assert relay.wait_queued("held")[0]["recipients"][0]["destination"].startswith(hop(sink))
    relay.ctl("queue", "release", message)
    assert len(sink.wait(1)) == 1


def test_wrong_usage(start_relay):
    relay, message = queued(start_relay, "x@one.test")
    for arguments in ([], [message, "--all"], ["x"], [message, "--next-hop", "mx.test"]):
        assert relay.ctl("queue", "reroute", *arguments, check=False).returncode == 2
    assert relay.ctl("queue", "reroute", "0000000000001", check=False).returncode == 1
    relay.stop()
    done = relay.ctl("queue", "reroute", message, check=False)
    assert (done.returncode, done.stdout) == (3, b"")


@pytest.mark.parametrize("after", [1, 300, 1000])
def test_killed_meanwhile(after, start_relay, start_sink):
    """Whenever it is killed, each recipient is in the store once, on its old way or its new one."""
    count = 1500
    sink = start_sink()
    relay = start_relay(routes={"*": NOWHERE}, **PATIENT)
    relay.stop()
    store = relay.folder / relay.keys["store_path"]
    subprocess.run([BIN / "queue_fill", store, str(count), "5", "held"], check=True,
                   capture_output=True, timeout=PATIENCE_S)
    relay.start()
    relay.sections["route"] = {"*": to(sink)}
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    command = [BIN / "smarthopctl", "-c", relay.conf_path, "queue", "reroute", "--all"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        relay.wait_log("rerouted", after)
        relay.kill()
        running.communicate(timeout=PATIENCE_S)
    counted = json.loads(relay.ctl("queue", "count", "--json", "--newer", "1h").stdout)
    recipients = counted["recipients"]
    assert (counted["messages"], recipients) == (count, count + count // 2)  # as it was filled
    relay.start()
    relay.ctl("queue", "reroute", "--all")
    grouped = json.loads(relay.ctl("queue", "group-by", "destination", "--json").stdout)
    assert [(row["key"], row["recipients"]) for row in grouped] == [
        (hop(sink), recipients)]
    relay.ctl("queue", "release", "--all")
    relay.wait_empty()
    assert len(sink.messages()) == count
    assert len(sink.recipients()) == recipients
