"""plugins/failover: groups of next hops, in the kit and over a daemon."""
import pytest

from support import content
from support.dialogue import submit
from support.trial import BUNDLED, MISBEHAVED, of_kind, problems, route, routes, trial
from support.wait import wait_until

FAILOVER = BUNDLED / "failover.so"
MESSAGE = content.message(b"hello")
GROUPS = ("groups=main: a.test:2525, b.test@1, [2001:db8::1]:26@2",
          "groups=many: " + ", ".join(f"h{n}.test" for n in range(16)),
          "routes=one.test: main", "routes=.many.test: many")


def decide(*options, **named):
    words = (word for one in (*GROUPS, *options) for word in ("--option", one))
    return trial(FAILOVER, *words, **named)


def hosts(decision):
    return [f"{hop['host']}:{hop['port']}" for hop in decision["next_hops"]]


def test_priorities_and_routes():
    found = route(decide(to="x@one.test"))
    assert hosts(found) == ["a.test:2525", "b.test:0", "2001:db8::1:26"]
    assert found["why"] == "main"
    assert route(decide(to="x@two.test"))["action"] == "pass"
    assert route(decide("routes=*: main", to="x@two.test"))["why"] == "main"
    assert len(hosts(route(decide(to="x@a.many.test")))) == 16


@pytest.mark.parametrize("sticky, same", [
    ("sender", (("--from", "A@a.test"), ("--from", "a@A.test"))),
    ("recipient_domain", ((), ("--from", "b@a.test"))),
    ("user", (("--user", "ann"), ("--user", "ann", "--from", "b@a.test"))),
])
def test_sticky(sticky, same):
    first, second = (route(decide_words(f"sticky={sticky}", *words)) for words in same)
    assert hosts(first) == hosts(second)


def decide_words(option, *words):
    options = (word for one in (*GROUPS, option) for word in ("--option", one))
    return trial(FAILOVER, *options, *words, to="x@many.test")


def test_keys_are_spread():
    firsts = {hosts(route(decide_words("sticky=sender", "--from", f"u{n}@a.test")))[0]
              for n in range(12)}
    assert len(firsts) > 3


def test_recipients_of_a_message_stay_together():
    both = routes(decide_words("sticky=none", "--to", "y@many.test"))
    assert len(both) == 2 and hosts(both[0]) == hosts(both[1])


@pytest.mark.parametrize("option, text", [
    ("groups=x: a:b", "behind : there is a port"), ("groups=main: a", "already"),
    ("routes=x.test: none", "there is no group of this name"), ("routes=x", "is DOMAIN: GROUP"),
    ("sticky=x", "is one of none"),
])
def test_options(option, text):
    assert text in of_kind(decide(option, code=MISBEHAVED), "refused")[0]["text"]


@pytest.mark.parametrize("words", [("--outcome", "deferred"), ("--outcome", "failed"),
                                   ("--race", "cancel"), ("--race", "double")])
def test_outcomes_and_races(words):
    assert problems(decide_words("sticky=none", *words)) == []


def test_over_a_daemon(start_relay, start_sink):
    """The first host has trouble; all goes to the second, until it is well again."""
    first = start_sink("--reply-mail", "*=451 4.3.0 trouble", host="127.0.0.2")
    second = start_sink()
    relay = start_relay(
        plugins={"failover": {"groups": [f"main: {first.host}:{first.port}, "
                                         f"{second.host}:{second.port}@1"],
                              "routes": ["*: main"], "failures": 2, "rest_first": "200ms",
                              "rest_most": "200ms"}},
        retry_first="1h", retry_max="1h", host_retry_first="10ms", host_retry_max="10ms")
    submit(relay, MESSAGE, "a@a.test")
    submit(relay, MESSAGE, "b@a.test")
    relay.wait_log("plugin", what="host-down", text="127.0.0.2")

    def goes_on():
        submit(relay, MESSAGE, "c@a.test")
        return second.messages()
    wait_until(goes_on, "mail at the second host")
    first.stop()
    healthy = start_sink(host=first.host, port=first.port)

    def comes_back():
        submit(relay, MESSAGE, "d@a.test")
        return healthy.messages() and relay.log("plugin", what="host-up", text="127.0.0.2")
    wait_until(comes_back, "mail at the first host")
    relay.stop()


def test_none_can_be_reached(start_relay):
    """All of the group have failed then, and no other."""
    relay = start_relay(plugins={"failover": {
        "groups": ["main: 127.0.0.3:1, 127.0.0.4:1@1", "other: 127.0.0.40:1"],
        "routes": ["*: main"], "failures": 1, "rest_first": "1h", "rest_most": "1h"}},
        retry_first="1h", retry_max="1h")
    submit(relay, MESSAGE, "a@a.test", "b@a.test")
    relay.wait_log("plugin", what="host-down", text="127.0.0.3")
    relay.wait_log("plugin", what="host-down", text="127.0.0.4")
    listed = relay.ctl("plugin", "command", "failover").stdout.decode()
    assert listed.count(" is down\n") == 2 and "127.0.0.40 serves\n" in listed
    relay.stop()


def test_what_waited_together_fails_once(start_relay):
    """All the mail that waited for a host tells of the same attempt."""
    relay = start_relay(plugins={"failover": {
        "groups": ["main: 127.0.0.3:1"], "routes": ["*: main"], "failures": 2}},
        retry_first="1h", retry_max="1h")
    relay.ctl("queue", "suspend", "*", "--for", "1h", "--reason", "until all are there")
    submit(relay, MESSAGE, "a@a.test", count=20)
    relay.ctl("queue", "resume", "*")
    relay.wait_queued("backoff")
    assert relay.ctl("plugin", "command", "failover").stdout == b"127.0.0.3 serves\n"
    relay.stop()


def test_a_host_that_cannot_be_reached(start_relay, sink):
    """That it was passed over is seen by what was used in its place."""
    relay = start_relay(plugins={"failover": {
        "groups": [f"main: 127.0.0.3:{sink.port}, {sink.host}:{sink.port}@1"],
        "routes": ["*: main"], "failures": 1, "rest_first": "1h", "rest_most": "1h"}})
    submit(relay, MESSAGE, "a@a.test")
    sink.wait(1)
    relay.wait_log("plugin", what="host-down", text="127.0.0.3")
    listed = relay.ctl("plugin", "command", "failover").stdout.decode()
    assert "127.0.0.3 is down\n" in listed and f"{sink.host} serves\n" in listed
    relay.stop()
