"""An inbound gateway: who may send to whom, Postmaster, and the recipients that there are."""
import os
import signal
from pathlib import Path

import pytest
from support import content
from support.dialogue import Dialogue
from support.process import BIN, run
from support.relay import ANY_PORT, to
from support.wait import wait_until

STRANGER, KNOWN = "127.0.0.9", "127.0.0.1"
MAIL = "MAIL FROM:<sender@client.test>"
MESSAGE = content.stuffed(content.message(b"hello"))
OK, SENDER_OK, RECIPIENT_OK = "250 2.0.0", "250 2.1.0", "250 2.1.5"
NO_RELAY, NO_USER, FULL, GONE = "550 5.7.1", "550 5.1.1", "452 4.5.3", "451 4.3.5"
DISCARD = {"*": {"discard": True}}


def outcomes(port, client, *recipients, mail=MAIL):
    """What these recipients get in a session of their own."""
    with Dialogue(port, client=client).hello() as dialogue:
        assert dialogue.command(mail).status == SENDER_OK
        return dialogue.talk(*(f"RCPT TO:<{recipient}>" for recipient in recipients))


def needing_restart(relay):
    """What a reload has said so of; addresses do, since the relay chose their ports."""
    return [note["text"] for note in relay.log("reload-note") if ": address " not in note["text"]]


def write(file, *lines):
    """As an administrator should: the file is there whole, or not at all."""
    new = file.with_name("new")
    new.write_text("".join(f"{line}\n" for line in lines))
    os.replace(new, file)


# ---- listeners --------------------------------------------------------------------------------

LISTENERS = {
    "global": {"address": ANY_PORT},
    "outside": {"address": ANY_PORT, "relay_networks": [], "relay_domains": ["out.test"]},
    "inside": {"address": ANY_PORT, "relay_networks": ["127.0.0.8/30"], "relay_domains": []},
    "closed": {"address": ANY_PORT, "relay_networks": "none", "relay_domains": "none"},
}
# (listener, client, what a@gate.test, a@out.test and a@else.test get)
RIGHTS = [
    ("global", STRANGER, [RECIPIENT_OK, NO_RELAY, NO_RELAY]),
    ("global", KNOWN, [RECIPIENT_OK] * 3),
    ("outside", STRANGER, [NO_RELAY, RECIPIENT_OK, NO_RELAY]),
    ("outside", KNOWN, [NO_RELAY, RECIPIENT_OK, NO_RELAY]),
    ("inside", STRANGER, [RECIPIENT_OK] * 3),
    ("inside", KNOWN, [NO_RELAY] * 3),
    ("closed", KNOWN, [NO_RELAY] * 3),
]
GLOBAL = {"relay_networks": ["127.0.0.1/32"], "relay_domains": ["gate.test"]}


@pytest.fixture
def listeners(start_relay):
    return start_relay(routes=DISCARD, listeners=LISTENERS, **GLOBAL)


@pytest.mark.parametrize("listener, client, expected", RIGHTS)
def test_listeners(listener, client, expected, listeners):
    port = listeners.ports[listener]
    assert outcomes(port, client, "a@gate.test", "a@out.test", "a@else.test") == expected


def test_configuration_is_printed(listeners, tmp_path):
    """What a listener has of its own, and no more; it reads back the same."""
    shown = listeners.ctl("config", "show").stdout.decode()
    assert shown.count("relay_networks = ") == 4 and shown.count("relay_domains = ") == 4
    copy = tmp_path / "shown.conf"
    copy.write_text(shown)
    again = run(BIN / "smarthopctl", "-c", copy, "config", "show").stdout.decode()
    assert again == shown


def test_reload(listeners):
    """The lists of a listener take effect for new sessions."""
    with Dialogue(listeners.ports["outside"], client=STRANGER).hello() as under_way:
        listeners.sections["listener"]["outside"] = {
            "address": ANY_PORT, "relay_domains": ["new.test"]}
        listeners.write_conf()
        listeners.reload()
        assert not needing_restart(listeners)
        assert under_way.talk(MAIL, "RCPT TO:<a@out.test>", "RCPT TO:<a@new.test>") == [
            SENDER_OK, RECIPIENT_OK, NO_RELAY]
    port = listeners.ports["outside"]
    assert outcomes(port, STRANGER, "a@out.test", "a@new.test") == [NO_RELAY, RECIPIENT_OK]
    assert outcomes(port, KNOWN, "a@out.test") == [RECIPIENT_OK]


def test_listener_that_is_gone(listeners):
    """Until the restart it is still there; what it permitted is not."""
    port = listeners.ports["closed"]
    listeners.sections["listener"] = {
        name: keys for name, keys in LISTENERS.items() if name != "closed"}
    listeners.write_conf()
    listeners.reload()
    assert outcomes(port, KNOWN, "a@gate.test", "a@else.test", "postmaster") == [
        GONE, GONE, RECIPIENT_OK]


# ---- Postmaster -------------------------------------------------------------------------------

def test_postmaster_address(start_relay, sink):
    relay = start_relay(routes={"*": to(sink)}, relay_networks="none", relay_domains=["gate.test"],
                        postmaster_address="ops@else.test")
    with Dialogue(relay.port).hello() as client:
        client.begin("Postmaster", "postmaster@relay.test", "postmaster@gate.test")
        assert client.talk("RCPT TO:<ops@else.test>") == [NO_RELAY]
        assert client.data(MESSAGE).status == OK
    relay.wait_empty()
    assert sink.recipients() == ["ops@else.test", "ops@else.test", "postmaster@gate.test"]
    assert not relay.log("postmaster-unrouted")


def test_postmaster_without_a_route(start_relay, sink):
    """It is told at the start and at each reload that does not change it."""
    relay = start_relay(routes={"else.test": to(sink)})
    [told] = relay.log("postmaster-unrouted")
    assert told["address"] == "postmaster@relay.test"
    relay.reload()
    assert len(relay.log("postmaster-unrouted")) == 2
    relay.keys["postmaster_address"] = "ops@else.test"
    relay.write_conf()
    relay.reload()
    assert len(relay.log("postmaster-unrouted")) == 2


def test_postmaster_loop(start_relay, sink):
    """Mail for Postmaster that comes back to us ends as any loop does, and the sender is told."""
    relay = start_relay(routes={"client.test": to(sink)}, hops_max=5)
    relay.sections["route"]["relay.test"] = {"hosts": [f"[127.0.0.1]:{relay.port}"], "tls": "none"}
    relay.write_conf()
    relay.reload()
    with Dialogue(relay.port).hello() as client:
        client.begin("postmaster")
        assert client.data(MESSAGE).status == OK
    [report] = sink.wait(1)
    assert report.recipients == ["sender@client.test"] and b"mail loop" in report.content
    relay.wait_empty()
    assert len(relay.log("accepted", to="postmaster@relay.test")) == 6


def test_null_sender(start_relay, sink):
    """Notifications come in as any mail does."""
    relay = start_relay(routes={"*": to(sink)}, relay_networks="none", relay_domains=["gate.test"])
    with Dialogue(relay.port).hello() as client:
        assert client.talk("MAIL FROM:<>", "RCPT TO:<a@gate.test>", "RCPT TO:<a@else.test>") == [
            SENDER_OK, RECIPIENT_OK, NO_RELAY]
        assert client.data(MESSAGE).status == OK
    assert sink.wait(1)[0].sender == ""


# ---- recipients -------------------------------------------------------------------------------

LISTED = ["# ours", "Alice@gate.test", '"b b"@gate.test  # Bob', "carol@file.test", "@all.test",
          "jörg@bücher.test"]
KEYS = {"relay_networks": ["127.0.0.1/32"], "recipient_delimiter": "+",
        "relay_domains": ["gate.test", ".empty.test", "all.test", "xn--bcher-kva.test"]}

# (recipient, what a stranger gets, what a known client gets)
RECIPIENTS = [
    ("alice@gate.test", RECIPIENT_OK, RECIPIENT_OK),
    ("ALICE@GATE.TEST", RECIPIENT_OK, RECIPIENT_OK),
    ("alice+list@gate.test", RECIPIENT_OK, RECIPIENT_OK),
    ('"b b"@gate.test', RECIPIENT_OK, RECIPIENT_OK),
    ("bob@gate.test", NO_USER, NO_USER),
    ("+alice@gate.test", NO_USER, NO_USER),
    ("alice%else.test@gate.test", NO_RELAY, NO_USER),
    ("anybody@all.test", RECIPIENT_OK, RECIPIENT_OK),
    ("jorg@xn--bcher-kva.test", NO_USER, NO_USER),
    ("a@empty.test", NO_USER, NO_USER),  # a domain of relay_domains that the file has not
    ("a@sub.empty.test", NO_USER, NO_USER),
    ("carol@file.test", NO_RELAY, RECIPIENT_OK),  # one of the file that relay_domains has not
    ("dave@file.test", NO_RELAY, NO_USER),
    ("a@else.test", NO_RELAY, RECIPIENT_OK),
    ("postmaster@gate.test", RECIPIENT_OK, RECIPIENT_OK),
    ("PostMaster@sub.empty.test", RECIPIENT_OK, RECIPIENT_OK),
    ("postmaster@file.test", NO_RELAY, RECIPIENT_OK),
    ("postmaster@relay.test", RECIPIENT_OK, RECIPIENT_OK),
    ("postmaster", RECIPIENT_OK, RECIPIENT_OK),
]


@pytest.fixture
def recipients_file(tmp_path):
    file = tmp_path / "recipients"
    write(file, *LISTED)
    return file


@pytest.fixture
def start_gateway(start_relay, recipients_file):
    def start(**keys):
        return start_relay(**{"routes": DISCARD, "recipients_file": recipients_file, **KEYS, **keys})
    return start


def test_recipients(start_gateway):
    relay = start_gateway(errors_max=1000)
    addresses, *expected = zip(*RECIPIENTS)
    for client, statuses in zip((STRANGER, KNOWN), expected):
        assert dict(zip(addresses, outcomes(relay.port, client, *addresses))) == dict(
            zip(addresses, statuses))
    assert outcomes(relay.port, STRANGER, "jörg@bücher.test", "jorg@bücher.test",
                    mail=MAIL + " SMTPUTF8") == [RECIPIENT_OK, NO_USER]


def test_order_of_refusals(start_gateway):
    """Syntax, permission, the table, limits, the route."""
    relay = start_gateway(routes={**DISCARD, "gate.test": {"reject": "5.7.7 by the route"}},
                          recipients_max=100, errors_max=1000)
    with Dialogue(relay.port).hello() as client:
        assert client.talk(MAIL, "RCPT TO:<bob@gate.test> X=1", "RCPT TO:<bob@gate.test>",
                           "RCPT TO:<alice@gate.test>") == [
            SENDER_OK, "555 5.5.4", NO_USER, "550 5.7.7"]
        assert set(client.talk(*["RCPT TO:<a@all.test>"] * 100)) == {RECIPIENT_OK}
        assert client.talk("RCPT TO:<bob@gate.test>", "RCPT TO:<alice@gate.test>") == [NO_USER, FULL]


def test_dictionary_attack(start_gateway):
    relay = start_gateway(errors_max=5)
    with Dialogue(relay.port, client=STRANGER).hello() as client:
        guesses = [f"RCPT TO:<user{number}@gate.test>" for number in range(4)]
        assert client.talk(MAIL, "RCPT TO:<alice@gate.test>", *guesses) == [
            SENDER_OK, RECIPIENT_OK] + [NO_USER] * 4
        assert client.command("RCPT TO:<user5@gate.test>").status == NO_USER
        assert client.reply().status == "421 4.7.0" and client.is_closed()
    [session] = relay.wait_log("session")
    assert (session["recipients"], session["refused"], session["closed"]) == (
        "1", "5", "too many errors")


def test_vrfy_tells_nothing(start_gateway):
    relay = start_gateway()
    with Dialogue(relay.port, client=STRANGER).hello() as client:
        assert client.talk("VRFY alice@gate.test", "VRFY bob@gate.test") == ["252 2.5.0"] * 2


def wait_for(relay, recipient, status):
    wait_until(lambda: outcomes(relay.port, KNOWN, recipient) == [status],
               f"{status} for {recipient}")


def test_file_changes(start_gateway, recipients_file):
    """A new one counts, a broken or missing one does not; a session under way sees it, too."""
    relay = start_gateway()
    with Dialogue(relay.port).hello() as client:
        assert client.talk(MAIL, "RCPT TO:<bob@gate.test>") == [SENDER_OK, NO_USER]
        write(recipients_file, *LISTED, "bob@gate.test")
        [loaded] = relay.wait_log("recipients-loaded")
        assert loaded["recipients"] == "6"
        assert client.talk("RCPT TO:<bob@gate.test>") == [RECIPIENT_OK]
    write(recipients_file, "alice@gate.test", "nonsense")
    [refused] = relay.wait_log("recipients-refused")
    assert refused["problem"].startswith(f"{recipients_file}:2: ")
    assert outcomes(relay.port, KNOWN, "bob@gate.test", "c@gate.test") == [RECIPIENT_OK, NO_USER]
    recipients_file.unlink()
    relay.wait_log("recipients-refused", 2)
    assert outcomes(relay.port, KNOWN, "bob@gate.test", "c@gate.test") == [RECIPIENT_OK, NO_USER]
    write(recipients_file, "c@gate.test")
    wait_for(relay, "c@gate.test", RECIPIENT_OK)
    assert outcomes(relay.port, KNOWN, "bob@gate.test") == [NO_USER]


def test_reload_looks_at_the_file(start_gateway, recipients_file):
    relay = start_gateway()
    write(recipients_file, "bob@gate.test")
    relay.process.signal(signal.SIGHUP)
    wait_for(relay, "bob@gate.test", RECIPIENT_OK)


def test_reload_with_another_file(start_gateway, recipients_file):
    relay, other = start_gateway(), recipients_file.with_name("other")
    relay.keys["recipients_file"] = other
    relay.write_conf()
    refused = relay.reload()
    assert refused["event"] == "reload-refused" and str(other) in refused["text"]
    assert outcomes(relay.port, KNOWN, "alice@gate.test", "bob@gate.test") == [RECIPIENT_OK, NO_USER]
    write(other, "bob@gate.test")
    assert relay.reload()["event"] == "reloaded" and not needing_restart(relay)
    assert outcomes(relay.port, KNOWN, "alice@gate.test", "bob@gate.test") == [NO_USER, RECIPIENT_OK]
    write(other, "dave@gate.test")
    wait_for(relay, "dave@gate.test", RECIPIENT_OK)
    relay.keys["recipients_file"] = ""
    relay.write_conf()
    relay.reload()
    assert outcomes(relay.port, KNOWN, "alice@gate.test", "bob@gate.test") == [RECIPIENT_OK] * 2


def test_checking_begins_with_a_reload(start_relay, recipients_file):
    relay = start_relay(routes=DISCARD, **KEYS)
    assert outcomes(relay.port, KNOWN, "bob@gate.test") == [RECIPIENT_OK]
    relay.keys["recipients_file"] = recipients_file
    relay.write_conf()
    relay.reload()
    assert outcomes(relay.port, KNOWN, "bob@gate.test") == [NO_USER]
    write(recipients_file, "bob@gate.test")
    wait_for(relay, "bob@gate.test", RECIPIENT_OK)


WRONG = {"problems": (["a@gate.test", "nobody", "@"], [":2: ", ":3: "]), "empty": ([], [": there is"])}


@pytest.mark.parametrize("lines, beginnings", WRONG.values(), ids=WRONG)
def test_wrong_file(lines, beginnings, start_gateway, recipients_file):
    """Neither -t nor a start takes it."""
    relay = start_gateway()
    relay.stop()
    assert run(BIN / "smarthopd", "-t", "-c", relay.conf_path).returncode == 0
    write(recipients_file, *lines)
    for arguments in (["-t"], []):
        done = run(BIN / "smarthopd", *arguments, "-c", relay.conf_path, check=False)
        told = done.stderr.decode().splitlines()
        assert done.returncode == 1 and len(told) == len(beginnings)
        for line, beginning in zip(told, beginnings):
            assert line.startswith(f"{recipients_file}{beginning}")


# ---- the manual -------------------------------------------------------------------------------

def test_documented_example(tmp_path, recipients_file, certificate):
    """What OPERATING.md shows is a configuration; only its files are elsewhere here."""
    manual = Path(__file__).resolve().parents[2] / "docs" / "OPERATING.md"
    chapter = manual.read_text().partition("## An inbound gateway\n")[2].partition("\n- **")[0]
    example = "".join(line for line in chapter.splitlines(True) if line.startswith("    "))
    conf = tmp_path / "relay.conf"
    conf.write_text(example.replace("/etc/smarthop/recipients", str(recipients_file))
                    + f'tls_certificate = "{certificate.certificate}"\n'
                      f'tls_key = "{certificate.key}"\n')
    done = run(BIN / "smarthopd", "-t", "-c", conf, check=False)
    assert (done.returncode, done.stderr) == (0, b"") and "relay_domains" in example
