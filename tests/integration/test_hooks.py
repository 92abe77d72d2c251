"""Plugins that are asked about sessions, and about messages before they are taken."""
import json
import os
from pathlib import Path

import pytest

from support import content, users
from support.dialogue import Dialogue
from support.relay import ANY_PORT, to
from support.scram import encode

PLUGINS = Path(os.environ["SMARTHOP_BIN"]).parent / "tests" / "plugins"
ORDINARY = ("MAIL FROM:<a@client.test>", "RCPT TO:<b@example.test>")
ORDINARY_OK = ["250 2.1.0", "250 2.1.5"]
SAID = "so says the warden"
NOW_AND_LATER = pytest.mark.parametrize("when", ["", "later-"])
ALL_SORTS = ("wire", ["data", "pieces", "bdat", "chunks"])


def message(*fields, lines=1):
    return b"".join(field.encode() + b"\r\n" for field in fields) + content.message(
        *[b"x" * 70] * lines)


def warden(**keys):
    return {"warden": {"file": str(PLUGINS / "warden.so"), **keys}}


@pytest.fixture
def start(start_relay, sink):
    def make(warden_keys=None, **keys):
        return start_relay(**{"plugins": warden(**(warden_keys or {})),
                              "routes": {"*": to(sink)}, **keys})
    return make


# ---- sessions ----

@NOW_AND_LATER
def test_connect(start, when):
    for word, greeting in {"reject": f"554 5.7.1 {SAID}", "defer": f"421 4.3.2 {SAID}"}.items():
        relay = start({"connect": when + word})
        with Dialogue(relay.port) as client:
            reply = client.reply()
            assert f"{reply.status} {reply.text}" == greeting
            assert client.is_closed()
        relay.stop()
    relay = start({"connect": when + "accept"})
    with Dialogue(relay.port).hello() as client:
        assert client.talk(*ORDINARY) == ORDINARY_OK
    relay.stop()


@NOW_AND_LATER
def test_helo(start, when):
    relay = start()
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        assert client.talk(f"EHLO {when}reject.test", f"HELO {when}defer.test", ORDINARY[0],
                           f"HELO {when}good.test") == ["550 5.7.1", "451 4.7.1", "503 5.5.1", "250"]
        assert client.command(f"EHLO {when}good.test").code == 250
        assert client.talk(*ORDINARY) == ORDINARY_OK
        assert client.talk(f"EHLO {when}defer-closing.test") == ["421 4.7.1"]
        assert client.is_closed()
    [decided] = relay.wait_log("plugin-decided", action="reject")
    assert (decided["plugin"], decided["hook"]) == ("warden", "helo")
    relay.stop()


@NOW_AND_LATER
def test_envelope(start, sink, when):
    relay = start()
    with Dialogue(relay.port).hello() as client:
        assert client.talk(
            f"MAIL FROM:<{when}reject@client.test>", f"MAIL FROM:<{when}defer@client.test>",
            f"MAIL FROM:<{when}good@client.test>", f"RCPT TO:<{when}reject@example.test>",
            f"RCPT TO:<{when}defer@example.test>", f"RCPT TO:<{when}good@example.test>") == [
                "550 5.7.1", "451 4.7.1", "250 2.1.0", "550 5.7.1", "451 4.7.1", "250 2.1.5"]
        assert client.data(content.stuffed(message())).status == "250 2.0.0"
    assert sink.wait(1)[0].recipients == [f"{when}good@example.test"]
    relay.stop()


def test_refusals_do_not_fill_the_log(start):
    """One that is no error of the client's ends no session, however often it comes."""
    relay = start(errors_max=5)
    with Dialogue(relay.port).hello() as client:
        client.begin()
        assert set(client.talk(*["RCPT TO:<defer@example.test>"] * 50)) == {"451 4.7.1"}
        assert client.command("QUIT").code == 221
    relay.wait_log("session", closed="quit")
    lines = relay.log("refused")
    assert {(line["to"], line["code"], line["dsn"], line["text"]) for line in lines} == {
        ("defer@example.test", "451", "4.7.1", SAID)}
    assert len(lines) == 5
    relay.stop()


@pytest.mark.parametrize("parameter, greek", [("", "???"), (" SMTPUTF8", "οχι")])
def test_texts_that_are_not_ascii(start, parameter, greek):
    """They are told to clients that have said SMTPUTF8, and what is no UTF-8 to nobody."""
    relay = start()
    with Dialogue(relay.port).hello() as client:
        client.talk(f"MAIL FROM:<good@client.test>{parameter}")
        assert client.command("RCPT TO:<reject-greek@example.test>").text == greek
        assert client.command("RCPT TO:<defer-garbled@example.test>").text == "no?"
    relay.stop()


def test_pipelined(start, sink, certificate, trusting):
    """Replies come in order, though each command waits for its plugin."""
    relay = start(certificate=certificate)
    for secure in (False, True):
        with Dialogue(relay.port).hello() as client:
            if secure:
                client.start_tls(trusting, server_name="relay.test")
                assert client.command("EHLO later.test").code == 250
            client.send(b"MAIL FROM:<later@client.test>\r\nRCPT TO:<later-reject@example.test>\r\n"
                        b"RCPT TO:<later-good@example.test>\r\nRCPT TO:<now@example.test>\r\n"
                        b"DATA\r\n")
            assert [client.reply().status for _ in range(5)] == [
                "250 2.1.0", "550 5.7.1", "250 2.1.5", "250 2.1.5", "354"]
            client.send(content.stuffed(message("X-Message: later-pass")) + b"QUIT\r\n")
            assert [client.reply().status for _ in range(2)] == ["250 2.0.0", "221 2.0.0"]
    assert {tuple(one.recipients) for one in sink.wait(2)} == {
        ("later-good@example.test", "now@example.test")}
    relay.stop()


@NOW_AND_LATER
def test_log_in(start, certificate, trusting, tmp_path, when):
    """A log-in that a plugin refuses leaves the client as it was."""
    names = {f"{when}{word}@client.test": "secret" for word in ("reject", "defer", "good")}
    relay = start(certificate=certificate, users_file=users.make(tmp_path / "users", names),
                  listeners={"smtp": {"address": ANY_PORT, "tls": "starttls",
                                      "role": "submission"}})

    def log_in(user):
        return f"AUTH PLAIN {encode(f'{chr(0)}{user}@client.test{chr(0)}secret')}"

    with Dialogue(relay.port).hello() as client:
        client.start_tls(trusting, server_name="relay.test")
        assert client.command("EHLO client.test").code == 250
        assert client.talk(log_in(f"{when}reject"), ORDINARY[0], log_in(f"{when}defer"),
                           ORDINARY[0], log_in(f"{when}good"), ORDINARY[0]) == [
            "535 5.7.8", "530 5.7.0", "454 4.7.0", "530 5.7.0", "235 2.7.0", "553 5.7.1"]
        assert client.talk(f"MAIL FROM:<{when}good@client.test>") == ["250 2.1.0"]
    relay.stop()


def test_tenant(start):
    """The last that gives one counts."""
    relay = start(routes={"*": {"hold": "kept here"}})
    for hello, sender, recipient, fields, tenant in [
            ("client.test", "a", "b", (), "client.test"), ("tenant.test", "a", "b", (), "ward"),
            ("client.test", "tenant", "b", (), "ward"), ("client.test", "a", "tenant", (), "ward"),
            ("client.test", "a", "b", ("X-Message: tenant",), "ward")]:
        with Dialogue(relay.port) as client:
            assert client.reply().code == 220
            assert client.command(f"EHLO {hello}").code == 250
            client.begin(f"{recipient}@example.test", sender=f"{sender}@client.test")
            queued = client.data(content.stuffed(message(*fields))).text.split()[-1]
        assert json.loads(relay.ctl("queue", "show", queued, "--json").stdout)["tenant"] == tenant
    relay.stop()


@pytest.mark.parametrize("hello, sender, recipient, fields", [
    ("tagged.test", "a", "b", ()), ("client.test", "tagged", "b", ()),
    ("tagged.test", "tagged", "tagged", ("X-Headers: tagged",)),
    ("client.test", "a", "b", ("X-Message: later-tagged",))])
def test_tags(start, hello, sender, recipient, fields):
    """Each is kept once, whoever gives it, and shown."""
    relay = start(routes={"*": {"hold": "kept here"}})
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        assert client.command(f"EHLO {hello}").code == 250
        client.begin(f"{recipient}@example.test", sender=f"{sender}@client.test")
        queued = client.data(content.stuffed(message(*fields))).text.split()[-1]
    for is_running in (True, False):
        for command in ("show", "explain"):
            shown = json.loads(relay.ctl("queue", command, queued, "--json").stdout)
            assert shown["tags"] == "one,two"
            assert b"one,two" in relay.ctl("queue", command, queued).stdout
        if is_running:
            relay.stop()


# ---- where it goes ----

WISHES = {"sources": {"away": {"addresses": "127.0.0.2"}, "near": {"addresses": "127.0.0.1"}},
          "credentials": {"known": {"user": "u", "password": "p"}}}
ALL_WISHES = "tls=required;auth=known;source=away;limits=slow"


def queued_with(relay, sender="a", recipients=("b",), fields=(), hello="client.test"):
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        assert client.command(f"EHLO {hello}").code == 250
        client.begin(*(f"{one}@example.test" for one in recipients), sender=f"{sender}@client.test")
        return client.data(content.stuffed(message(*fields))).text.split()[-1]


def hops(relay, queued):
    """What is said of each recipient's way behind its host, and its tenant."""
    shown = json.loads(relay.ctl("queue", "show", queued, "--json").stdout)
    keys = {one["address"].split("@")[0]: one["destination"].split(";", 1)[1]
            for one in shown["recipients"]}
    return {local: tuple(key.split(";tenant=")) for local, key in keys.items()}


WORD = "away-slow-known-secret"


@pytest.mark.parametrize("hello, sender, recipient, fields", [
    (f"{WORD}.test", "a", "b", ()), ("client.test", WORD, "b", ()), ("client.test", "a", WORD, ()),
    ("client.test", "a", "b", (f"X-Headers: {WORD}",)),
    ("client.test", "a", "b", (f"X-Message: later-{WORD}",)),
    ("near-slow.test", "known", "secret", ("X-Message: away",))])
@pytest.mark.parametrize("router", [None, "puppet", "puppet_reader"])
def test_wishes(start_relay, hello, sender, recipient, fields, router):
    """What holds for the route, whoever said it and whoever routes; also when it is routed again
    after a restart."""
    plugins = warden() | ({router: {"file": str(PLUGINS / f"{router}.so")}} if router else {})
    relay = start_relay(plugins=plugins, routes={"*": {"hold": "kept here"}}, **WISHES)
    queued = queued_with(relay, sender, [recipient], fields, hello)
    wanted = {recipient: (ALL_WISHES, "client.test")}
    assert hops(relay, queued) == wanted
    relay.restart()
    relay.sections["route"] = {"*": {"hosts": ["[127.0.0.1]:1"], "tls": "none"}}
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    relay.ctl("queue", "reroute", queued)
    assert hops(relay, queued) == wanted
    shown = json.loads(relay.ctl("queue", "show", queued, "--json").stdout)
    assert shown["recipients"][0]["destination"].startswith("hosts:[127.0.0.1]:1;")
    folder = relay.folder / "out"
    folder.mkdir()
    relay.ctl("queue", "export", queued, "--to", folder, "--remove")
    relay.ctl("queue", "import", folder / f"{queued}.eml")
    assert hops(relay, queued) == wanted
    relay.stop()


def test_wishes_of_one(start):
    """At RCPT they are for that recipient alone; a tenant is for all."""
    relay = start(routes={"*": {"hold": "kept here"}}, **WISHES)
    usual = "tls=opportunistic"
    assert hops(relay, queued_with(relay, recipients=("first", "away", "last"))) == {
        "first": (usual, "client.test"), "away": (f"{usual};source=away", "client.test"),
        "last": (usual, "client.test")}
    for sent in (dict(recipients=("first", "tenant", "last")),
                 dict(recipients=("first", "b"), fields=("X-Message: tenant",))):
        queued = queued_with(relay, **sent)
        assert hops(relay, queued) == {one: (usual, "ward") for one in sent["recipients"]}
    relay.stop()


def test_route_goes_before(start_relay):
    """What is said of the recipient itself counts, though the message is judged behind it."""
    for router in ("puppet", "puppet_reader"):
        plugins = warden() | {router: {"file": str(PLUGINS / f"{router}.so")}}
        relay = start_relay(plugins=plugins, routes={"*": {"hold": "kept here"}}, **WISHES)
        queued = queued_with(relay, recipients=("b", "near"),
                             fields=("X-Headers: away", "X-Message: slow"))
        assert {local: hop for local, (hop, _) in hops(relay, queued).items()} == {
            "b": "tls=opportunistic;source=away;limits=slow",
            "near": "tls=opportunistic;source=near;limits=slow"}
        relay.stop()


@NOW_AND_LATER
def test_wishes_that_cannot_be(start, when):
    relay = start({"connect": f"{when}nowhere"})
    with Dialogue(relay.port) as client:
        assert client.reply().code == 421
    relay.stop()
    relay = start()
    with Dialogue(relay.port).hello() as client:
        assert client.talk(f"MAIL FROM:<{when}nowhere@client.test>", ORDINARY[0],
                           f"RCPT TO:<{when}nowhere@example.test>", ORDINARY[1]) == [
            "451 4.3.5", "250 2.1.0", "451 4.3.5", "250 2.1.5"]
        assert send(client, "data", message(f"X-Message: {when}nowhere")) == ["451 4.3.5"]
        client.begin("b@example.test")
        assert send(client, "data", message(f"X-Headers: {when}nowhere")) == ["451 4.3.5"]
    relay.stop()
    refused = relay.log("plugin-next-hop-refused")
    assert [(record["plugin"], record["source"]) for record in refused] == [
        ("warden", "nowhere")] * 4


# ---- messages ----

def send(client, wire, whole, recipients=1):
    """The statuses of the replies to the end of a message, sent in one of these ways."""
    if wire in ("data", "pieces"):
        assert client.command("DATA").code == 354
        stuffed = content.stuffed(whole)
        parts = [stuffed] if wire == "data" else [stuffed[:-40], stuffed[-40:]]
        for part in parts:
            client.send(part)
    else:
        parts = [whole] if wire == "bdat" else [whole[:-40], whole[-40:]]
        for part in parts:
            client.send(b"BDAT %d%s\r\n" % (len(part), b" LAST" if part is parts[-1] else b""))
            client.send(part)
            if part is not parts[-1]:
                assert client.reply().status == "250 2.0.0"
    return [client.reply().status for _ in range(recipients)]


@pytest.mark.parametrize(*ALL_SORTS)
@pytest.mark.parametrize("hook", ["X-Headers", "X-Message"])
def test_message_refused(start, sink, wire, hook):
    relay = start(memory_body_max="64KiB")
    with Dialogue(relay.port).hello() as client:
        for lines in (1, 20_000):
            for when in ("", "later-"):
                for word, status in {"reject": "550 5.7.1", "defer": "451 4.7.1",
                                     "pass": "250 2.0.0", "accept": "250 2.0.0"}.items():
                    client.begin("b@example.test")
                    whole = message(f"{hook}: {when}{word}", lines=lines)
                    assert send(client, wire, whole) == [status], (lines, when, word)
    sink.wait(8)
    relay.wait_empty()
    relay.stop()


@NOW_AND_LATER
def test_message_held(start, sink, when):
    relay = start()
    with Dialogue(relay.port).hello() as client:
        client.begin("b@example.test", "c@elsewhere.test")
        assert send(client, "data", message(f"X-Message: {when}hold")) == ["250 2.0.0"]
        [held] = relay.wait_queued("held")
        assert SAID.encode() in relay.ctl("queue", "show", held["id"]).stdout
        relay.ctl("queue", "release", held["id"])
        sink.wait(1)
        relay.wait_empty()
    relay.stop()


@NOW_AND_LATER
def test_message_discarded(start, sink, when):
    relay = start()
    with Dialogue(relay.port).hello() as client:
        client.begin("b@example.test")
        assert send(client, "data", message(f"X-Message: {when}discard")) == ["250 2.0.0"]
        assert relay.queue() == []
        client.begin("c@example.test")
        assert send(client, "data", message()) == ["250 2.0.0"]
    assert [one.recipients for one in sink.wait(1)] == [["c@example.test"]]
    relay.stop()


def test_lmtp(start):
    """The reply comes for each recipient."""
    relay = start(listeners={"smtp": {"address": ANY_PORT, "tls": "none", "role": "lmtp"}})
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        assert client.command("LHLO client.test").code == 250
        for word, status in {"reject": "550 5.7.1", "defer": "451 4.7.1",
                             "hold": "250 2.0.0"}.items():
            client.begin("b@example.test", "c@example.test")
            assert send(client, "data", message(f"X-Message: later-{word}"), 2) == [status] * 2
    relay.stop()


# ---- endings ----

HANGING = [
    ([], "connect"), (["EHLO never.test"], "helo"), (["MAIL FROM:<never@client.test>"], "mail"),
    ([ORDINARY[0], "RCPT TO:<never@example.test>"], "rcpt"),
    ([*ORDINARY, "X-Headers"], "headers"), ([*ORDINARY, "X-Message"], "message")]


def hang(relay, lines, more="NOOP\r\n"):
    """A client that says these lines, of which the last is what a plugin never answers, and more."""
    client = Dialogue(relay.port)
    if lines:
        client.hello()
        for line in lines[:-1]:
            assert client.command(line).code == 250
        if lines[-1].startswith("X-"):
            assert client.command("DATA").code == 354
            client.send(content.stuffed(message(f"{lines[-1]}: never")))
        else:
            client.send(f"{lines[-1]}\r\n{more}".encode())
    relay.wait_log("plugin", what="waiting")
    return client


@pytest.mark.parametrize("lines, hook", HANGING)
@pytest.mark.parametrize("end", ["stop", "dismissal", "reset", "leave", "timeout"])
def test_ends(start, lines, hook, end):
    keys = {"connect": "never" if not lines else "pass"}
    keys |= {"timeout": "50ms", "strikes": 1000} if end == "timeout" else {"timeout": "10m"}
    relay = start(keys)
    with hang(relay, lines, "" if end == "leave" else "NOOP\r\n") as client:
        if end == "timeout":
            assert client.reply().code in (421, 451)
        elif end == "stop":
            relay.stop()
            assert client.reply().code == 421
        elif end == "dismissal":
            [session] = json.loads(relay.ctl("sessions", "--json").stdout)
            assert session["state"] == "asking plugins"
            relay.ctl("session", "end", str(session["session"]))
            assert client.reply().code == 421
        elif end == "leave":
            client.close()
        else:
            client.reset()
    if end == "timeout":
        relay.wait_log("plugin-timeout", hook=hook)
    else:
        relay.wait_log("plugin", what="cancelled")
        assert not relay.log("plugin-timeout")
    if relay.is_running():
        relay.stop()


def test_talks_early(start):
    """Also before a greeting that only plugins keep back."""
    relay = start({"connect": "later-pass"})
    with Dialogue(relay.port) as client:
        client.send(b"EHLO client.test\r\n")
        assert client.reply().status == "521 5.5.0"
    relay.stop()
