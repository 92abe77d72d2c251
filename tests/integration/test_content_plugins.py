"""Plugins that change messages: header fields, and whole contents as streams."""
import json
import os
import re
from pathlib import Path

import pytest

from support import content
from support.dialogue import Dialogue, submit
from support.process import run
from support.relay import to
from support.wait import wait_until

PLUGINS = Path(os.environ["SMARTHOP_BIN"]).parent / "tests" / "plugins"
STORE_ROWS = Path(os.environ["SMARTHOP_SUPPORT"]) / "store_rows"
LARGE = 50 << 20
BOTH_SIZES = pytest.mark.parametrize("size", [100, 3_000_000])
FIELDS = b"X-Gone: 1\r\nX-Many: first\r\nX-Many: other\r\nX-Gone: 2\r\n\tfolded\r\n"


def scribe(name="scribe", **keys):
    return {name: {"file": str(PLUGINS / "scribe.so"), "timeout": "10m", "budget": "1s", **keys}}


def asking(task, size=100, fields=b""):
    """A message of about this size that asks the scribe for this."""
    return b"X-Do: " + task.encode() + b"\r\n" + fields + content.large(size)


@pytest.fixture(params=["server", "process"])
def start(request, start_relay, sink):
    """With plugins in the server, and each in a process of its own."""
    def make(plugins=None, **keys):
        plugins = {name: {**section, "process": request.param == "process"}
                   for name, section in (plugins or scribe()).items()}
        return start_relay(**{"plugins": plugins, "routes": {"*": to(sink)},
                              "store_map_size": "1GiB", **keys})
    return make


def arrived(sink, count=1):
    """The last of so many, without our Received field."""
    return content.split_trace(sink.wait(count)[-1].content)[1]


def edited(whole):
    """As the scribe edits it."""
    head, body = whole.split(b"\r\n\r\n", 1)
    lines = head.replace(b"\r\n\t", b"\n\t").split(b"\r\n")
    lines = [line for line in lines if not line.startswith(b"X-Gone")]
    lines = [re.sub(b"^Subject:.*", "subject: grüß".encode(), line) for line in lines]
    many = [at for at, line in enumerate(lines) if line.startswith(b"X-Many")]
    if len(many) > 1:
        lines[many[1]] = b"X-Many: second"
    lines = [b"X-First: one", *lines, b"X-Last: folded\n\tvalue"]
    return b"\r\n".join(lines).replace(b"\n\t", b"\r\n\t").replace(b"\r\r", b"\r") + b"\r\n\r\n" + body


@BOTH_SIZES
@pytest.mark.parametrize("task", ["edit", "early"])
def test_edits(start, sink, task, size):
    """Also where the body has left memory, and by a hook that never sees it."""
    relay = start(memory_body_max="64KiB")
    whole = asking(task, size, FIELDS)
    [queued] = submit(relay, whole, "to@example.test")
    assert arrived(sink) == edited(whole)
    [accepted] = relay.wait_log("accepted", id=queued)
    assert int(accepted["size"]) == len(edited(whole))
    relay.wait_empty()
    assert rows(relay)["body"] == 0
    relay.stop()


def rows(relay):
    """How many rows the tables of the store have."""
    return json.loads(run(STORE_ROWS, relay.folder / "queue").stdout)


@BOTH_SIZES
def test_streams(start, sink, size):
    """The second plugin reads what the first has written, and edited."""
    relay = start({**scribe(), **scribe("second")}, memory_body_max="64KiB")
    whole = asking("copy edit", size, FIELDS)
    submit(relay, whole, "to@example.test")
    first = edited(whole.replace(b"x", b"y"))
    assert arrived(sink) == edited(first.replace(b"x", b"y"))
    relay.wait_empty()
    assert rows(relay)["body"] == 0
    relay.stop()


def test_memory(start, sink):
    """What plugins write counts as what arrives: it goes to the store where there is too much."""
    keys = {"memory_body_max": "16MiB", "workers": 1}
    for most, is_stored in {"1GiB": False, "1MiB": True}.items():
        relay = start(receive_memory_max=most, **keys)
        submit(relay, asking("copy", 3_000_000), "to@example.test")
        sink.wait(1 + is_stored)
        relay.stop()
        assert bool(relay.log("content-replaced")) == is_stored


@pytest.mark.parametrize("task", ["copy", "grow"])
def test_large(start, sink, task):
    relay = start(message_size_max="100MiB")
    size = LARGE if task == "copy" else 100
    whole = asking(task, size)
    submit(relay, whole, "to@example.test")
    got = arrived(sink)
    if task == "copy":
        assert got == whole.replace(b"x", b"y")
    else:
        head, body = got.split(b"\r\n\r\n", 1)
        assert head == b"Subject: grown" and len(body) >= LARGE
        assert set(body.split(b"\r\n")) == {
            b"This line has been written by a plugin, and there are many.", b""}
    relay.wait_empty()
    assert rows(relay)["body"] == 0
    relay.stop()


def test_small(start, sink):
    """What replaces a 7-bit message is sent as what it is."""
    relay = start()
    submit(relay, asking("small"), "to@example.test")
    assert arrived(sink) == "Subject: small\r\n\r\nü small\r\n".encode()
    assert "BODY=8BITMIME" in sink.messages()[0].mail
    relay.stop()


@pytest.mark.parametrize("task, problem", [
    ("bare", "a line that does not end with CRLF"), ("nul", "a NUL"),
    ("claim", "nothing has been written"), ("grow", "larger than message_size_max")])
def test_refused(start, sink, task, problem):
    relay = start(message_size_max="10MiB")
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.data(content.stuffed(asking(task))).status in ("451 4.3.0", "451 4.7.1")
        if task != "grow":
            [invalid] = relay.wait_log("plugin-invalid", plugin="scribe")
            assert problem in invalid["text"]
        client.begin("to@example.test")
        assert client.data(content.stuffed(asking("nothing of this"))).status in (
            "250 2.0.0", "451 4.3.0")
    wait_until(lambda: rows(relay)["body"] == 0, "the chunks to be gone")
    relay.stop()


@BOTH_SIZES
def test_signs(start, sink, size):
    relay = start(memory_body_max="64KiB")
    whole = asking("sign", size)
    total = 14695981039346656037
    for byte in whole:
        total = (total ^ byte) * 1099511628211 & (1 << 64) - 1
    submit(relay, whole, "to@example.test")
    assert arrived(sink) == b"X-Signature: %016x\r\n" % total + whole
    relay.stop()


def test_dns(start, sink, dns):
    relay = start(dns_servers=[dns.address])
    dns.records["policy.test"] = ["TXT 0 hold"]
    submit(relay, asking("dns"), "to@example.test")
    relay.wait_queued("held")
    relay.stop()
    dns.records["policy.test"] = ["TXT 0 pass"]
    relay.start()
    submit(relay, asking("dns"), "other@example.test")
    assert sink.wait(1)[0].recipients == ["other@example.test"]
    relay.stop()


def begin_stuck(relay):
    """A session whose message is written anew; halfway that goes on for ever."""
    client = Dialogue(relay.port).hello()
    client.begin("to@example.test")
    assert client.command("DATA").code == 354
    client.send(content.stuffed(asking("grow stuck", 3_000_000)))
    return client


def test_kill(start, sink):
    """Nothing was acknowledged, and nothing is left."""
    relay = start(message_size_max="100MiB")
    with begin_stuck(relay):
        relay.wait_log("plugin", what="halfway")
        wait_until(lambda: rows(relay)["body"] > 0, "chunks in the store")
        relay.kill()
    relay.start()
    wait_until(lambda: rows(relay)["body"] == 0, "the chunks to be gone")
    assert relay.queue() == [] and sink.messages() == []
    submit(relay, asking("copy", 3_000_000), "to@example.test")
    sink.wait(1)
    relay.stop()


@pytest.mark.parametrize("how", ["leaves", "timeout", "stop"])
def test_given_up(start, sink, how):
    keys = {"timeout": "500ms"} if how == "timeout" else {}
    relay = start(scribe(**keys), message_size_max="100MiB")
    with begin_stuck(relay) as client:
        if how != "timeout":
            relay.wait_log("plugin", what="halfway")
        if how == "leaves":
            client.reset()
        elif how == "stop":
            relay.stop()
        else:
            assert client.reply().status == "451 4.3.0"
    relay.wait_log("plugin", what="given-up")
    if how == "stop":
        relay.start()
    wait_until(lambda: rows(relay)["body"] == 0, "the chunks to be gone")
    assert relay.queue() == []
    relay.stop()
