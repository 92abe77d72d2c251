"""What is found out about a client before it may speak, with a name server that says what the test
wants. Its clients come from addresses of 127.0.0.0/8 that may not relay."""
import base64
import json

import pytest
from support import content, users
from support.dialogue import Dialogue
from support.relay import ANY_PORT, to
from support.wait import wait_until

CLIENT, OTHER, FRIEND, PROXY = "127.0.0.9", "127.0.0.10", "127.0.0.7", "127.0.0.6"
STRANGERS = {"relay_networks": [f"{FRIEND}/32"], "limit_exempt_networks": [f"{FRIEND}/32"],
             "xclient_networks": [f"{PROXY}/32"]}
MAIL, RCPT = "MAIL FROM:<sender@client.test>", "RCPT TO:<to@example.test>"
OK, SENDER_OK, RECIPIENT_OK = "250 2.0.0", "250 2.1.0", "250 2.1.5"
NO_RELAY, LISTED, TOO_EARLY = "550 5.7.1", "554 5.7.1", "521 5.5.0"
SAMPLE = content.message(b"hello")


@pytest.fixture
def start(start_relay, sink, dns):
    def start_screening(**keys):
        return start_relay(**{"routes": {"*": to(sink)}, "dns_servers": [dns.address],
                              **STRANGERS, **keys})
    return start_screening


def reverse(address, zone):
    return ".".join([*reversed(address.split(".")), zone])


def name_it(dns, address, name, back=None):
    """PTR, and the A of that name, the address itself unless told otherwise."""
    dns.records[reverse(address, "in-addr.arpa")] = [f"PTR 60 {name}"]
    dns.records[name] = [f"A 60 {back or address}"]


def list_it(dns, address, zone, answer="127.0.0.2", text=None):
    dns.records[reverse(address, zone)] = [f"A 60 {answer}"] + ([f"TXT 60 {text}"] if text else [])


def sessions(relay):
    return json.loads(relay.ctl("status", "--json").stdout)["sessions"]


def open_from(relay, client):
    return Dialogue(relay.port, client=client)


# ---- waiting ------------------------------------------------------------------------------------

def test_talking_before_the_greeting(start):
    relay = start(greeting_delay="20s")
    with open_from(relay, CLIENT) as client:
        assert client.command("EHLO client.test").status == TOO_EARLY and client.is_closed()
    [session] = relay.wait_log("session")
    assert session["closed"] == "talked before the greeting"


def test_waiting_for_the_greeting(start, sink):
    relay = start(greeting_delay="300ms")
    with open_from(relay, FRIEND) as client:
        client.hello().begin("to@example.test")
        assert client.data(content.stuffed(SAMPLE)).status == OK
        assert client.command("QUIT").code == 221
    assert int(relay.wait_log("session")[0]["ms"]) >= 300
    content.assert_relayed(sink.wait(1)[0].content, SAMPLE)


def test_pipelining_before_it_was_offered(start):
    """Also where nothing is configured."""
    relay = start()
    with open_from(relay, FRIEND) as client:
        assert client.reply().code == 220
        client.send(b"EHLO client.test\r\nMAIL FROM:<>\r\n")
        assert client.reply().status == TOO_EARLY and client.is_closed()
    assert relay.wait_log("session")[0]["closed"] == "pipelining before EHLO"
    with open_from(relay, FRIEND).hello() as client:
        client.send(b"MAIL FROM:<>\r\nRCPT TO:<to@example.test>\r\nRSET\r\n")
        assert [client.reply().status for _ in range(3)] == [SENDER_OK, RECIPIENT_OK, OK]


def test_talking_is_allowed(start):
    relay = start(greeting_delay="100ms", refuse_early_talkers=False)
    with open_from(relay, CLIENT) as client:
        client.send(b"EHLO client.test\r\nNOOP\r\nQUIT\r\n")
        assert [client.reply().code for _ in range(4)] == [220, 250, 250, 221]


@pytest.mark.parametrize("keys", [{"greeting_delay": "20s"},
                                  {"client_names": True, "client_lookup_timeout": "20s"}],
                         ids=["delay", "look-up"])
def test_stop_meanwhile(keys, start, dns):
    dns.records[reverse(CLIENT, "in-addr.arpa")] = ["* !silent"]
    relay = start(dns_timeout="20s", **keys)
    with open_from(relay, CLIENT) as client, open_from(relay, CLIENT) as other:
        wait_until(lambda: sessions(relay) == 2, "both sessions")
        relay.stop()
        assert [client.reply().status, other.reply().status] == ["421 4.3.2"] * 2


# ---- names --------------------------------------------------------------------------------------

# (records of the DNS, the name that is believed)
NAMES = {
    "verified": (lambda dns: name_it(dns, FRIEND, "friend.test"), "friend.test"),
    "forged": (lambda dns: name_it(dns, FRIEND, "relay.test", back="192.0.2.1"), None),
    "none": (lambda dns: None, None),
    "failure": (lambda dns: dns.records.update({reverse(FRIEND, "in-addr.arpa"): ["* !servfail"]}),
                None),
    "silence": (lambda dns: dns.records.update({reverse(FRIEND, "in-addr.arpa"): ["* !silent"]}),
                None),
}


@pytest.mark.parametrize("prepare, name", NAMES.values(), ids=NAMES)
def test_name(prepare, name, start, sink, dns):
    prepare(dns)
    relay = start(client_names=True, client_lookup_timeout="300ms", dns_timeout="20s")
    with open_from(relay, FRIEND).hello() as client:
        client.begin("to@example.test")
        assert client.data(content.stuffed(SAMPLE)).status == OK
    received, rest = content.split_trace(sink.wait(1)[0].content)
    assert (received["name"], received["client"], rest) == (
        name and name.encode(), f"[{FRIEND}]".encode(), SAMPLE)
    assert relay.wait_log("session")[0].get("name") == name


def test_no_name_server(start_relay, sink):
    """A relay that cannot ask anybody serves all the same."""
    relay = start_relay(routes={"*": to(sink)}, client_names=True, block_lists=["list.test"],
                        dns_servers=["127.0.0.1:9"], **STRANGERS)
    with open_from(relay, CLIENT).hello() as client:
        assert client.talk(MAIL, RCPT) == [SENDER_OK, NO_RELAY]


def test_name_behind_a_proxy(start, dns):
    """The proxy's name is not that of its client."""
    name_it(dns, PROXY, "proxy.test")
    relay = start(client_names=True)
    for attributes, name in (("PORT=25", "proxy.test"), ("ADDR=192.0.2.1", None),
                             ("ADDR=192.0.2.1 NAME=client.test", "client.test"),
                             ("ADDR=192.0.2.1 NAME=[UNAVAILABLE]", None)):
        with open_from(relay, PROXY).hello() as client:
            assert client.command(f"XCLIENT {attributes}").code == 220
        [session] = relay.wait_log("session")[-1:]
        assert session.get("name") == name, attributes
        relay.restart()


# ---- block lists --------------------------------------------------------------------------------

def test_listed(start, dns):
    list_it(dns, CLIENT, "list.test", text="Spam seen, see https://list.test/127.0.0.9")
    relay = start(block_lists=["clean.test", "list.test"])
    with open_from(relay, CLIENT).hello() as client:
        assert client.command(MAIL).status == SENDER_OK
        refused = client.command(RCPT)
        assert refused.status == LISTED
        assert refused.text == (f"[{CLIENT}] is listed by list.test: Spam seen, see "
                                "https://list.test/127.0.0.9")
        assert client.talk("RCPT TO:<Postmaster>", "RCPT TO:<postmaster@example.test>") == [
            "250 2.1.5", NO_RELAY]
    [listed] = relay.wait_log("listed")
    assert (listed["client"], listed["zone"], listed["answer"]) == (
        f"[{CLIENT}]", "list.test", "127.0.0.2")
    with open_from(relay, OTHER).hello() as client:
        assert client.talk(MAIL, RCPT) == [SENDER_OK, NO_RELAY]
    relay.wait_log("session", 2)
    assert len(relay.log("listed")) == 1


def test_who_may_relay_is_not_looked_up(start, dns):
    list_it(dns, FRIEND, "list.test")
    relay = start(block_lists=["list.test"])
    with open_from(relay, FRIEND).hello() as client:
        assert client.talk(MAIL, RCPT) == [SENDER_OK, RECIPIENT_OK]
    assert dns.count() == 0


def test_who_logs_in_is_not_refused(start, dns, tmp_path):
    list_it(dns, CLIENT, "list.test")
    file = users.make(tmp_path / "users", {"alice@client.test": "secret"})
    users.allow(file, "alice@client.test", "sender@client.test")
    relay = start(block_lists=["list.test"], users_file=file, auth_without_tls=True,
                  listeners={"smtp": {"address": ANY_PORT, "auth": True}})
    login = base64.b64encode(b"\0alice@client.test\0secret").decode()
    with open_from(relay, CLIENT).hello() as client:
        assert client.talk(MAIL, RCPT, "RSET") == [SENDER_OK, LISTED, OK]
        assert client.talk(f"AUTH PLAIN {login}", MAIL, RCPT) == [
            "235 2.7.0", SENDER_OK, RECIPIENT_OK]


def test_mark(start, dns):
    list_it(dns, CLIENT, "list.test", text="Why not")
    relay = start(block_lists=["list.test"], block_list_action="mark")
    with open_from(relay, CLIENT).hello() as client:
        assert client.talk(MAIL, RCPT) == [SENDER_OK, NO_RELAY]
    assert relay.wait_log("listed")[0]["text"] == "Why not"


def test_a_list_in_error(start, dns):
    """It is told of once, and lists nobody."""
    for client in (CLIENT, OTHER):
        list_it(dns, client, "list.test", answer="127.255.255.254")
    relay = start(block_lists=["list.test"], workers=1)
    for client in (CLIENT, OTHER):
        with open_from(relay, client).hello() as dialogue:
            assert dialogue.talk(MAIL, RCPT) == [SENDER_OK, NO_RELAY]
    relay.wait_log("session", 2)
    assert [error["answer"] for error in relay.log("list-error", zone="list.test")] == [
        "127.255.255.254"]
    assert relay.reload()["event"] == "reloaded"
    with open_from(relay, CLIENT).hello():
        assert len(relay.wait_log("list-error", 2)) == 2
    assert not relay.log("listed")


def test_reload(start, dns):
    list_it(dns, CLIENT, "list.test")
    relay = start(block_lists=["list.test=127.0.0.3"])
    with open_from(relay, CLIENT).hello() as before:
        relay.keys["block_lists"] = ["list.test=127.0.0.2-127.0.0.4"]
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        with open_from(relay, CLIENT).hello() as after:
            assert after.talk(MAIL, RCPT) == [SENDER_OK, LISTED]
        assert before.talk(MAIL, RCPT) == [SENDER_OK, NO_RELAY]


def test_users_are_not_screened(start, dns):
    relay = start(block_lists=["list.test"], client_names=True, greeting_delay="20s",
                  listeners={"smtp": {"address": ANY_PORT, "role": "submission"}})
    with open_from(relay, CLIENT).hello() as client:
        assert client.command("QUIT").code == 221
    assert dns.count() == 0
