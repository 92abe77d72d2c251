"""`smarthopctl plugin test`: what it sees of plugins, good and bad."""
import json
import re

import pytest

from support.process import BIN
from support.trial import (BUNDLED, GOOD, LIBRARIES, MISBEHAVED, USAGE, ctl, of_kind, problems,
                           route, routes, trial)

SANITIZER_EXIT = "ended the process, with "  # it catches the signal itself
EXAMPLE = BUNDLED / "example.so"
RUDE = LIBRARIES / "test" / "rude.so"
WITNESS = LIBRARIES / "test" / "witness.so"


def rude(how, *arguments, code=GOOD, **named):
    return trial(RUDE, "--option", f"how={how}", *arguments, code=code, **named)


def test_what_the_example_decides():
    options = ("--option", "domains=Example.NET", "--option", "domains=b.test",
               "--option", "next_hop=hub.test", "--option", "port=2525")
    records = trial(EXAMPLE, *options, "--to", "ben@b.test", "--to", "cid@c.test")
    assert [record["action"] for record in of_kind(records, "decision")] == ["send", "send", "pass"]
    hop = of_kind(records, "decision")[0]["next_hops"][0]
    assert (hop["host"], hop["port"]) == ("hub.test", 2525)
    assert of_kind(records, "plugin")[0]["hooks"] == ["route"]


def test_the_text_for_people():
    done = ctl("plugin", "test", EXAMPLE, "--to", "ann@example.net", "--option",
               "domains=example.net", "--option", "next_hop=hub.test")
    assert done.returncode == GOOD
    assert "send  ann@example.net" in done.stdout
    assert "hub.test:25" in done.stdout
    assert "the domain is one of `domains`" in done.stdout


def test_options_of_a_configuration(tmp_path):
    config = tmp_path / "relay.conf"
    config.write_text('hostname = "a.test"\nlistener main { address = "127.0.0.1:0" }\n'
                      f'plugin "mine" {{ file = "{EXAMPLE}"\n domains = {{ "example.net" }}\n'
                      ' next_hop = "conf.test" }\n')
    assert route(trial(EXAMPLE, "-c", config))["next_hops"][0]["host"] == "conf.test"
    records = trial(EXAMPLE, "-c", config, "--option", "next_hop=over.test")
    assert route(records)["next_hops"][0]["host"] == "over.test"
    refused = trial(RUDE, "-c", config, code=MISBEHAVED)
    assert 'has no section of plugin "rude"' in refused[0]["text"]


@pytest.mark.parametrize("option, text", [
    ("port=99999", "out of range"),
    ("port=x", "expected a number"),
    ("nothing=1", "unknown key nothing"),
])
def test_options_that_do_not_fit(option, text):
    records = trial(EXAMPLE, "--option", option, "--option", "next_hop=x", code=MISBEHAVED)
    assert text in of_kind(records, "refused")[0]["text"]


@pytest.mark.parametrize("arguments, text", [
    (("--to", "a@b.test", "--dns", "cname x y"), "the first word is"),
    (("--to", "a@b.test", "--dns", "mx x y"), "an mx is"),
    (("--to", "a@b.test", "--dns", "txt x delay=soon none"), "duration"),
    (("--to", "a@b.test", "--dns", "txt x"), "there is no value"),
    (("--to", "a@b.test", "--option", "x"), "NAME=VALUE"),
    (("--to", "a@b.test", "--race", "x"), "--race takes"),
    (("--to", "a@b.test", "--outcome", "x"), "--outcome takes"),
    (("--to", "a@b.test", "--client", "x"), "--client takes"),
    (("--to", "a@b.test", "--timeout", "x"), "--timeout"),
    (("--to", "a@b.test", "--yes"), "--yes does not go with"),
])
def test_wrong_usage(arguments, text):
    done = ctl("plugin", "test", EXAMPLE, *arguments)
    assert done.returncode == USAGE
    assert text in done.stderr and done.stdout == ""


def test_start_alone(tmp_path, monkeypatch):
    """Without a recipient it is asked nothing; a section of the configuration goes by its name."""
    config = tmp_path / "relay.conf"
    table = tmp_path / "table"
    table.write_text("example.net smtp a.test\n")
    config.write_text('hostname = "a.test"\nlistener main { address = "127.0.0.1:0" }\n'
                      f'plugin "mine" {{ file = "{EXAMPLE}" next_hop = "conf.test" }}\n'
                      f'plugin "table" {{ maps = {{ "{table}" }} }}\n')
    for name in ("mine", "table"):
        done = ctl("--json", "-c", config, "plugin", "test", name)
        assert done.returncode == GOOD, done.stderr
        records = json.loads(done.stdout)
        assert of_kind(records, "plugin")[0]["hooks"] == ["route"]
        assert of_kind(records, "decision") == []
    monkeypatch.chdir(tmp_path)
    assert ctl("plugin", "test", "mine").returncode == GOOD  # its relay.conf is found as by others
    table.write_text("example.net nonsense\n")
    done = ctl("-c", config, "plugin", "test", "table")
    assert done.returncode == MISBEHAVED and "table:1: " in done.stderr + done.stdout


def test_reload_and_commands(tmp_path):
    table = tmp_path / "table"
    table.write_text("example.net smtp a.test\n")
    records = trial(BUNDLED / "table.so", "--option", f"maps={table}", "--reload")
    kinds = [record["record"] for record in records if record["record"] != "log"]
    assert kinds[:3] == ["plugin", "reload", "decision"]
    assert route(records)["action"] == "send"
    refused = trial(WITNESS, "--command", "x", code=MISBEHAVED)
    assert "has no commands" in of_kind(refused, "refused")[0]["text"]
    puppet = BIN / "../tests/plugins/puppet.so"
    records = trial(puppet, "--command", " a  bc ", "--command", "")
    assert [(one["words"], one["code"], one.get("output")) for one in of_kind(records, "command")] == [
        (" a  bc ", 0, "a\nbc\n"), ("", 1, None)]
    text = ctl("plugin", "test", puppet, "--command", "one two").stdout
    assert re.search(r"command +one two \(exit code 0\)\n +one\n +two\n", text)


def test_reload_that_fails(tmp_path):
    done = trial(RUDE, "--option", "how=reload", "--reload", code=MISBEHAVED)
    assert "does not take what it was told to read again" in of_kind(done, "refused")[0]["text"]


def test_one_that_stays():
    """A recipient that stands for itself and others is asked about once more."""
    puppet = BIN / "../tests/plugins/puppet.so"
    records = trial(puppet, "--option", "next_hop=a.test", to="split@split.test")
    assert [one["recipient"] for one in routes(records)] == [
        "split@split.test", "send+one@split.test", "send+two@split.test", "split@split.test"]
    assert problems(records) == []


def test_its_options_go_with_nothing_else():
    done = ctl("version", "--race", "late")
    assert (done.returncode, "plugin test" in done.stderr) == (USAGE, True)


# ---- what may be done ------------------------------------------------------------------------

def test_time_is_made_up():
    records = rude("timer", "--option", "delay=9s")
    assert (route(records)["answer"], route(records)["after_ms"]) == ("later", 9000)
    assert route(records)["next_hops"][0]["host"] == "later.test"


@pytest.mark.parametrize("how", ["thread", "watch"])
def test_answers_from_outside(how):
    assert route(rude(how))["action"] == "send"


def test_a_scripted_dns():
    found = rude("dns", "--dns", "mx example.net delay=2s 10 a.test", "--dns", "a a.test 1.2.3.4")
    assert (route(found)["after_ms"], route(found)["next_hops"][0]["host"]) == (2000, "a.test")
    assert route(found)["next_hops"][0]["priority"] == 10
    assert route(rude("dns", "--dns", "mx example.net none"))["action"] == "reject"
    assert route(rude("dns"))["action"] == "reject"
    assert route(rude("dns", "--dns", "mx Example.Net retry"))["action"] == "defer"


def test_values_are_kept_in_memory():
    assert route(rude("kv"))["why"] == "value"


def test_logs_and_metrics():
    records = rude("pass")
    assert of_kind(records, "log")[0] == {"record": "log", "level": "info", "event": "asked",
                                          "text": "pass"}
    assert of_kind(records, "metric") == [{"record": "metric", "name": "asked", "count": 1,
                                           "sum": 1}]


def test_a_body_is_read_and_replaced(tmp_path):
    message = tmp_path / "x.eml"
    message.write_bytes(b"Subject: small\n\nbody of more than one piece\r\n")
    decisions = of_kind(rude("body", "--message", message), "decision")
    body = next(record["body"] for record in decisions if record["hook"] == "message")
    assert body == "SUBJECT: SMALL\r\n\r\nBODY OF MORE THAN ONE PIECE\r\n"


# ---- the dialogue ----------------------------------------------------------------------------

def seen(*arguments, to="ann@Example.NET"):
    """What a plugin with all hooks is asked, in order, and what it is told each time."""
    records = trial(WITNESS, *arguments, to=to)
    hooks = [record["hook"] for record in of_kind(records, "decision")]
    texts = [record["text"] for record in of_kind(records, "log")]
    assert len(hooks) == len(texts)
    return list(zip(hooks, texts))


def test_hooks_are_asked_in_the_order_of_smtp():
    dialogue = seen("--from", "eve@b.test", "--helo", "c.test", "--user", "eve")
    assert dialogue == [
        ("connect", "helo= user= from= header=0 to=/ hosts=0 0"),
        ("helo", "helo=c.test user= from= header=0 to=/ hosts=0 0"),
        ("auth", "helo=c.test user=eve from= header=0 to=/ hosts=0 0"),
        ("mail", "helo=c.test user=eve from=eve@b.test header=0 to=/ hosts=0 0"),
        ("rcpt", "helo=c.test user=eve from=eve@b.test header=0 to=ann/example.net hosts=0 0"),
        ("headers", "helo=c.test user=eve from=eve@b.test header=1 to=/ hosts=0 0"),
        ("message", "helo=c.test user=eve from=eve@b.test header=1 to=/ hosts=0 0"),
        ("route", "helo=c.test user=eve from=eve@b.test header=1 to=ann/example.net hosts=0 0"),
        ("targets", "helo= user= from= header=0 to=/ hosts=1 0"),
        ("before-attempt", "helo= user= from=eve@b.test header=1 to=/ hosts=0 0"),
        ("after-attempt", "helo= user= from=eve@b.test header=1 to=ann/example.net hosts=0 250"),
    ]


@pytest.mark.parametrize("outcome, code, last", [
    ("deferred", "450", "after-attempt"),
    ("failed", "550", "bounce"),
    ("expired", "450", "bounce"),
])
def test_what_comes_of_an_attempt(outcome, code, last):
    dialogue = seen("--outcome", outcome)
    assert dialogue[-1][0] == last
    assert dict(dialogue)["after-attempt"].endswith(code)


def test_recipients_with_names_that_are_not_ascii():
    told = dict(seen(to="ann@b\u00fccher.example"))
    assert "to=ann/xn--bcher-kva.example" in told["rcpt"]


@pytest.mark.parametrize("how", ["broken", "broken-later"])
def test_what_could_not_be_found_out(how):
    records = rude(how)
    assert (route(records)["answer"], route(records)["action"]) == ("not found out", "defer")


# ---- what may not ------------------------------------------------------------------------------

@pytest.mark.parametrize("how, during, text", [
    ("crash", "hook route", "crashed: Aborted"),
    ("exit", "hook route", "ended the process, with 0"),
    ("forget", "waiting for route", "nothing is left that could bring it"),
    ("twice", "a timer", "the same token twice"),
    ("token", "hook route", "a token that there never was"),
    ("both", "hook route", "answered at once"),
    ("action", "hook route", "an action that this hook does not have"),
    ("nowhere", "hook route", "sent to nowhere"),
    ("control", "hook route", "a control character"),
    ("rewrite", "hook route", "again and again"),
    ("other", "hook route", "neither done, pending nor broken"),
    ("hook-body", "hook message", "outside of the work"),
    ("size", "hook route", "whose size is not set"),
    ("brackets", "hook route", "a next hop whose host is no name, address or socket"),
    ("mx", "hook route", "mx is no domain"),
    ("nobody", "hook route", "a recipient that is no address"),
    ("sender", "hook route", "a sender that is no address"),
    ("metric", "start", "a metric whose kind or name cannot be"),
])
def test_misbehaviour_is_told(how, during, text):
    records = rude(how, "--to", "ben@example.net", code=MISBEHAVED)
    problem = of_kind(records, "problem")[0]
    assert text in problem["text"]
    assert problem["during"] == during


@pytest.mark.parametrize("how", ["write", "keep"])
def test_events_are_read_only_and_end(how):
    problem, = of_kind(rude(how, "--to", "ben@example.net", code=MISBEHAVED), "problem")
    assert problem["during"] == "hook route"
    assert "crashed: Segmentation fault" in problem["text"] or SANITIZER_EXIT in problem["text"]


def test_an_endless_loop_is_ended():
    records = rude("loop", "--timeout", "1s", code=MISBEHAVED)
    problem, = of_kind(records, "problem")
    assert problem["text"] == "it has not returned within 1000 ms"
    # On a busy machine the time may be over before it has begun to loop.
    assert problem["during"] == "hook route" or of_kind(records, "log") == []


def test_an_answer_that_takes_too_long():
    records = rude("timer", "--option", "delay=11s", code=MISBEHAVED)
    assert problems(records) == ["it has promised an answer that did not come within its timeout"]
    assert (route(records)["answer"], route(records)["action"]) == ("not in time", "defer")


# ---- races -------------------------------------------------------------------------------------

@pytest.mark.parametrize("race, text", [
    ("cancel", "given up before the answer"),
    ("late", "given up as the answer came"),
    ("double", "asked twice at the same time"),
])
@pytest.mark.parametrize("how", ["timer", "thread", "dns"])
def test_races(race, text, how):
    records = rude(how, "--race", race, "--dns", "mx example.net 10 a.test")
    assert [record["text"] for record in of_kind(records, "race")] == [text]
    assert route(records)["action"] == "send"
