"""plugins/header: its rules in the kit, and in a daemon that reads them again."""
import os

import pytest

from support import content
from support.dialogue import submit
from support.trial import BUNDLED, MISBEHAVED, of_kind, problems, route, routes, trial

HEADER = BUNDLED / "header.so"
MESSAGE = content.message(b"hello")


@pytest.fixture
def rules(tmp_path):
    """rules(TEXT): a file that holds it, replaced as a whole."""
    def write(text):
        new = tmp_path / "rules.new"
        new.write_text(text)
        return os.replace(new, tmp_path / "rules") or tmp_path / "rules"
    return write


@pytest.fixture
def decide(rules, tmp_path):
    def one(text, *arguments, message=MESSAGE, **named):
        (tmp_path / "message").write_bytes(message)
        return trial(HEADER, "--option", f"rules={rules(text)}", "--option", "utc=yes", "--message",
                     tmp_path / "message", *arguments, **named)
    return one


def test_a_rule_of_each_kind(decide):
    text = ('header Subject /order \\d+/i and size > 10 -> send hub.test:2525,back.test tag order\n'
            'sender @.loud.test -> reject "5.7.1 too loud"\n'
            'client 192.0.2.0/24 and user ann -> mx other.test tls required tenant blue\n'
            'recipient @hold.test -> hold "by rule"\n')
    found = route(decide(text, message=b"Subject: Your\r\n Order 12\r\n" + MESSAGE))
    assert [(hop["host"], hop["port"], hop["priority"]) for hop in found["next_hops"]] == [
        ("hub.test", 2525, 0), ("back.test", 0, 1)]
    assert (found["tags"], found["why"]) == (["order"], "the rule in line 1")
    found = route(decide(text, "--from", "x@very.loud.test"))
    assert (found["action"], found["text"], found["enhanced"]) == ("reject", "too loud", "5.7.1")
    found = route(decide(text, "--client", "192.0.2.9", "--user", "ann"))
    assert (found["mx"], found["tls"], found["tenant"]) == ("other.test", "required", "blue")
    both = routes(decide(text, "--to", "x@hold.test"))
    assert [one["action"] for one in both] == ["pass", "hold"]


def test_the_clock_is_the_hosts(decide):
    """The kit's is in the night that 2026 begins with, a Thursday."""
    found = route(decide("days fri -> hold\ntime 01:00-24:00 -> discard\n"
                         "days thu and time 00:00-00:30 -> reject\n"))
    assert found["action"] == "reject"


def test_a_pattern_that_takes_for_ever(decide):
    records = decide("header X-Long /^(a+)+$/ -> reject\nany -> hold\n",
                     message=b"X-Long: " + b"a" * 900 + b"!\r\n" + MESSAGE)
    assert route(records)["action"] == "hold"
    assert "pattern-given-up" in [one["event"] for one in of_kind(records, "log")]
    assert [one["sum"] for one in of_kind(records, "metric")
            if one["name"] == "patterns_given_up"] == [1]
    assert problems(records) == []


@pytest.mark.parametrize("text, problem", [
    ("any -> hold\n\nany -> fly\n", "rules:3: there is no action fly"),
    ("header X /(/ -> hold\n", "rules:1: missing closing parenthesis"),
])
def test_a_wrong_file_is_told_with_its_line(decide, text, problem):
    assert problem in of_kind(decide(text, code=MISBEHAVED), "refused")[0]["text"]


def test_no_file(tmp_path):
    records = trial(HEADER, "--option", f"rules={tmp_path}/none", code=MISBEHAVED)
    assert "No such file" in of_kind(records, "refused")[0]["text"]
    assert "rules: is needed" in of_kind(trial(HEADER, code=MISBEHAVED), "refused")[0]["text"]


@pytest.mark.parametrize("race", ["cancel", "late", "double"])
def test_races(decide, race):
    assert problems(decide("any -> hold\n", "--race", race)) == []


def test_in_a_daemon(start_relay, sink, rules):
    hop = f"{sink.host}:{sink.port}"
    path = rules(f'header X-Send "yes" -> send {hop} tls none\nany -> hold "by rule"\n')
    relay = start_relay(plugins={"header": {"rules": str(path), "interval": "20ms"}},
                        routes={"*": {"reject": "5.7.1 no route"}})
    submit(relay, b"X-Send: YES\r\n" + MESSAGE, "a@a.test")
    sink.wait(1)
    submit(relay, MESSAGE, "b@a.test")
    relay.wait_queued("held")

    rules("any -> nothing\n")
    [wrong] = relay.wait_log("plugin", what="rules-refused")
    assert "rules:1: there is no action nothing" in wrong["text"]
    submit(relay, b"X-Send: yes\r\n" + MESSAGE, "c@a.test")
    sink.wait(2)

    rules(f"any -> send {hop} tls none\n")
    relay.wait_log("plugin", what="rules-read")
    submit(relay, MESSAGE, "d@a.test")
    sink.wait(3)
    relay.stop()
