"""An operator corrects the envelope of a queued message: queue edit."""
import json

import pytest

from support import content, report
from support.dialogue import Dialogue, submit
from support.relay import to
from support.wait import wait_until

SAMPLE = content.message(b"hello")
PATIENT = {"retry_first": "60s", "retry_max": "60s"}
NOWHERE = {"hosts": ["[127.0.0.1]:1"], "tls": "none"}
LIST = "list@client.test"


def queued(start_relay, *recipients, routes, sender="sender@client.test", **keys):
    """A relay with a message that it cannot deliver yet, and its id."""
    relay = start_relay(routes=routes, **PATIENT, **keys)
    submit(relay, SAMPLE, *recipients, sender=sender)
    return relay, relay.wait_queued("backoff")[0]["id"]


def edit(relay, message, *options, check=True):
    return relay.ctl("queue", "edit", message, *options, check=check)


def recipients(relay):
    return sorted(each["address"] for message in relay.queue() for each in message["recipients"])


def test_recipient(start_relay, start_sink):
    """It is routed anew, keeps what its sender asked for, and says where it was addressed to."""
    sink = start_sink()
    relay = start_relay(routes={"good.test": to(sink), "*": NOWHERE}, event_log="events", **PATIENT)
    with Dialogue(relay.port).hello() as client:
        client.talk("MAIL FROM:<s@client.test> RET=HDRS", "RCPT TO:<Typo@wrong.test> NOTIFY=DELAY",
                    "RCPT TO:<told@wrong.test> ORCPT=rfc822;first@x.test", "RCPT TO:<stays@wrong.test>")
        client.data(SAMPLE + b".\r\n")
    message = relay.wait_queued("backoff")[0]["id"]
    done = edit(relay, message, "--recipient", "typo@WRONG.test", "--to", "a@good.test")
    assert done.stdout.decode().startswith("<a@good.test> changed\n    to   hosts:[127.0.0.1]:")
    assert done.stdout.decode().endswith(f"{message}: edited (1 group)\n")
    (got,) = sink.wait(1)
    assert got.mail.endswith(" RET=HDRS")
    assert got.rcpts == ["<a@good.test> NOTIFY=DELAY ORCPT=rfc822;Typo@wrong.test"]
    edit(relay, message, "--recipient", "told@wrong.test", "--to", "b@good.test")
    assert ["<b@good.test> ORCPT=rfc822;first@x.test"] in [one.rcpts for one in sink.wait(2)]
    wait_until(lambda: recipients(relay) == ["stays@wrong.test"], "the deliveries to be recorded")
    (one, two) = relay.log("edited", id=message)
    assert (one["what"], one["before"], one["now"]) == ("recipient", "typo@WRONG.test", "a@good.test")
    assert two["now"] == "b@good.test"
    relay.stop()
    events = [json.loads(line) for line in (relay.folder / "events").read_text().splitlines()]
    assert [event["recipient"] for event in events if event["event"] == "edited"] == [
        "a@good.test", "b@good.test"]


def test_to_the_same_next_hop(start_relay, start_sink):
    """Even there it becomes a group of its own, and goes once."""
    sink = start_sink()
    relay, message = queued(start_relay, "a@one.test", "b@one.test", routes={"*": NOWHERE})
    edit(relay, message, "--recipient", "a@one.test", "--to", "c@one.test")
    assert recipients(relay) == ["b@one.test", "c@one.test"]
    relay.sections["route"] = {"*": to(sink)}
    relay.write_conf()
    relay.reload()
    relay.ctl("queue", "reroute", message)
    wait_until(lambda: sink.recipients() == ["b@one.test", "c@one.test"], "both to be delivered")
    relay.wait_empty()


def test_add_and_drop(start_relay, start_sink):
    """Nobody is told of who is dropped; the last one takes the message along."""
    sink = start_sink()
    relay, message = queued(start_relay, "a@one.test", "b@two.test",
                            routes={"good.test": to(sink), "*": NOWHERE})
    edit(relay, message, "--add-recipient", "new@good.test")
    assert [one.recipients for one in sink.wait(1)] == [["new@good.test"]]
    wait_until(lambda: recipients(relay) == ["a@one.test", "b@two.test"], "the delivery to be recorded")
    edit(relay, message, "--drop-recipient", "B@two.test")
    assert recipients(relay) == ["a@one.test"]
    assert edit(relay, message, "--drop-recipient", "b@two.test", check=False).returncode == 1
    edit(relay, message, "--drop-recipient", "a@one.test")
    assert not relay.queue()
    assert edit(relay, message, "--add-recipient", "x@good.test", check=False).returncode == 1
    relay.stop()
    assert len(sink.messages()) == 1


def test_what_is_held_stays_held(start_relay, start_sink):
    sink = start_sink()
    relay, message = queued(start_relay, "a@one.test", routes={"good.test": to(sink), "*": NOWHERE})
    relay.ctl("queue", "hold", message)
    edit(relay, message, "--recipient", "a@one.test", "--to", "b@good.test")
    edit(relay, message, "--add-recipient", "c@good.test")
    relay.wait_queued("held")
    relay.restart()
    relay.ctl("queue", "release", message)
    wait_until(lambda: sink.recipients() == ["b@good.test", "c@good.test"], "both to be delivered")


def test_sender(start_relay, start_sink):
    """It is sent with the new one, who is also told of what fails; the old one is told nothing."""
    sink = start_sink("--reply-rcpt", "no@*=550 5.1.1 nobody")
    relay, message = queued(start_relay, "yes@one.test", "no@two.test", routes={"*": NOWHERE})
    edit(relay, message, "--sender", "New@other.test")
    assert b"<New@other.test>, by an operator" in relay.ctl("queue", "show", message).stdout
    path = relay.folder / f"{message}.eml"
    relay.ctl("queue", "export", message, "--to", relay.folder, "--remove")
    relay.sections["route"] = {"*": to(sink)}
    relay.write_conf()
    relay.reload()
    relay.ctl("queue", "import", path)
    relay.wait_empty()
    mails = {one.sender: one for one in sink.wait(2)}
    assert set(mails) == {"New@other.test", ""}
    assert mails["New@other.test"].recipients == ["yes@one.test"]
    assert mails[""].recipients == ["New@other.test"]
    assert set(report.parse(mails[""]).recipients) == {"no@two.test"}


def test_sender_survives_a_reroute(start_relay, start_sink):
    sink = start_sink()
    relay, message = queued(start_relay, "a@one.test", routes={"*": NOWHERE})
    edit(relay, message, "--sender", "new@other.test")
    relay.sections["route"] = {"*": to(sink)}
    relay.write_conf()
    relay.reload()
    relay.ctl("queue", "reroute", message)
    assert [one.sender for one in sink.wait(1)] == ["new@other.test"]


def test_a_new_address_without_a_way(start_relay):
    """Nothing is changed: nobody has asked for the mail to be lost."""
    relay, message = queued(start_relay, "a@one.test",
                            routes={"bad.test": {"reject": "5.1.2 gone"}, "*": NOWHERE})
    for options in (["--recipient", "a@one.test", "--to", "b@bad.test"],
                    ["--add-recipient", "b@bad.test"]):
        done = edit(relay, message, *options, check=False)
        assert done.returncode == 1
        assert b"undecided\n    to   gone\n" in done.stdout
    assert recipients(relay) == ["a@one.test"] and not relay.log("edited")


@pytest.mark.parametrize("how", ["reroute", "edit"])
def test_beside_verp(how, start_relay, start_sink):
    """Each recipient keeps a reverse-path of its own."""
    sink = start_sink()
    relay, message = queued(start_relay, "a@one.test", "b@one.test", "c@one.test", sender=LIST,
                            routes={"*": NOWHERE}, verp_sender=LIST)
    relay.sections["route"] = {"*": to(sink)}
    relay.write_conf()
    relay.reload()
    names = "abc"
    if how == "edit":
        edit(relay, message, "--add-recipient", "d@one.test")
        edit(relay, message, "--recipient", "a@one.test", "--to", "e@one.test")
        names = "bcde"
    relay.ctl("queue", "reroute", message)
    wait_until(lambda: len(sink.messages()) == len(names), "all to be delivered")
    assert sorted((one.sender, one.recipients) for one in sink.messages()) == [
        (f"list+{name}=one.test@client.test", [f"{name}@one.test"]) for name in names]


def test_waits_for_an_attempt(start_relay, start_sink):
    slow = start_sink("--stall-at", "final")
    relay = start_relay(routes={"*": to(slow)}, queue_command_wait="100ms", **PATIENT)
    (message,) = submit(relay, SAMPLE, "a@one.test")
    wait_until(lambda: b"sending" in relay.ctl("queue", "explain", message).stdout, "an attempt")
    done = edit(relay, message, "--drop-recipient", "a@one.test", check=False)
    assert done.returncode == 1 and b"being delivered" in done.stderr
    assert recipients(relay) == ["a@one.test"]
    relay.kill()


def test_is_done_behind_an_attempt(start_relay, start_sink):
    sink = start_sink("--delay-ms", "200", "--reply-final", "450 4.2.0 later")
    relay = start_relay(routes={"*": to(sink)}, **PATIENT)
    (message,) = submit(relay, SAMPLE, "a@one.test", "b@one.test")
    wait_until(lambda: b"sending" in relay.ctl("queue", "explain", message).stdout
               or relay.log("deferred"), "an attempt")
    edit(relay, message, "--drop-recipient", "a@one.test")
    assert recipients(relay) == ["b@one.test"]
    assert relay.log("deferred", to="a@one.test")


def test_wrong_usage(start_relay):
    relay, message = queued(start_relay, "a@one.test", routes={"*": NOWHERE})
    for options in ([], ["--to", "x@y.test"], ["--recipient", "a@one.test"],
                    ["--add-recipient", "x@y.test", "--drop-recipient", "a@one.test"],
                    ["--sender", "a@b.test", "--domain", "one.test"]):
        assert edit(relay, message, *options, check=False).returncode == 2
    for options in (["--add-recipient", "x@"], ["--sender", "x@"], ["--drop-recipient", "z@one.test"]):
        assert edit(relay, message, *options, check=False).returncode == 1
    assert edit(relay, "0000000000001", "--drop-recipient", "a@one.test", check=False).returncode == 1
    assert recipients(relay) == ["a@one.test"]
    relay.stop()
    assert edit(relay, message, "--drop-recipient", "a@one.test", check=False).returncode == 3
