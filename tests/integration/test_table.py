"""The bundled plugin of tables: routes, aliases and canonical addresses from files."""
import os
import smtplib
import threading

import pytest

from support import content
from support.dialogue import submit
from support.landlock import NEEDS_LANDLOCK
from support.next_hop import NextHop
from support.process import BIN, run
from support.wait import wait_until

MESSAGE = content.message(b"hello")
LIBRARY = BIN.parent / "lib" / "smarthop" / "table.so"
REFUSE = {"*": {"reject": "5.7.1 no route"}}


def write(path, text):
    """As a careful editor does it: nobody sees half of it."""
    beside = path.with_name(path.name + "~")
    beside.write_text(text)
    os.rename(beside, path)


@pytest.fixture
def start(start_relay, tmp_path):
    """start(files={option: text}, option=value, ...); the files are tmp_path / option."""
    def make(files, routes=None, **options):
        for option, text in files.items():
            write(tmp_path / option, text)
        section = {"file": LIBRARY, **{option: [str(tmp_path / option)] for option in files},
                   **options}
        return start_relay(plugins={"table": section}, routes=routes or REFUSE)
    return make


@pytest.fixture
def store(tmp_path):
    """It speaks LMTP."""
    found = NextHop("PIPELINING", lmtp=True, path=tmp_path / "store")
    yield found
    found.stop()


def hop(sink):
    return f"smtp [{sink.host}]:{sink.port} tls=none"


def say(relay, *recipients):
    """What is replied to each recipient; nothing is sent."""
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.ehlo("client.test")
        client.mail("from@client.test")
        said = {}
        for one in recipients:
            code, text = client.rcpt(one)
            said[one] = f"{code} {text.decode()}" if code != 250 else code
        return said


def told(relay, what, part, plugin="table"):
    """The log's records of the plugin, once there is one with this part in its text."""
    return wait_until(lambda: [record for record in relay.log("plugin", what=what, plugin=plugin)
                               if part in record["text"]], f"{what} {part}")


def test_routes(start, start_sink):
    one, other, rest = start_sink(), start_sink(), start_sink()
    relay = start({"maps": f"""
# who is where
ann@a.test     {hop(one)}
a.test         {hop(other)}      # all others
.sub.test      {hop(one)}
x.sub.test     {hop(other)}
*              {hop(rest)}
r.test         reject 553 5.1.6 has moved
d.test         defer come again
p.test         pass
v.test         discard
h.test         hold an operator looks at it
"""}, recipient_delimiter="+")
    assert say(relay, "x@r.test", "x@d.test", "x@p.test") == {
        "x@r.test": "553 5.1.6 has moved", "x@d.test": "451 4.7.1 come again",
        "x@p.test": "550 5.7.1 no route"}
    submit(relay, MESSAGE, "ann@a.test", "Ann+list@A.Test", "ben@a.test", "u@y.sub.test",
           "u@x.sub.test", "u@sub.test", "u@v.test", "u@h.test")
    for sink in (one, other, rest):
        sink.wait(1)
    wait_until(lambda: len(one.recipients()) == 3 and len(other.recipients()) == 2, "all of them")
    assert one.recipients() == ["Ann+list@A.Test", "ann@a.test", "u@y.sub.test"]
    assert other.recipients() == ["ben@a.test", "u@x.sub.test"]
    assert rest.recipients() == ["u@sub.test"]
    [held] = relay.wait_queued("held")
    assert [item["address"] for item in held["recipients"]] == ["u@h.test"]
    relay.stop()


def test_aliases_and_canonical(start, sink):
    relay = start({"maps": f"* {hop(sink)}",
                   "aliases": "team@a.test ann@a.test, ben@b.test\n"
                              "root ann@a.test\n"
                              "@old.test @new.test\n"
                              "all@c.test all@c.test\n"
                              "@c.test all@c.test\n",
                   "canonical": "ann.smith@a.test ann@a.test\nfrom@client.test first.last@a.test\n"},
                  recipient_delimiter="+", local_domains=["a.test", "b.test"])
    submit(relay, MESSAGE, "team@a.test", sender="from@client.test")
    submit(relay, MESSAGE, "root+x@b.test", sender="ann@client.test")
    submit(relay, MESSAGE, "Some.Body@old.test", "anyone@c.test", sender="ann@client.test")
    submit(relay, MESSAGE, "ann.smith@a.test", sender="ann@client.test")
    wait_until(lambda: len(sink.recipients()) == 6, "six recipients")
    assert sink.recipients() == ["Some.Body@new.test", "all@c.test", "ann+x@a.test", "ann@a.test",
                                 "ann@a.test", "ben@b.test"]
    senders = {message.sender for message in sink.messages() if "ben@b.test" in message.recipients}
    assert senders == {"first.last@a.test"}
    relay.wait_empty()
    relay.stop()


@pytest.mark.parametrize("postfix", [False, True])
def test_alias_that_has_itself(start, sink, tmp_path, postfix):
    """It stays, with the route of the same section, whatever else it leads to."""
    aliases = "postfix_virtual" if postfix else "aliases"
    relay = start({"maps": f"a.test {hop(sink)}\nb.test {hop(sink)}\nkept@a.test hold\n",
                   aliases: "me@a.test me@a.test, you@b.test\n"
                            "You@b.test team@a.test, you@b.test\n"
                            "team@a.test kept@a.test, ben@b.test\n"
                            "kept@a.test ben@b.test, KEPT@a.test\n"})
    submit(relay, MESSAGE, "me@a.test")
    [held] = relay.wait_queued("held")
    assert [item["address"] for item in held["recipients"]] == ["KEPT@a.test"]
    assert sorted(sink.recipients()) == ["ben@b.test", "me@a.test", "you@b.test"]
    done = run(BIN / "smarthopctl", "--json", "plugin", "test", LIBRARY, "--to", "me@a.test",
               "--option", f"maps={tmp_path / 'maps'}", "--option", f"{aliases}={tmp_path / aliases}")
    assert b'"problem"' not in done.stdout
    relay.stop()


def test_postfix_files(start, store, sink, tmp_path):
    relay = start({"postfix_transport": f"""
# a comment
a.test      smtp:[{sink.host}]:{sink.port}
.a.test     slow:[{sink.host}]:{sink.port}
l.test
   lmtp:unix:{tmp_path}/store
e.test      error:5.1.2 no mail for e.test
r.test      retry:4.4.1 later
n.test      :
*           error:nothing else
""", "postfix_virtual": """
v.test        anything
ann@v.test    ann@a.test,
  ben@b.a.test
@w.test       @l.test
"""}, smtp_transports=["slow"])
    assert say(relay, "x@e.test", "x@r.test", "x@n.test", "x@z.test", "x@v.test") == {
        "x@e.test": "550 5.1.2 no mail for e.test", "x@r.test": "451 4.4.1 later",
        "x@n.test": "550 5.7.1 no route", "x@z.test": "550 5.7.1 nothing else",
        "x@v.test": "550 5.1.1 User unknown in virtual alias table"}
    submit(relay, MESSAGE, "ann@v.test", "u@w.test")
    wait_until(lambda: len(sink.recipients()) == 2, "both of them")
    assert sink.recipients() == ["ann@a.test", "ben@b.a.test"]
    assert store.wait(1)[0].recipients == ["u@l.test"]
    relay.stop()


def test_changes_while_mail_flows(start, start_sink, tmp_path):
    """Every message goes to the one or the other, and soon after a change to the new one."""
    sinks = [start_sink(), start_sink()]
    relay = start({"maps": f"* {hop(sinks[0])}"}, check_interval="20ms")
    over, sent = threading.Event(), []

    def keep_sending():
        while not over.is_set():
            submit(relay, MESSAGE, f"u{len(sent)}@a.test")
            sent.append(1)

    sender = threading.Thread(target=keep_sending)
    sender.start()
    try:
        for turn in range(1, 7):
            sink = sinks[turn % 2]
            before = len(sink.recipients())
            write(tmp_path / "maps", f"* {hop(sink)}\n" + "# again\n" * turn)
            if turn % 3 == 0:
                assert relay.reload()["event"] == "reloaded"
            wait_until(lambda: len(sink.recipients()) > before, "mail at the new one")
    finally:
        over.set()
        sender.join()
    wait_until(lambda: sum(len(sink.recipients()) for sink in sinks) == len(sent), "all of it")
    found = sorted(int(one[1:].split("@")[0]) for sink in sinks for one in sink.recipients())
    assert found == list(range(len(sent)))
    relay.stop()


def test_a_broken_file(start, sink, tmp_path):
    relay = start({"maps": f"a.test {hop(sink)}"}, check_interval="20ms")
    write(tmp_path / "maps", "b.test smtp elsewhere.test\na.test nonsense\n")
    told(relay, "table-refused", "maps:2: \"nonsense\": behind the key comes smtp")
    submit(relay, MESSAGE, "u@a.test")
    sink.wait(1)
    assert say(relay, "u@b.test")["u@b.test"] == "550 5.7.1 no route"
    assert relay.reload()["event"] == "reloaded"
    relay.wait_log("plugin-reload-refused", plugin="table")
    write(tmp_path / "maps", f"b.test {hop(sink)}\n")
    wait_until(lambda: say(relay, "u@b.test")["u@b.test"] == 250, "the new route")
    relay.stop()
    write(tmp_path / "maps", "a.test nonsense\n")
    started = run(BIN / "smarthopd", "-c", relay.conf_path, check=False)
    assert started.returncode != 0
    assert b"maps:1: \"nonsense\"" in started.stderr + relay.log_path.read_bytes()


def test_restart(start, sink, tmp_path):
    """A table that is up to date is not made again."""
    (tmp_path / "cache").mkdir()
    relay = start({"maps": f"a.test {hop(sink)}"}, cache=str(tmp_path / "cache"))
    told(relay, "table-loaded", "1 rules, compiled in")
    assert [path.name.split("-")[0] for path in (tmp_path / "cache").iterdir()] == ["maps.maps"]
    relay.restart()
    told(relay, "table-loaded", "1 rules, as they were compiled before")
    submit(relay, MESSAGE, "u@a.test")
    sink.wait(1)
    relay.stop()


@NEEDS_LANDLOCK
def test_in_a_process(start, sink, tmp_path):
    """It compiles into its folder, and serves what changes."""
    (tmp_path / "cache").mkdir()
    relay = start({"maps": f"a.test {hop(sink)}"}, process=True, check_interval="20ms",
                  cache=str(tmp_path / "cache"), process_writes=str(tmp_path / "cache"))
    told(relay, "table-loaded", "1 rules, compiled in")
    write(tmp_path / "maps", f"b.test {hop(sink)}\n")
    wait_until(lambda: say(relay, "u@b.test")["u@b.test"] == 250, "the new route")
    assert say(relay, "u@a.test")["u@a.test"] == "550 5.7.1 no route"
    write(tmp_path / "maps", "c.test nonsense\n")
    told(relay, "table-refused", "maps:1: \"nonsense\": behind the key comes smtp")
    write(tmp_path / "maps", f"d.test {hop(sink)}\n")
    wait_until(lambda: say(relay, "u@d.test")["u@d.test"] == 250, "the new route")
    assert relay.log("plugin-process-ended") == []
    relay.stop()


def test_why(start, sink):
    relay = start({"maps": f"# one\nh.test hold\na.test {hop(sink)}"})
    said = relay.ctl("route", "u@a.test").stdout
    assert b"maps:3" in said and b"table" in said
    relay.stop()
