"""What is remembered of users and clients: rates and greylisting, over restarts and kills."""
import json

import pytest
from support import content, users
from support.dialogue import Dialogue
from support.process import BIN, Process
from support.relay import ANY_PORT
from support.scram import encode
from support.wait import wait_until

ALICE, BOB = "alice@client.test", "bob@client.test"
MAIL, RCPT = "MAIL FROM:<sender@client.test>", "RCPT TO:<to@example.test>"
OK, SENDER_OK, RECIPIENT_OK = "250 2.0.0", "250 2.1.0", "250 2.1.5"
USER_LIMITED, CLIENT_LIMITED, PUT_OFF, SENT_AWAY = (
    "452 4.7.1", "450 4.7.1", "451 4.7.1", "421 4.7.0")
SAMPLE = content.message(b"hello")

BALANCER, PROXY, CLIENT = "127.0.0.5", "127.0.0.6", "127.0.0.9"
FRIEND, FOE = "192.0.2.7", "198.51.100.7"  # behind the balancer and the proxy
LISTENERS = {"smtp": {"address": ANY_PORT, "auth": True},
             "proxied": {"address": ANY_PORT, "proxy": True}}
NOBODY = ["203.0.113.99/32"]  # is exempt


@pytest.fixture
def users_file(tmp_path):
    return users.make(tmp_path / "users", {ALICE: "a", BOB: "b"})


@pytest.fixture
def start_guarded(start_relay):
    """What is accepted is dropped. `start(**keys)`"""
    def start(**keys):
        return start_relay(**{
            "routes": {"*": {"discard": True}}, "listeners": LISTENERS, "errors_max": 1000,
            "auth_without_tls": True, "sender_must_match": False, "guard_path": "guard",
            "guard_save_interval": "10ms",
            "proxy_networks": [f"{BALANCER}/32"], "xclient_networks": [f"{PROXY}/32"],
            "relay_networks": ["127.0.0.0/8", "192.0.2.0/24", "198.51.100.0/24", "2001:db8::/32"],
            "limit_exempt_networks": NOBODY, "greylist_exempt_networks": NOBODY, **keys})
    return start


def open_session(relay, user=None, client=CLIENT):
    dialogue = Dialogue(relay.port, client=client).hello()
    if user is not None:
        login = encode(f"\0{user}\0{user[0]}")
        assert dialogue.command(f"AUTH PLAIN {login}").code == 235
    return dialogue


def send(relay, recipients=1, **who):
    """One message through a session of its own; the first reply that is no yes, or that to it."""
    with open_session(relay, **who) as client:
        for line in [MAIL, *[RCPT] * recipients]:
            reply = client.command(line)
            if reply.code != 250:
                return reply.status
        return client.data(content.stuffed(SAMPLE)).status


def remembered(relay, *arguments):
    return json.loads(relay.ctl("guard", "list", "--json", *arguments).stdout)


def count(relay, kind, key):
    return sum(entry["count"] for entry in remembered(relay, "--kind", kind, key))


def wait_saved(relay, kind, key, number):
    wait_until(lambda: count(relay, kind, key) == number, f"{number} of {kind} to be saved")


# ---- users --------------------------------------------------------------------------------------

@pytest.mark.parametrize("end", ["stop", "kill"])
def test_user_over_a_restart(end, start_guarded, users_file):
    relay = start_guarded(users_file=users_file, user_messages_per_hour=3,
                          guard_save_interval="1h" if end == "stop" else "10ms")
    assert [send(relay, user=ALICE) for _ in range(2)] == [OK, OK]
    if end == "kill":
        wait_saved(relay, "user-messages", ALICE, 2)
    getattr(relay, end)()
    relay.start()
    assert [send(relay, user=ALICE) for _ in range(3)] == [OK, USER_LIMITED, USER_LIMITED]
    assert send(relay, user=BOB) == OK and send(relay) == OK
    limited = relay.log("rate-limited")
    assert [(record["rate"], record["key"], record["limit"]) for record in limited] == [
        ("user-messages", ALICE, "3")] * 2


def test_user_recipients(start_guarded, users_file):
    relay = start_guarded(users_file=users_file, user_recipients_per_hour=5)
    assert send(relay, recipients=4, user=ALICE) == OK
    with open_session(relay, user=ALICE) as client:
        assert client.talk(MAIL, RCPT) == [SENDER_OK, RECIPIENT_OK]
        reply = client.command(RCPT)
        assert reply.status == USER_LIMITED
        assert reply.text.startswith("No more than 5 recipients per hour; try again in ")
        assert client.data(content.stuffed(SAMPLE)).status == OK  # what was accepted is sent


def test_users_file_has_the_last_word(start_guarded, users_file):
    users.add_fields(users_file, ALICE, "messages_per_hour=1")
    users.add_fields(users_file, BOB, "messages_per_hour=0")
    relay = start_guarded(users_file=users_file, user_messages_per_hour=2)
    assert [send(relay, user=ALICE) for _ in range(2)] == [OK, USER_LIMITED]
    assert [send(relay, user=BOB) for _ in range(4)] == [OK] * 4
    relay.restart()
    assert send(relay, user=ALICE) == USER_LIMITED


def test_rates_of_the_users_file_alone(start_guarded, users_file):
    """The folder is made once the file has a rate."""
    relay = start_guarded(users_file=users_file)
    assert send(relay, user=ALICE) == OK
    assert not (relay.folder / "guard").exists() and remembered(relay) == []
    users.add_fields(users_file, ALICE, "messages_per_hour=1")
    relay.wait_log("guard-loaded")
    assert [send(relay, user=ALICE) for _ in range(2)] == [OK, USER_LIMITED]
    relay.restart()
    assert send(relay, user=ALICE) == USER_LIMITED


# ---- clients ------------------------------------------------------------------------------------

def test_client(start_guarded, users_file):
    relay = start_guarded(users_file=users_file, client_messages_per_hour=2)
    assert [send(relay) for _ in range(3)] == [OK, OK, CLIENT_LIMITED]
    assert send(relay, client="127.0.0.10") == OK  # another one
    assert send(relay, user=ALICE) == OK  # a user is no client
    relay.restart()
    assert send(relay) == CLIENT_LIMITED


def test_errors(start_guarded):
    relay = start_guarded(client_errors_per_hour=3)
    with open_session(relay) as client:
        assert client.talk("X", "X", "X", "X", MAIL) == ["500 5.5.2"] * 4 + [SENDER_OK]
    with Dialogue(relay.port, client=CLIENT) as client:
        assert client.reply().status == SENT_AWAY and client.is_closed()
    relay.wait_log("session", closed="too many errors lately")


def behind_proxy(relay, header):
    client = Dialogue(relay.ports["proxied"], client=BALANCER)
    client.send(header.encode())
    return client


def header(source, family="TCP4", target="203.0.113.1"):
    return f"PROXY {family} {source} {target} 40000 25\r\n"


def test_sessions_behind_a_balancer(start_guarded):
    relay = start_guarded(client_sessions_per_minute=2)
    codes = []
    for source in [FOE, FOE, FRIEND, FOE, FRIEND, FRIEND]:
        with behind_proxy(relay, header(source)) as client:
            codes.append(client.reply().code)
    assert codes == [220, 220, 220, 421, 220, 421]


def test_sessions_by_xclient(start_guarded):
    relay = start_guarded(client_sessions_per_minute=2)
    codes = []
    for source in [FOE, FOE, FRIEND, FOE]:
        with Dialogue(relay.port, client=PROXY).hello() as client:  # the proxy's are not counted
            codes.append(client.command(f"XCLIENT ADDR={source}").code)
            if codes[-1] == 220:  # only what changes the client is a new session
                assert client.command("XCLIENT LOGIN=[UNAVAILABLE]").code == 220
    assert codes == [220, 220, 220, 421]


def test_ipv6_networks(start_guarded):
    relay = start_guarded(client_sessions_per_minute=1)
    codes = []
    for source in ["2001:db8::7", "2001:db8::8:9", "2001:db8:0:1::7"]:
        with behind_proxy(relay, header(source, "TCP6", "::1")) as client:
            codes.append(client.reply().code)
    assert codes == [220, 421, 220]
    wait_saved(relay, "client-sessions", "2001:db8::/64", 1)


def test_messages_are_the_real_clients(start_guarded):
    """By whatever way it comes."""
    relay = start_guarded(client_messages_per_hour=1)
    with Dialogue(relay.port, client=PROXY).hello() as client:
        assert client.talk(f"XCLIENT ADDR={FOE}", "EHLO a.test", MAIL, RCPT) == [
            "220", "250", SENDER_OK, RECIPIENT_OK]
        assert client.data(content.stuffed(SAMPLE)).status == OK
        assert client.talk(MAIL, f"XCLIENT ADDR={FRIEND}", "EHLO a.test", MAIL) == [
            CLIENT_LIMITED, "220", "250", SENDER_OK]
    with behind_proxy(relay, header(FOE)) as client:
        assert client.hello().command(MAIL).status == CLIENT_LIMITED
    wait_saved(relay, "client-messages", FOE, 1)


# ---- greylisting --------------------------------------------------------------------------------

def test_greylisting(start_guarded):
    relay = start_guarded(greylist=True, greylist_delay="300ms", greylist_known_after=1)
    with open_session(relay) as client:
        assert client.command(MAIL).status == SENDER_OK
        reply = client.command(RCPT)
        assert (reply.status, reply.text) == (
            PUT_OFF, "You are not known here yet; try again in 1 second")
    wait_until(lambda: send(relay) == OK, "the delay to be over")
    assert len(relay.log("greylisted")) == len(relay.log("greylist-passed")) == 1
    assert relay.log("greylisted")[0]["to"] == "to@example.test"
    relay.restart()
    with open_session(relay) as client:  # all of its mail by now, and from its neighbours
        assert client.talk("MAIL FROM:<other@client.test>", "RCPT TO:<else@example.test>") == [
            SENDER_OK, RECIPIENT_OK]
    assert send(relay, client="127.0.0.77") == OK
    assert send(relay, client="127.0.1.9") == PUT_OFF


def test_greylisting_over_a_kill(start_guarded):
    relay = start_guarded(greylist=True, greylist_delay="1h")
    assert send(relay) == PUT_OFF
    wait_until(lambda: remembered(relay), "the triplet to be saved")
    relay.kill()
    relay.keys["greylist_delay"] = "1ms"
    relay.start()
    assert send(relay) == OK
    assert len(relay.log("greylist-passed")) == 1


def test_who_is_not_greylisted(start_guarded, users_file):
    relay = start_guarded(users_file=users_file, greylist=True,
                          greylist_exempt_networks=["127.0.0.10/32"])
    assert send(relay) == PUT_OFF
    assert send(relay, client="127.0.0.10") == OK
    assert send(relay, user=ALICE) == OK
    with open_session(relay) as client:
        assert client.talk(MAIL, "RCPT TO:<POSTMASTER@example.test>") == [SENDER_OK, RECIPIENT_OK]


def test_strangers_at_a_gateway(start_guarded):
    """Whoever may relay is not put off; what is refused for good is not either."""
    relay = start_guarded(greylist=True, greylist_exempt_networks=[], relay_domains=["example.test"],
                          relay_networks=["127.0.0.10/32"])
    assert send(relay) == PUT_OFF
    assert send(relay, client="127.0.0.10") == OK
    with open_session(relay) as client:
        assert client.talk(MAIL, "RCPT TO:<to@other.test>", "RCPT TO:<Postmaster>") == [
            SENDER_OK, "550 5.7.1", RECIPIENT_OK]
    assert len(relay.log("greylisted")) == 1


def test_greylisting_of_the_real_client(start_guarded):
    relay = start_guarded(greylist=True, greylist_delay="1h",
                          greylist_exempt_networks=["127.0.0.0/8", "192.0.2.0/24"])
    assert send(relay) == OK
    for source, status in [(FOE, PUT_OFF), (FRIEND, RECIPIENT_OK)]:
        with Dialogue(relay.port, client=PROXY).hello() as client:
            assert client.command(f"XCLIENT ADDR={source}").code == 220
            assert client.talk("EHLO a.test", MAIL, RCPT) == ["250", SENDER_OK, status]
        with behind_proxy(relay, header(source)) as client:
            assert client.hello().talk(MAIL, RCPT) == [SENDER_OK, status]
    wait_until(lambda: remembered(relay), "the triplet to be saved")
    assert [entry["key"] for entry in remembered(relay)] == [
        "198.51.100.0/24 <sender@client.test> <to@example.test>"]


# ---- operators ----------------------------------------------------------------------------------

def test_list_and_forget(start_guarded, users_file):
    relay = start_guarded(users_file=users_file, user_messages_per_hour=1,
                          user_recipients_per_hour=9, client_messages_per_hour=1)
    assert [send(relay, user=ALICE) for _ in range(2)] == [OK, USER_LIMITED]
    assert send(relay) == OK
    wait_saved(relay, "client-messages", CLIENT, 1)
    assert [(entry["kind"], entry["key"], entry["count"]) for entry in remembered(relay)] == [
        ("user-messages", ALICE, 1), ("user-recipients", ALICE, 1), ("client-messages", CLIENT, 1)]
    table = relay.ctl("guard", "list", "127.").stdout.decode().splitlines()
    assert [line.split()[0] for line in table] == ["KIND", "client-messages"]
    assert b"Nothing" in relay.ctl("guard", "list", "nobody").stdout

    assert relay.ctl("guard", "forget", "--kind", "client-errors", ALICE, check=False).returncode == 1
    assert send(relay, user=ALICE) == USER_LIMITED
    answer = json.loads(relay.ctl("guard", "forget", ALICE, "--json").stdout)
    assert answer == {"ok": True, "forgotten": 2}
    wait_until(lambda: not remembered(relay, ALICE), "that to be saved")
    assert [send(relay, user=ALICE) for _ in range(2)] == [OK, USER_LIMITED]
    assert send(relay) == CLIENT_LIMITED

    assert relay.ctl("guard", "forget", "--kind", "x", ALICE, check=False).returncode == 2
    assert relay.ctl("guard", "list", "--kind", "x", check=False).returncode == 2
    relay.stop()
    assert len(remembered(relay)) == 3  # without the daemon, too
    assert relay.ctl("guard", "forget", ALICE, check=False).returncode == 3


# ---- the folder ---------------------------------------------------------------------------------

def test_nothing_is_kept_by_default(start_guarded):
    relay = start_guarded()
    assert send(relay) == OK
    relay.stop()
    assert not (relay.folder / "guard").exists()


def test_switched_on_by_a_reload(start_guarded):
    relay = start_guarded()
    assert send(relay) == OK
    relay.keys["greylist"] = True
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    assert (relay.folder / "guard").stat().st_mode & 0o777 == 0o700
    assert send(relay) == PUT_OFF


def test_a_folder_that_cannot_be_used(start_guarded):
    relay = start_guarded()
    (relay.folder / "guard").mkdir()
    (relay.folder / "guard" / "data.mdb").write_bytes(b"not a store" * 1000)
    relay.keys["greylist"] = True
    relay.write_conf()
    refused = relay.reload()
    assert refused["event"] == "reload-refused" and "guard: " in refused["text"]
    assert send(relay) == OK
    relay.stop()
    daemon = Process([BIN / "smarthopd", "-c", relay.conf_path], relay.folder, "again")
    assert daemon.wait() == 1
    assert daemon.err().startswith(f"smarthopd: {relay.folder}/guard: ")
    relay.keys["greylist"] = False  # what is not used is not looked at
    relay.start()
    assert send(relay) == OK
