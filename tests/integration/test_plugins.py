"""Plugins that route: asked at RCPT, or once the message is there."""
import collections
import json
import os
import re
import smtplib
from pathlib import Path

import pytest

from support import content
from support.dialogue import Dialogue, submit
from support.process import BIN, run

PLUGINS = Path(os.environ["SMARTHOP_BIN"]).parent / "tests" / "plugins"
MESSAGE = content.message(b"hello")
REFUSE = {"*": {"reject": "5.7.1 no route"}}


def plugin(name, sink, **keys):
    """The keys of its section."""
    return {"file": str(PLUGINS / f"{name}.so"), "next_hop": sink.host, "port": sink.port, **keys}


@pytest.fixture
def start(start_relay, sink):
    def make(*names, routes=None, **keys):
        plugins = {name: plugin(name, sink, **keys.pop(name, {})) for name in names}
        return start_relay(plugins=plugins, routes=routes or REFUSE, **keys)
    return make


def say(relay, *recipients, message=MESSAGE):
    """What came of each recipient, and of the message: codes with their texts."""
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.ehlo("client.test")
        client.mail("from@client.test")
        said = {one: client.rcpt(one) for one in recipients}
        end = client.data(message) if any(code == 250 for code, _ in said.values()) else None
    return said, end


def test_at_rcpt(start, sink):
    relay = start("puppet")
    said, end = say(relay, "send@a.test", "reject@a.test", "defer@a.test", "other@a.test",
                    "hold@a.test", "discard@a.test", "promise@a.test")
    assert {one: code for one, (code, _) in said.items()} == {
        "send@a.test": 250, "reject@a.test": 550, "defer@a.test": 451, "other@a.test": 550,
        "hold@a.test": 250, "discard@a.test": 250, "promise@a.test": 250}
    assert said["reject@a.test"][1] == b"5.7.1 so says the puppet"
    assert said["other@a.test"][1] == b"5.7.1 no route"  # relay.conf's
    assert end[0] == 250
    sink.wait(1)
    assert sorted(sink.messages()[0].recipients) == ["promise@a.test", "send@a.test"]
    [held] = relay.wait_queued("held")
    assert [one["address"] for one in held["recipients"]] == ["hold@a.test"]
    relay.wait_log("plugin-completion", text="it has been answered already")
    relay.stop()


def test_split(start, sink):
    relay = start("puppet", routes={"split.test": {"hold": "the part that stays"}})
    submit(relay, MESSAGE, "split@split.test")
    sink.wait(1)
    assert sorted(sink.messages()[0].recipients) == ["send+one@split.test", "send+two@split.test"]
    [held] = relay.wait_queued("held")
    assert [one["address"] for one in held["recipients"]] == ["split@split.test"]
    said, _ = say(relay, "round@a.test")
    assert said["round@a.test"][0] == 550 and b"5.4.6" in said["round@a.test"][1]
    relay.stop()


@pytest.mark.parametrize("is_running", [True, False])
def test_explained(start, is_running):
    """Who decided, and why; also while the daemon is down."""
    relay = start("puppet", puppet={"port": 1}, retry_first="1h", retry_max="1h")
    submit(relay, MESSAGE, "send@a.test")
    [waiting] = relay.wait_queued("backoff")
    if not is_running:
        relay.stop()
    shown = json.loads(relay.ctl("queue", "explain", waiting["id"], "--json").stdout)
    assert shown["recipients"][0]["routed_by"] == "puppet: the puppet was told to"
    text = relay.ctl("queue", "explain", waiting["id"]).stdout.decode()
    assert re.search(r"routed by +puppet: the puppet was told to\n", text)
    if is_running:
        relay.stop()


def test_sender(start, sink):
    relay = start("puppet")
    submit(relay, MESSAGE, "send+sender@a.test", "send@a.test")
    sink.wait(2)
    assert {one.sender: one.recipients for one in sink.messages()} == {
        "other@sender.test": ["send+sender@a.test"], "sender@client.test": ["send@a.test"]}
    relay.stop()


def test_no_sender(start, sink):
    """What is no address does not come into a command."""
    relay = start("puppet")
    said, _ = say(relay, "send+forged@a.test", "send@a.test")
    assert said["send+forged@a.test"] == (
        451, b"4.3.5 The sender cannot be rewritten, try again later")
    [told] = relay.wait_log("plugin-next-hop-refused", recipient="send+forged@a.test")
    assert (told["plugin"], told["text"]) == ("puppet", "a sender that is no address")
    assert sink.wait(1)[0].recipients == ["send@a.test"]
    relay.stop()


def test_fail_modes(start, sink):
    relay = start("puppet", puppet={"timeout": "50ms", "strikes": 1000})
    said, _ = say(relay, "never@a.test", "broken@a.test")
    assert [code for code, _ in said.values()] == [451, 451]
    relay.stop()
    relay = start("puppet", puppet={"timeout": "50ms", "fail": "open", "strikes": 1000})
    said, _ = say(relay, "never@a.test", "broken@a.test")
    assert {text for _, text in said.values()} == {b"5.7.1 no route"}
    relay.stop()


@pytest.mark.parametrize("router, step", [("puppet", "rcpt"), ("puppet_reader", "data")])
@pytest.mark.parametrize("end", ["stop", "dismissal", "reset", "leave"])
def test_ends(start, router, step, end):
    """Nobody waits for a route any more: the plugin hears of it, and nothing is taken."""
    relay = start(router, **{router: {"timeout": "10m"}})
    with Dialogue(relay.port).hello() as client:
        assert client.command("MAIL FROM:<a@client.test>").code == 250
        client.send(b"RCPT TO:<never@a.test>\r\n")
        if step == "data":
            assert client.reply().code == 250
            assert client.command("DATA").code == 354
            client.send(content.stuffed(MESSAGE))
        relay.wait_log("plugin", what="waiting")
        if end == "stop":
            relay.stop()
        elif end == "dismissal":
            [session] = json.loads(relay.ctl("sessions", "--json").stdout)
            relay.ctl("session", "end", str(session["session"]))
        elif end == "leave":
            client.close()
        else:
            client.reset()
    relay.wait_log("plugin", what="cancelled")
    if relay.is_running():
        assert relay.queue() == []
        relay.stop()


def test_half_closed(start, sink):
    """A client that has shut down its side is answered, also where plugins take their time."""
    relay = start("puppet")
    with Dialogue(relay.port).hello() as client:
        client.send(b"MAIL FROM:<a@client.test>\r\nRCPT TO:<promise@a.test>\r\n"
                    b"RCPT TO:<promise+2@a.test>\r\nQUIT\r\n")
        client.shut_down()
        assert [client.reply().code for _ in range(4)] == [250, 250, 250, 221]
    relay.stop()


def test_header(start, sink):
    """The recipient is taken at RCPT; what the plugin says once it has seen the header counts."""
    relay = start("puppet_reader", routes={"client.test": {"hold": "bounces"}, **REFUSE})
    said, end = say(relay, "header@a.test", message=b"X-Send: yes\r\n" + MESSAGE)
    assert (said["header@a.test"][0], end[0]) == (250, 250)
    relay.wait_empty()

    said, end = say(relay, "header@a.test")
    assert said["header@a.test"][0] == 250 and end == (550, b"5.7.1 so says the puppet")
    assert relay.queue() == []

    # One of two: it has been accepted, so its sender hears of it.
    said, end = say(relay, "header@a.test", "send@a.test")
    assert end[0] == 250
    sink.wait(2)
    assert sink.messages()[1].recipients == ["send@a.test"]
    relay.wait_log("failed", to="header@a.test", code="550")
    [bounce] = relay.wait_queued("held")
    assert bounce["sender"] == ""

    said, end = say(relay, "defer@a.test", "send@a.test")
    assert end == (451, b"4.7.1 so says the puppet")
    relay.stop()


def test_large_header(start, sink):
    """Also where the body has left memory before the end of data."""
    relay = start("puppet_reader", memory_body_max="64KiB", store_map_size="1GiB")
    filler = b"".join(b"X-Filler-%d: %s\r\n" % (n, b"x" * 900) for n in range(150))
    large = filler + b"X-Send: yes\r\n" + content.message(*[b"y" * 70] * 10_000)
    submit(relay, large, "header@a.test")
    assert sink.wait(1)[0].content.endswith(large)
    relay.stop()


def test_reload(start, sink):
    """A new section is a new plugin; one that cannot be used leaves all as it was."""
    relay = start("puppet")
    submit(relay, MESSAGE, "send@a.test")
    sink.wait(1)
    relay.sections["plugin"]["puppet"]["nonsense"] = "1"
    relay.write_conf()
    refused = relay.reload()
    assert refused["event"] == "reload-refused" and "unknown key nonsense" in refused["text"]
    submit(relay, MESSAGE, "send@a.test")
    sink.wait(2)
    del relay.sections["plugin"]["puppet"]
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    said, _ = say(relay, "send@a.test")
    assert said["send@a.test"][1] == b"5.7.1 no route"
    relay.stop()


def test_notifications(start_relay, start_sink):
    """They pass plugins too, and none can keep one from going."""
    sink = start_sink("--reply-rcpt", "send+no@*=550 5.1.1 nobody")
    to_sink = {"hosts": [f"[{sink.host}]:{sink.port}"], "tls": "none"}
    relay = start_relay(plugins={"puppet": plugin("puppet", sink)},
                        routes={"client.test": to_sink, **REFUSE})
    submit(relay, MESSAGE, "send+no@a.test", sender="reject@client.test")
    assert sink.wait(1)[0].recipients == ["reject@client.test"]
    submit(relay, MESSAGE, "send+no@a.test", sender="send@elsewhere.test")
    assert sink.wait(2)[1].recipients == ["send@elsewhere.test"]
    relay.stop()


def test_check(start, sink):
    """smarthopd -t tells what is wrong with a section, and starts nothing."""
    relay = start("puppet")
    relay.sections["plugin"]["puppet"] |= {"port": 99999, "nonsense": "1"}
    relay.write_conf()
    checked = run(BIN / "smarthopd", "-c", relay.conf_path, "-t", check=False)
    assert checked.returncode == 1
    assert b'port: "99999"' in checked.stderr and b"unknown key nonsense" in checked.stderr
    relay.sections["plugin"]["puppet"] |= {"file": "/nonexistent.so"}
    relay.write_conf()
    checked = run(BIN / "smarthopd", "-c", relay.conf_path, "-t", check=False)
    assert checked.returncode == 1 and b"/nonexistent.so: " in checked.stderr
    relay.stop()


def test_commands(start, sink):
    relay = start("puppet", puppet={"timeout": "50ms"})
    say(relay, "send@a.test", "never@a.test")
    [listed] = json.loads(relay.ctl("plugin", "list", "--json").stdout)["plugins"]
    assert (listed["name"], listed["hooks"], listed["fail"]) == ("puppet", ["route"], "defer")
    assert listed["counts"]["asked"] == 2 and listed["counts"]["timed_out"] == 1
    assert listed["actions"] == {"send": 1} and sum(listed["latencies_us"]) == 1
    assert b"puppet" in relay.ctl("plugin", "list").stdout
    assert b"timed_out 1" in relay.ctl("plugin", "show", "puppet").stdout
    assert relay.ctl("plugin", "show", "other", check=False).returncode == 1
    assert relay.ctl("plugin", "command", "puppet", "a b", "c").stdout == b"a b\nc\n"
    assert relay.ctl("plugin", "command", "puppet", check=False).returncode == 1
    assert relay.ctl("plugin", "command", "puppet", "bytes").stdout == b"??\x01\\bytes\n"
    flood = relay.ctl("plugin", "command", "puppet", "flood").stdout
    assert len(flood) == 1 << 20 and flood.startswith(b"\x02 of 32 bytes")
    refused = relay.ctl("plugin", "command", "other", check=False)
    assert refused.returncode == 1 and b"no such plugin" in refused.stderr
    relay.stop()


def test_route_command(start, sink, tmp_path):
    """What would be done, without doing it."""
    relay = start("puppet", "puppet_reader")

    def route(*arguments):
        return json.loads(relay.ctl("route", *arguments, "--json").stdout)

    told = route("promise@a.test")
    assert [(step["plugin"], step["said"]) for step in told["steps"]] == [("puppet", "send")]
    [answer] = told["answers"]
    assert (answer["verdict"], answer["plugin"]) == ("send", "puppet")
    assert answer["next_hop"] == f"hosts:[127.0.0.1]:{sink.port};tls=opportunistic"
    [answer] = route("other@a.test")["answers"]
    assert (answer["verdict"], answer["route"], answer["text"]) == ("reject", "*", "no route")
    file = tmp_path / "x.eml"
    file.write_bytes(b"X-Send: yes\nSubject: x\n\nbody\n")
    assert route("header@a.test")["answers"][0]["verdict"] == "reject"
    assert route("header@a.test", "--message", file)["answers"][0]["verdict"] == "send"
    assert b"decided by plugin puppet" in relay.ctl("route", "send@a.test").stdout
    assert relay.ctl("route", "nonsense", check=False).returncode == 1
    assert relay.queue() == [] and not sink.messages()
    relay.stop()


def test_priorities_and_weights(start, sink):
    relay = start("puppet")
    orders = collections.Counter()
    for n in range(200):
        [answer] = json.loads(relay.ctl("route", f"prefer+{n}@a.test", "--json").stdout)["answers"]
        orders[answer["next_hop"]] += 1
    often = "hosts:often.test:25,rarely.test:25,last.test:25;tls=opportunistic"
    rarely = "hosts:rarely.test:25,often.test:25,last.test:25;tls=opportunistic"
    assert set(orders) == {often, rarely} and 25 < orders[rarely] < 80
    relay.stop()


def test_rollback(start, sink):
    relay = start("puppet")
    assert relay.ctl("plugin", "rollback", check=False).returncode == 1
    relay.sections["plugin"] = {}
    relay.write_conf()
    relay.reload()
    assert say(relay, "send@a.test")[0]["send@a.test"][0] == 550
    relay.ctl("plugin", "rollback")
    assert say(relay, "send@a.test")[0]["send@a.test"][0] == 250
    relay.ctl("plugin", "rollback")  # forth again
    assert say(relay, "send@a.test")[0]["send@a.test"][0] == 550
    relay.stop()
