"""Messages leave the queue as files, and come back from them: queue export, queue import."""
import base64
import email
import json
import random
import time

import pytest

from support import content
from support.control import Control
from support.dialogue import Dialogue, submit
from support.process import BIN, Process, run
from support.relay import to
from support.wait import wait_until

SAMPLE = content.message(b"hello")
NOWHERE = {"hosts": ["[127.0.0.1]:1"], "tls": "none"}
LONG_S = 200  # a large message takes many steps, on a busy machine
PATIENT = {"retry_first": "60s", "retry_max": "60s"}
END = b"X-Smarthop-Envelope-End: 1\r\n"
HEAD = (b"X-Smarthop-Envelope: 1\r\nX-Smarthop-Mail: FROM:<a@client.test>\r\n"
        b"X-Smarthop-Group: waiting\r\nX-Smarthop-Rcpt: TO:<x@one.test>\r\n" + END)


def keeping(start_relay, **keys):
    """A relay that keeps what it gets."""
    return start_relay(routes={"*": NOWHERE}, **PATIENT, **keys)


def queued(relay, data=SAMPLE, *recipients):
    submit(relay, data, *(recipients or ["x@one.test"]))
    return relay.wait_queued("backoff")[-1]["id"]


def exported(relay, message, *options):
    """The file, where it is, and its bytes."""
    folder = relay.folder / "out"
    folder.mkdir(exist_ok=True)
    relay.ctl("queue", "export", message, "--to", folder, *options)
    path = folder / f"{message}.eml"
    return path, path.read_bytes()


def route_to(relay, sink):
    relay.sections["route"] = {"*": to(sink)}
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"


def imported(relay, *paths, check=True):
    return relay.ctl("queue", "import", *paths, check=check)


def refused(relay, data):
    """What is said of such a file."""
    path = relay.folder / "bad.eml"
    path.write_bytes(data)
    done = imported(relay, path, check=False)
    assert done.returncode == 1 and not relay.queue()
    return done.stderr.decode().replace(str(path), "bad.eml").removeprefix("smarthopctl: ").strip()


ENVELOPE = ("MAIL FROM:<s@client.test> BODY=8BITMIME RET=HDRS ENVID=a+2Bb",
            "RCPT TO:<x@one.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;old+2Bx@one.test",
            "RCPT TO:<g-x@two.test>", "RCPT TO:<\"a b\"@one.test> NOTIFY=NEVER")


def say(relay, *commands, data=SAMPLE):
    with Dialogue(relay.port).hello() as client:
        for command in commands:
            assert client.command(command).code == 250, command
        assert client.data(data + b".\r\n").code == 250


def outline(messages):
    return sorted((message.mail, tuple(message.rcpts)) for message in messages)


def test_there_and_back(start_relay, start_sink):
    """What an exported message brings to the next hop is what it would have brought."""
    sink = start_sink()
    relay = start_relay(routes={"*": to(sink)}, event_log="events", **PATIENT)
    say(relay, *ENVELOPE)
    relay.wait_empty()
    straight = outline(sink.messages())
    relay.sections["route"] = {"*": NOWHERE}
    relay.write_conf()
    relay.reload()
    say(relay, *ENVELOPE)
    message = relay.wait_queued("backoff")[0]
    path, data = exported(relay, message["id"], "--remove")
    assert not relay.queue()
    route_to(relay, sink)
    assert imported(relay, path).stdout.decode() == f"{path}: imported as {message['id']} (3 recipients)\n"
    relay.wait_empty()
    got = sink.wait(2 * len(straight))[len(straight):]
    assert outline(got) == straight
    assert {one.content for one in got} == {data.split(END, 1)[1]}
    (record,) = relay.log("imported", id=message["id"])
    assert record["recipients"] == "3"
    relay.stop()
    events = [json.loads(line) for line in (relay.folder / "events").read_text().splitlines()]
    told = [(event["recipient"], event["id"]) for event in events if event["event"] == "imported"]
    assert sorted(told) == [(name, message["id"]) for name in
                            ('"a b"@one.test', "g-x@two.test", "x@one.test")]


@pytest.mark.parametrize("name", content.CONTENTS)
def test_content_is_exact(name, start_relay, start_sink):
    sink = start_sink()
    relay = keeping(start_relay, text_line_max="1MiB")
    message = queued(relay, content.CONTENTS[name])
    path, data = exported(relay, message, "--remove")
    shown = data.split(END, 1)[1]
    assert shown.endswith(content.CONTENTS[name])
    route_to(relay, sink)
    imported(relay, path)
    assert [one.content for one in sink.wait(1)] == [shown]


def test_file_is_a_message(start_relay):
    relay = keeping(start_relay)
    path, data = exported(relay, queued(relay))
    read = email.message_from_bytes(data)
    assert read["Subject"] == "test" and read.get_payload() == "hello\r\n"
    assert read["X-Smarthop-Mail"].startswith("FROM:<sender@client.test>")
    assert path.stat().st_mode & 0o777 == 0o600
    assert relay.ctl("queue", "export", path.stem, "--to", "-").stdout == data
    relay.stop()
    assert exported(relay, path.stem)[1] == data


def test_all_of_the_envelope_comes_back(start_relay):
    """The file of an imported message is the file that it came from."""
    relay = keeping(start_relay)
    path, data = exported(relay, queued(relay))
    fields = [b"X-Smarthop-Mail: FROM:<a@client.test> BODY=BINARYMIME SMTPUTF8 RET=FULL ENVID=e"
              b" MT-PRIORITY=-3 AUTH=<>",
              b"X-Smarthop-Release: 2030-01-01T00:00:00.007Z",
              b"X-Smarthop-Deliver-By: 2031-01-01T00:00:00.999Z;NT",
              b"X-Smarthop-Tenant: client.test", b"X-Smarthop-Tags: one,two", b"X-Smarthop-Client: [192.0.2.7]",
              b"X-Smarthop-Client-Name: a.test", b"X-Smarthop-Client-Port: 2525",
              b"X-Smarthop-Protocol: ESMTPS", b"X-Smarthop-Hello: a+2Bb",
              b"X-Smarthop-Flags: notification verp",
              b"X-Smarthop-Group: future tries=2 warned late from=b@client.test sender"
              b" wishes=tls+3Drequired;limits+3Dslow",
              b"X-Smarthop-Rcpt: TO:<x@one.test> NOTIFY=SUCCESS,FAILURE,DELAY ORCPT=rfc822;y@z.test",
              b"X-Smarthop-Group: held", b"X-Smarthop-Rcpt: TO:<Postmaster@one.test>"]
    lines = data.split(b"\r\n")
    rest = data.split(END, 1)[1]
    data = b"\r\n".join([*lines[:3], *fields, b""]) + END + rest + b"\n\r\0\xff"
    relay.ctl("queue", "remove", path.stem)
    path.write_bytes(data)
    imported(relay, path)
    states = {each["state"] for each in relay.queue()[0]["recipients"]}
    assert states == {"waiting", "held"}
    assert exported(relay, path.stem)[1] == data
    relay.restart()
    assert exported(relay, path.stem, "--remove")[1] == data
    assert not relay.queue()


def test_wishes_that_are_none(start_relay):
    relay = keeping(start_relay)
    refused(relay, HEAD.replace(b"waiting", b"waiting wishes=colour+3Dred") + SAMPLE)
    relay.stop()


def test_large_body(start_relay, start_sink):
    sink = start_sink()
    relay = keeping(start_relay, message_size_max="60MiB")
    body = content.message(random.Random(1).randbytes(37 << 20).hex().encode()[:50 << 20].replace(
        b"00", b"\r\n"))
    path, data = exported(relay, queued(relay, body), "--remove")
    assert data.endswith(body)
    route_to(relay, sink)
    run(BIN / "smarthopctl", "-c", relay.conf_path, "queue", "import", path, timeout=LONG_S)
    assert sink.wait(1, LONG_S)[0].content == data.split(END, 1)[1]


def test_many(start_relay, start_sink):
    sink = start_sink()
    relay = keeping(start_relay)
    for number in range(40):
        submit(relay, SAMPLE, f"r{number}@one.test", f"r{number}@two.test")
    submit(relay, SAMPLE, "stays@three.test")
    folder = relay.folder / "out"
    folder.mkdir()
    relay.ctl("queue", "export", "--domain", "one.test", "--to", folder, "--remove")
    assert [each["address"] for each in relay.queue()[0]["recipients"]] == ["stays@three.test"]
    route_to(relay, sink)
    files = sorted(folder.iterdir())
    assert len(files) == 40
    assert imported(relay, *files).stdout.count(b"imported") == 40
    wait_until(lambda: len(sink.recipients()) == 80, "all to be delivered")
    relay.ctl("queue", "remove", "--domain", "three.test", "--yes")
    relay.wait_empty()


def test_twice(start_relay):
    """A message that is in the queue is not taken again; one that has left it is."""
    relay = keeping(start_relay)
    message = queued(relay)
    path, _ = exported(relay, message)
    done = imported(relay, path, check=False)
    assert done.returncode == 1
    assert done.stderr.decode() == f"smarthopctl: {path}: {message} is in the queue already\n"
    relay.ctl("queue", "remove", message)
    imported(relay, path)
    assert [one["id"] for one in relay.queue()] == [message]
    assert imported(relay, path, path, check=False).returncode == 1
    assert len(relay.queue()) == 1


def test_held_stays_held(start_relay, start_sink):
    sink = start_sink()
    relay = keeping(start_relay)
    message = queued(relay)
    relay.ctl("queue", "hold", message)
    path, _ = exported(relay, message, "--remove")
    route_to(relay, sink)
    imported(relay, path)
    relay.wait_queued("held")
    relay.ctl("queue", "release", message)
    sink.wait(1)


def id_of(wall_ms):
    """The first id of this time."""
    number = (wall_ms - 1577836800000) << 22
    return "".join("0123456789ABCDEFGHJKMNPQRSTVWXYZ"[number >> 5 * place & 31]
                   for place in reversed(range(13)))


@pytest.mark.parametrize("days, expires", [(2, True), (1, False)])
def test_age_counts_on(days, expires, start_relay):
    """It expires when it would have expired. Another one is of an age at which it surely does."""
    relay = keeping(start_relay, expire_after="36h", bounce_expire_after="1s")
    now = int(time.time()) * 1000
    for age in (days, 3):
        arrived = now - age * 86400000
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(arrived / 1000)).encode()
        path = relay.folder / f"{age}.eml"
        path.write_bytes(HEAD.replace(END, b"X-Smarthop-Id: " + id_of(arrived).encode() + b"\r\n"
                                      b"X-Smarthop-Arrival: " + stamp + b"\r\n" + END) + SAMPLE)
        imported(relay, path)
    relay.wait_log("expired", id=id_of(now - 3 * 86400000))
    if expires:
        relay.wait_log("expired", id=id_of(now - days * 86400000))
    else:
        assert id_of(now - days * 86400000) in {one["id"] for one in relay.queue()}


def test_routes_that_refuse(start_relay):
    relay = keeping(start_relay)
    path, _ = exported(relay, queued(relay), "--remove")
    relay.sections["route"] = {"*": {"reject": "5.1.2 gone"}}
    relay.write_conf()
    relay.reload()
    done = imported(relay, path, check=False)
    assert done.returncode == 1 and b"<x@one.test> has no route: gone" in done.stderr
    assert not relay.queue()


BODY = b"Subject: x\r\n\r\nbody\r\n"
BAD_CONTENTS = {
    "NUL": (BODY + b"a\0b\r\n", "NUL at byte 21"),
    "bare CR": (BODY + b"a\rb\r\n", "bare CR at byte 21"),
    "bare LF": (BODY + b"a\nb\r\n", "bare LF at byte 21"),
    "long line": (BODY + b"a" * 100001 + b"\r\n", "A line is longer than"),
    "hops": (b"Received: x\r\n" * 101 + BODY, "Too many hops"),
}


@pytest.mark.parametrize("name", BAD_CONTENTS)
def test_contents_that_are_refused(name, start_relay):
    data, why = BAD_CONTENTS[name]
    assert why in refused(keeping(start_relay, text_line_max=10000), HEAD + data)


def test_bare_line_ends_are_normalized(start_relay, start_sink):
    sink = start_sink()
    relay = start_relay(routes={"*": to(sink)}, bare_line_ends="normalize")
    path = relay.folder / "in.eml"
    path.write_bytes(HEAD.replace(b"\r\n", b"\n") + BODY.replace(b"\r\n", b"\n"))
    imported(relay, path)
    assert sink.wait(1)[0].content == BODY


def test_too_large(start_relay):
    assert "larger than 100000 bytes" in refused(
        keeping(start_relay, message_size_max=100000), HEAD + BODY + b"x" * 200000)


BAD_ENVELOPES = {
    "none": (b"Subject: x\r\n\r\n", 1),
    "empty": (b"", 1),
    "another form": (HEAD.replace(b"Envelope: 1", b"Envelope: 2"), 1),
    "no end": (HEAD.removesuffix(END), 5),
    "unknown field": (HEAD.replace(b"-Group", b"-Gruppe"), 3),
    "no group": (HEAD.replace(b"X-Smarthop-Group: waiting\r\n", b""), 3),
    "no recipient": (HEAD.replace(b"X-Smarthop-Rcpt: TO:<x@one.test>\r\n", b""), 4),
    "no sender": (HEAD.replace(b"X-Smarthop-Mail: FROM:<a@client.test>\r\n", b""), 4),
    "sender": (HEAD.replace(b"<a@client.test>", b"<a@client test>"), 2),
    "parameter": (HEAD.replace(b"<a@client.test>", b"<a@client.test> RET=X"), 2),
    "recipient": (HEAD.replace(b"x@one.test", b"x@"), 4),
    "arrival alone": (HEAD.replace(END, b"X-Smarthop-Arrival: 2020-01-01T00:00:00Z\r\n" + END), 6),
    "field twice": (HEAD.replace(END, b"X-Smarthop-Tenant: a\r\nX-Smarthop-Tenant: b\r\n" + END), 6),
    "huge line": (HEAD.replace(b"x@one", b"x" * 100000 + b"@one"), 4),
    "NUL": (HEAD.replace(b"x@one", b"x\0@one"), 4),
}


@pytest.mark.parametrize("name", BAD_ENVELOPES)
def test_envelopes_that_are_refused(name, start_relay):
    data, line = BAD_ENVELOPES[name]
    assert refused(keeping(start_relay), data + BODY if data else b"").startswith(f"bad.eml:{line}: ")


def test_without_an_id(start_relay, start_sink):
    """Somebody else's message with an envelope in front of it is new."""
    sink = start_sink()
    relay = start_relay(routes={"*": to(sink)})
    path = relay.folder / "in.eml"
    path.write_bytes(HEAD + BODY)
    first, second = (imported(relay, path).stdout.split()[3] for _ in range(2))
    assert first < second
    assert [one.content for one in sink.wait(2)] == [BODY] * 2


def test_ids_of_other_times(start_relay):
    relay = keeping(start_relay)
    path, data = exported(relay, queued(relay), "--remove")
    assert "time of its id" in refused(relay, data.replace(b"Arrival: 20", b"Arrival: 21"))
    assert "time to come" in refused(relay, data.replace(path.stem.encode(), b"7ZZZZZZZZZZZZ"))


def test_wrong_usage(start_relay):
    relay = keeping(start_relay)
    message = queued(relay)
    for arguments in ([message], ["--to", "-"], ["--all", "--to", "-"], ["x", "--to", "-"],
                      [message, "--to", "-", "--remove"], [message, "--all", "--to", "."]):
        assert relay.ctl("queue", "export", *arguments, check=False).returncode == 2
    for arguments in ([message, "--to", "/nowhere"], ["0000000000001", "--to", "-"]):
        assert relay.ctl("queue", "export", *arguments, check=False).returncode == 1
    assert imported(relay, "/nowhere", check=False).returncode == 1


def test_without_a_daemon(start_relay):
    relay = keeping(start_relay)
    path, _ = exported(relay, queued(relay))
    relay.stop()
    assert imported(relay, path, check=False).returncode == 3
    done = relay.ctl("queue", "export", path.stem, "--to", path.parent, "--remove", check=False)
    assert done.returncode == 3
    assert [one["id"] for one in relay.queue()] == [path.stem]


def test_pieces(start_relay):
    """What breaks off is never there; there are not more at a time than memory is meant for."""
    relay = keeping(start_relay, workers=1)
    whole = HEAD + BODY

    def piece(client, data, **more):
        return client.ask("import", data=base64.b64encode(data).decode(), **more)

    with Control(relay) as client:
        begun = [piece(client, whole[:20 * number]) for number in range(1, 5)]
        assert len({answer["import"] for answer in begun}) == 4
        assert "too many" in piece(client, whole)["error"]
        first, second, third, fourth = (answer["import"] for answer in begun)
        assert "base64" in client.ask("import", data="?")["error"]
        assert "took too long" in piece(client, b"", **{"import": 99})["error"]
        assert piece(client, b"X\r\n", **{"import": first})["line"] == 1
        assert "took too long" in piece(client, b"", **{"import": first})["error"]
        assert piece(client, b"", last=True, **{"import": second})["line"] == 2
        done = piece(client, whole[60:], last=True, **{"import": third})
        assert (done["ok"], done["recipients"]) == (True, 1)
        assert piece(client, whole[80:], **{"import": fourth})["import"] == fourth
    assert [one["id"] for one in relay.queue()] == [done["id"]]
    relay.restart()
    assert [one["id"] for one in relay.queue()] == [done["id"]]


def test_killed_meanwhile(start_relay):
    """Each message is in its file or in the queue, whenever the daemon is killed."""
    relay = keeping(start_relay)
    ids = {name for number in range(40) for name in submit(relay, SAMPLE, f"r{number}@one.test")}
    folder = relay.folder / "out"
    folder.mkdir()

    def files():
        return set(folder.glob("[!.]*.eml"))

    for after in (1, 5, 9):
        here = {one["id"] for one in relay.queue()}
        coming = [path for path in files() if path.stem not in here]
        have = len(files())
        moves = [Process([BIN / "smarthopctl", "-c", relay.conf_path, "queue", *order],
                         relay.folder, f"move-{after}-{order[0]}")
                 for order in (["export", *sorted(here), "--to", folder, "--remove"],
                               ["import", *coming]) if order[1:]]
        wait_until(lambda most=have + after: len(files()) >= most or moves[0].exit_code is not None,
                   "some to go")
        relay.kill()
        for move in moves:
            move.wait()
        relay.start()
        assert {one["id"] for one in relay.queue()} | {path.stem for path in files()} == ids
        assert all(path.read_bytes().endswith(SAMPLE) for path in files())
