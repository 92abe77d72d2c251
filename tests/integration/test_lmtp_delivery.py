"""Delivery by LMTP (RFC 2033): to a mail store that answers for each recipient."""
import pytest
from support import content, report
from support.dialogue import Dialogue, submit
from support.next_hop import NextHop
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")
TO = ["one@store.test", "two@store.test", "three@store.test"]


@pytest.fixture(params=["tcp", "unix"])
def start_store(request, start_relay, sink, tmp_path):
    """start_store(answer, **keys): a relay and the store to which it brings mail for store.test."""
    stores = []

    def start(answer=None, *offers, **keys):
        path = tmp_path / "store" if request.param == "unix" else None
        store = NextHop("PIPELINING", *offers, lmtp=True, path=path, answer=answer)
        stores.append(store)
        hosts = [f"unix:{path}"] if path else [f"[{store.host}]:{store.port}"]
        route = {"hosts": hosts, "protocol": "lmtp", "tls": "none"}
        relay = start_relay(routes={"store.test": route, "*": to(sink)}, **keys)
        return relay, store

    yield start
    for store in stores:
        store.stop()


def submit_all(relay):
    with Dialogue(relay.port).hello() as client:
        client.begin(*TO)
        assert client.data(content.stuffed(MESSAGE)).status == "250 2.0.0"


def answers(**by_name):
    """Replies to the end of data, for those who are named by their local part."""
    def answer(verb, line):
        return by_name.get(line.split("<")[1].split("@")[0]) if verb == "." else None
    return answer


@pytest.mark.parametrize("offer", ["SIZE", "CHUNKING"])
def test_all_taken(offer, start_store):
    relay, store = start_store(None, offer)
    submit_all(relay)
    [message] = store.wait(1)
    content.assert_relayed(message.content, MESSAGE)
    assert message.recipients == TO
    relay.wait_empty()
    relay.stop()
    assert store.said("LHLO") and not store.said("EHLO")
    assert len(relay.log("delivered")) == 3


@pytest.mark.parametrize("offers, actions", [([], ["delivered"]), (["DSN"], [])])
def test_success_is_told(offers, actions, start_store, sink):
    """There is no other host behind the store: what it takes is delivered, not relayed."""
    relay, store = start_store(None, *offers)
    with Dialogue(relay.port).hello() as client:
        assert client.talk("MAIL FROM:<sender@client.test>",
                           f"RCPT TO:<{TO[0]}> NOTIFY=SUCCESS") == ["250 2.1.0", "250 2.1.5"]
        assert client.data(content.stuffed(MESSAGE)).status == "250 2.0.0"
    store.wait(1)
    relay.wait_empty()
    told = [report.parse(message) for message in sink.messages()]
    assert [one.recipients[TO[0]]["Action"] for one in told] == actions


def test_mixed(start_store, sink):
    """Each recipient has its own outcome, and only the one that was deferred is tried again."""
    said = {"two": "452 4.2.2 full", "three": "550 5.2.1 gone"}
    relay, store = start_store(answers(**said))
    submit_all(relay)
    [delivered] = relay.wait_log("delivered", to=TO[0])
    [deferred, *_] = relay.wait_log("deferred", to=TO[1])
    [failed] = relay.wait_log("failed", to=TO[2])
    assert [each["dsn"] for each in (delivered, deferred, failed)] == ["2.0.0", "4.2.2", "5.2.1"]
    [dsn] = sink.wait(1)
    assert b"Final-Recipient: rfc822; three@store.test" in dsn.content
    assert b"one@store.test" not in dsn.content
    store.answer = answers()
    relay.wait_empty()
    relay.stop()
    assert [message.recipients for message in store.messages] == [[TO[0]], [TO[1]]]


def test_lost_between_the_replies(start_store):
    """Those who were answered are not sent to again."""
    relay, store = start_store(answers(two=""))
    submit_all(relay)
    relay.wait_log("delivered", to=TO[0])
    relay.wait_log("deferred", to=TO[1])
    relay.wait_log("deferred", to=TO[2])
    store.answer = answers()
    relay.wait_empty()
    relay.stop()
    assert [each["to"] for each in relay.log("delivered")].count(TO[0]) == 1
    assert store.messages[-1].recipients == TO[1:]


def test_store_down(start_store):
    relay, store = start_store()
    store.stop()
    submit(relay, MESSAGE, TO[0])
    [waits, *_] = relay.wait_log("destination-backs-off")
    assert "connection failed while connecting" in waits["text"]
    wait_until(lambda: relay.queue()[0]["recipients"][0]["state"] == "backoff", "the back-off")
    relay.stop()
