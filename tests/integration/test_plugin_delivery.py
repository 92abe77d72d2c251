"""Plugins that look at deliveries: hosts, attempts, outcomes, notifications."""
import os
from pathlib import Path

from support import content
from support.dialogue import submit
from support.relay import to
from support.wait import wait_until

COURIER = str(Path(os.environ["SMARTHOP_BIN"]).parent / "tests" / "plugins" / "courier.so")
MESSAGE = content.message(b"hello")


def courier(**options):
    return {"courier": {"file": COURIER, **options}}


def outcomes(relay, count):
    return sorted(record["text"] for record in relay.wait_log("plugin", count, what="outcome"))


def test_outcomes(start_relay, start_sink):
    sink = start_sink("--reply-rcpt", "no@*=550 5.1.1 nobody")
    relay = start_relay(routes={"*": to(sink)}, plugins=courier())
    submit(relay, MESSAGE, "to@a.test", "no@a.test")
    told = outcomes(relay, 3)  # with the notification's
    assert told[0] == "no@a.test failed 550 127.0.0.1 nobody"
    assert told[2].startswith("to@a.test delivered 250 127.0.0.1 ")
    relay.stop()


def test_no_host_is_reached(start_relay):
    """Each recipient that waited for one is told of once."""
    relay = start_relay(routes={"*": {"hosts": ["[127.0.0.1]:1", "[127.0.0.2]:1"], "tls": "none"}},
                        plugins=courier(), retry_first="1h", retry_max="1h")
    submit(relay, MESSAGE, "a@a.test", "b@a.test")
    relay.wait_queued("backoff")
    relay.stop()
    told = outcomes(relay, 2)
    assert [text.split("  ")[0] for text in told] == ["a@a.test deferred 0", "b@a.test deferred 0"]
    assert all(text.endswith("Connection refused") for text in told)


def test_targets(start_relay, start_sink):
    first, last = start_sink(), start_sink()
    relay = start_relay(routes={"*": to(first, last)}, plugins=courier(last_target=True))
    submit(relay, MESSAGE, "to@a.test")
    last.wait(1)
    assert not first.messages()
    relay.stop()


def test_preferences(start_relay, dns):
    dns.records |= {"example.test": ["MX 60 20 b.test", "MX 60 10 a.test"],
                    "a.test": ["A 60 127.0.0.2"], "b.test": ["A 60 127.0.0.3"]}
    relay = start_relay(routes={"*": {"use_mx": True, "port": 1, "tls": "none"}},
                        dns_servers=[dns.address], plugins=courier(tell_targets=True))
    submit(relay, MESSAGE, "to@example.test")
    [told, *_] = relay.wait_log("plugin", what="targets")
    assert told["text"] == "a.test 10, b.test 20"
    relay.stop()


def test_put_off(start_relay, sink):
    """Nobody is connected to meanwhile; then it goes, after the time that the plugin has said."""
    relay = start_relay(routes={"*": to(sink)}, plugins=courier(put_off=2), retry_first="1h",
                        retry_max="1h")
    submit(relay, MESSAGE, "to@a.test")
    sink.wait(1)
    assert len(relay.log("deferred", to="to@a.test", text="not the first time")) == 2
    relay.stop()


def test_put_off_for_ever(start_relay, sink):
    """Until the longest retry, and not again and again until then."""
    relay = start_relay(routes={"*": to(sink)}, plugins=courier(put_off=1000, put_off_for=2**64 - 1),
                        retry_first="1h", retry_max="1h")

    def tries():
        return [message["recipients"][0]["tries"] for message in relay.queue()]

    submit(relay, MESSAGE, "to@a.test")
    wait_until(lambda: tries() == [1], "the first to be put off")
    [message] = relay.queue()
    assert message["recipients"][0]["next_try"] - message["arrival"] >= 3600 * 1000
    submit(relay, MESSAGE, "to@a.test")  # would come behind what is due at once
    wait_until(lambda: tries() == [1, 1], "the second to be put off, and nothing else")
    relay.stop()


def test_no_bounces(start_relay, start_sink):
    sink = start_sink("--reply-rcpt", "no@*=550 5.1.1 nobody")
    relay = start_relay(routes={"*": to(sink)}, plugins=courier(no_bounces=True))
    submit(relay, MESSAGE, "no@a.test")
    relay.wait_log("notification-dropped", text="a plugin does not want it")
    relay.wait_empty()
    assert not sink.messages()
    relay.stop()


def test_stop_while_asked(start_relay, sink):
    """An answer that never comes keeps nothing from stopping; the mail is there afterwards."""
    relay = start_relay(routes={"*": to(sink)}, plugins=courier(put_off=1000), retry_first="100ms")
    submit(relay, MESSAGE, "to@a.test", count=20)
    relay.wait_log("deferred", 20)
    relay.stop()
    relay.sections["plugin"] = {}
    relay.start()
    sink.wait(20)
    relay.stop()
