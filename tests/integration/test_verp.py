"""verp_sender: a transaction, a reverse-path and a notification for each recipient."""
import pytest
from support import content, report
from support.dialogue import submit
from support.wait import wait_until

MESSAGE = content.message(b"Hello.")
LIST = "news-bounces@client.test"
PATTERN = {"verp_sender": "*-BOUNCES@client.test"}


def paths(messages):
    return sorted((message.sender, tuple(message.recipients)) for message in messages)


def test_each_recipient(start):
    relay, next_hop = start(**PATTERN)
    submit(relay, MESSAGE, "a@one.test", "b@one.test", "c@two.test", sender=LIST)
    assert paths(next_hop.wait(3)) == [
        ("news-bounces+a=one.test@client.test", ("a@one.test",)),
        ("news-bounces+b=one.test@client.test", ("b@one.test",)),
        ("news-bounces+c=two.test@client.test", ("c@two.test",))]
    for message in next_hop.messages():
        content.assert_relayed(message.content, MESSAGE)
    relay.wait_empty()


@pytest.mark.parametrize("sender, expected", [("news@client.test", "news@client.test"), ("", "")])
def test_others_are_sent_together(sender, expected, start):
    relay, next_hop = start(**PATTERN)
    submit(relay, MESSAGE, "a@one.test", "b@one.test", sender=sender)
    [received] = next_hop.wait(1)
    assert (received.sender, received.recipients) == (expected, ["a@one.test", "b@one.test"])


def test_notifications(start, sink):
    """What comes back names the recipient too; some are taken, some refused."""
    relay, next_hop = start("--reply-rcpt", "no*=550 5.1.1 nobody", **PATTERN)
    submit(relay, MESSAGE, "no1@one.test", "yes@one.test", "no2@one.test", sender=LIST)
    told = {message.recipients[0]: report.parse(message) for message in sink.wait(2)}
    assert set(told) == {f"news-bounces+no{number}=one.test@client.test" for number in (1, 2)}
    for number in (1, 2):
        one = told[f"news-bounces+no{number}=one.test@client.test"]
        assert set(one.recipients) == {f"no{number}@one.test"}
    assert paths(next_hop.wait(1)) == [
        ("news-bounces+yes=one.test@client.test", ("yes@one.test",))]
    relay.wait_empty()
    relay.stop()
    assert len(sink.messages()) == 2


def test_waiting_over_a_restart(start, sink):
    """What was asked for when it came holds, whatever is configured when it leaves."""
    relay, next_hop = start(retry_first="1s", **PATTERN)
    next_hop.stop()
    submit(relay, MESSAGE, "a@one.test", "b@one.test", sender=LIST)
    relay.stop()
    del relay.keys["verp_sender"]
    shown = relay.ctl("queue", "show", relay.queue()[0]["id"]).stdout
    assert b"VERP" in shown
    relay.start()
    next_hop.start()
    assert paths(next_hop.wait(2)) == [
        ("news-bounces+a=one.test@client.test", ("a@one.test",)),
        ("news-bounces+b=one.test@client.test", ("b@one.test",))]
    relay.wait_empty()


def test_many(start):
    relay, next_hop = start(recipients_max=1000, **PATTERN)
    submit(relay, MESSAGE, *(f"r{number}@one.test" for number in range(500)), sender=LIST)
    received = wait_until(lambda: len(next_hop.messages()) >= 500 and next_hop.messages(), "all")
    assert {message.sender for message in received} == {
        f"news-bounces+r{number}=one.test@client.test" for number in range(500)}
    relay.wait_empty()
