"""The ESMTP extensions on the receiving side, and what they make of a message in the queue."""
import calendar
import json
import smtplib
import time
from datetime import datetime, timedelta, timezone
from email.utils import parsedate_to_datetime

import pytest
from support import content, report, users
from support.dialogue import Dialogue
from support.process import BIN, run
from support.relay import ANY_PORT, to
from support.wait import wait_until

SENDER, RCPT = "sender@client.test", "to@example.test"
MESSAGE = content.message(b"Hello.")
BINARY = b"Subject: bits\r\n\r\n" + bytes(range(256)) + b"\n.\r\n\r.\n\r\n.\r\nMAIL FROM:<>\r\n"
PASSWORD = "wonder land"
NEVER = "24h"

SUBMISSION = {"smtp": {"address": ANY_PORT, "role": "submission"}}
HELD = {"*": {"hold": "for the test"}}


def mail(parameters):
    return f"MAIL FROM:<{SENDER}> {parameters}"


def begin(client, parameters, rcpt=RCPT):
    assert client.talk(mail(parameters), f"RCPT TO:<{rcpt}>") == ["250 2.1.0", "250 2.1.5"]


def submit(relay, parameters):
    with Dialogue(relay.port).hello() as client:
        begin(client, parameters)
        assert client.data(MESSAGE + b".\r\n").status == "250 2.0.0"


def chunk(data, last=False):
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data


def shown(relay, identifier):
    return json.loads(relay.ctl("queue", "show", identifier, "--json").stdout)


@pytest.fixture
def users_file(tmp_path):
    return users.make(tmp_path / "users", {SENDER: PASSWORD})


@pytest.fixture
def start_submission(start_relay, users_file):
    """A relay to which users submit by smtplib. `start(routes, **keys)`"""
    def start(routes, **keys):
        return start_relay(routes=routes, listeners=SUBMISSION, users_file=users_file,
                           auth_without_tls=True, **keys)
    return start


def log_in(relay):
    client = smtplib.SMTP("127.0.0.1", relay.port)
    client.ehlo("client.test")
    client.login(SENDER, PASSWORD)
    return client


def submit_by_smtplib(relay, *options):
    with log_in(relay) as client:
        client.sendmail(SENDER, RCPT, MESSAGE, mail_options=options)


# ---- what is offered ----------------------------------------------------------------------------

def test_offered(start_submission):
    relay = start_submission(HELD, future_release_max="2h", deliver_by_min="30s",
                             recipients_max=123)
    before = time.time()
    with log_in(relay) as client:
        for keyword in ("BINARYMIME", "MT-PRIORITY"):
            assert client.has_extn(keyword)
        assert client.esmtp_features["limits"] == "RCPTMAX=123"
        assert client.esmtp_features["deliverby"] == "30"
        seconds, date = client.esmtp_features["futurerelease"].split()
        assert seconds == "7200"
        latest = calendar.timegm(time.strptime(date, "%Y-%m-%dT%H:%M:%SZ"))
        assert before + 7190 <= latest <= time.time() + 7210
        assert not client.has_extn("REQUIRETLS")


def test_switched_off(start_relay):
    relay = start_relay(routes=HELD, extensions_off=["chunking", "DSN"])
    with Dialogue(relay.port) as client:
        client.reply()
        offered = [line.split()[0] for line in client.command("EHLO client.test").lines]
        assert "MT-PRIORITY" in offered
        assert not {"CHUNKING", "BINARYMIME", "DSN"} & set(offered)
        assert client.talk(mail("RET=FULL"), mail("BODY=BINARYMIME")) == ["555 5.5.4", "501 5.5.4"]
    relay.keys["extensions_off"] = []
    relay.write_conf()
    relay.reload()
    with Dialogue(relay.port).hello() as client:
        assert client.command(mail("RET=FULL BODY=BINARYMIME")).status == "250 2.1.0"


def test_an_unknown_keyword(start_relay):
    relay = start_relay(routes=HELD)
    relay.keys["extensions_off"] = ["DSN", "TURN"]
    relay.write_conf()
    told = run(BIN / "smarthopd", "-t", "-c", relay.conf_path, check=False)
    assert told.returncode != 0
    assert b'extensions_off: "TURN" is none of them; expected a list of PIPELINING' in \
        told.stdout + told.stderr


# ---- BINARYMIME ---------------------------------------------------------------------------------

def test_binary_is_kept_and_not_returned(start_relay, sink):
    relay = start_relay(routes={"client.test": to(sink), **HELD}, memory_body_max="4KiB")
    large = BINARY + bytes(range(255, -1, -1)) * 300
    with Dialogue(relay.port).hello() as client:
        begin(client, "BODY=BINARYMIME RET=FULL")
        assert client.command("DATA").status == "503 5.5.1"
        client.send(chunk(BINARY[:20]) + chunk(BINARY[20:], last=True))
        assert [client.reply().status for _ in range(2)] == ["250 2.0.0"] * 2
        begin(client, "BODY=BINARYMIME RET=FULL")
        client.send(chunk(large, last=True))
        assert client.reply().status == "250 2.0.0"
        begin(client, "BODY=8BITMIME")
        client.send(chunk(BINARY, last=True))
        assert client.reply().status == "554 5.6.0"
    relay.restart()
    listed = relay.queue()
    assert [one["body"] for one in listed] == ["BINARYMIME"] * 2
    for one, sent in zip(listed, (BINARY, large)):
        stored = relay.ctl("queue", "show", one["id"], "--body").stdout
        stored = stored if isinstance(stored, bytes) else stored.encode()
        assert stored.endswith(b"\r\n" + sent)
        relay.ctl("queue", "bounce", one["id"])
    for received in sink.wait(2):
        told = report.parse(received)
        assert told.returned_type == "text/rfc822-headers"
        assert told.returned.endswith(b"Subject: bits\r\n")


# ---- REQUIRETLS ---------------------------------------------------------------------------------

def test_requiretls(start_relay, sink, certificate, trusting):
    relay = start_relay(routes={"client.test": to(sink), **HELD}, certificate=certificate)
    with Dialogue(relay.port).hello() as client:
        assert client.command(mail("REQUIRETLS")).status == "555 5.5.4"
        client.start_tls(trusting, server_name="relay.test")
        assert "REQUIRETLS" in client.command("EHLO client.test").lines
        begin(client, "REQUIRETLS RET=FULL")
        assert client.data(MESSAGE + b".\r\n").status == "250 2.0.0"
    relay.restart()
    [listed] = relay.queue()
    assert listed["require_tls"] is True
    assert shown(relay, listed["id"])["protocol"] == "ESMTPS"
    relay.ctl("queue", "bounce", listed["id"])
    told = report.parse(sink.wait(1)[0])
    assert told.returned_type == "text/rfc822-headers"


# ---- MT-PRIORITY, AUTH= -------------------------------------------------------------------------

def test_priority_and_auth_of_a_user(start_submission):
    relay = start_submission(HELD)
    submit_by_smtplib(relay, "MT-PRIORITY=4", "AUTH=someone+2Belse@client.test")
    submit_by_smtplib(relay, "MT-PRIORITY=-9", "AUTH=<>")
    submit_by_smtplib(relay)
    relay.restart()
    kept = [(one["priority"], one["auth"]) for one in relay.queue()]
    assert kept == [(4, "someone+else@client.test"), (-9, ""), (0, None)]
    assert shown(relay, relay.queue()[0]["id"])["protocol"] == "ESMTPA"


def test_a_stranger(start_relay, users_file):
    """It may send to our domains and ask for what it wants: neither counts."""
    relay = start_relay(routes=HELD, relay_networks=["192.0.2.0/24"], users_file=users_file,
                        relay_domains=["example.test"], auth_without_tls=True,
                        listeners={"smtp": {"address": ANY_PORT, "auth": True}})
    with Dialogue(relay.port).hello() as client:
        for parameters, status in (("MT-PRIORITY=4 AUTH=a@b.test", "250 2.3.6"),
                                   ("MT-PRIORITY=-4", "250 2.1.0")):
            assert client.talk(mail(parameters), f"RCPT TO:<{RCPT}>") == [status, "250 2.1.5"]
            assert client.data(MESSAGE + b".\r\n").status == "250 2.0.0"
    assert [(one["priority"], one["auth"]) for one in relay.queue()] == [(0, ""), (-4, None)]


# ---- FUTURERELEASE ------------------------------------------------------------------------------

def test_released_at_its_time(start_submission, sink):
    """Also by a process that did not take it, and not before."""
    relay = start_submission({"*": to(sink)})
    began = time.time()
    submit_by_smtplib(relay, "HOLDFOR=2")
    submit_by_smtplib(relay, "HOLDFOR=3600")
    submit_by_smtplib(relay)
    sink.wait(1)
    relay.restart()
    sink.wait(2)
    assert time.time() >= began + 2
    [listed] = wait_until(lambda: len(got := relay.queue()) == 1 and got, "one message to wait")
    [recipient] = listed["recipients"]
    assert recipient["state"] == "waiting"
    assert recipient["next_try"] == listed["release"] == listed["arrival"] + 3600000
    assert listed["reason"] == "waits until its release time, as its sender asked"
    assert len(sink.messages()) == 2


def test_released_by_an_operator(start_submission, sink):
    relay = start_submission({"*": to(sink)})
    until = datetime.now(timezone.utc) + timedelta(hours=5)
    submit_by_smtplib(relay, f"HOLDUNTIL={until:%Y-%m-%dT%H:%M:%SZ}")
    [listed] = relay.queue()
    assert abs(listed["release"] / 1000 - until.timestamp()) <= 1
    relay.ctl("queue", "retry", "--all")
    relay.stop()
    relay.ctl("queue", "retry", "--all")  # the daemon does not run now
    relay.start()
    [again] = relay.queue()
    assert again["recipients"][0]["next_try"] == listed["release"]
    assert "Release" in str(relay.ctl("queue", "show", listed["id"]).stdout)
    relay.ctl("queue", "retry", listed["id"])
    sink.wait(1)
    relay.wait_empty()


# ---- DELIVERBY ----------------------------------------------------------------------------------

def times(told):
    return [parsedate_to_datetime(told.message[field]).timestamp()
            for field in ("Arrival-Date", "Deliver-By-Date")]


@pytest.mark.parametrize("way", ["running", "restarted", "down"])
def test_returned_at_its_time(way, start, sink):
    relay, next_hop = start("--deliver-by", "--reply-rcpt", "450 4.2.0 later",
                            retry_first=NEVER, retry_max=NEVER)
    submit(relay, "BY=3;R")
    wait_until(lambda: relay.queue()[0]["recipients"][0]["tries"] == 1, "the try to be recorded")
    if way == "restarted":
        relay.kill()
        relay.start()
    elif way == "down":
        relay.kill()
        wait_until(lambda: time.time() * 1000 > relay.queue()[0]["deliver_by"], "the time to pass")
        relay.start()
    told = report.parse(sink.wait(1)[0])
    arrival, deliver_by = times(told)
    assert deliver_by - arrival == 3
    assert time.time() >= deliver_by
    assert told.recipients[RCPT]["Action"] == "failed"
    assert told.recipients[RCPT]["Status"] == "5.4.7"
    assert "450 4.2.0" in told.recipients[RCPT]["Diagnostic-Code"]
    relay.wait_empty()
    assert not next_hop.messages()


def test_returned_while_its_destination_is_down(start, sink):
    relay, next_hop = start(retry_first=NEVER, retry_max=NEVER)
    next_hop.stop()
    submit(relay, "BY=2;R")
    told = report.parse(sink.wait(1)[0])
    assert told.recipients[RCPT]["Status"] == "5.4.7"
    relay.wait_empty()


def test_told_and_tried_on(start, sink):
    relay, next_hop = start(retry_first=NEVER, retry_max=NEVER)
    next_hop.stop()
    submit(relay, "BY=2;N")
    told = report.parse(sink.wait(1)[0])
    assert told.recipients[RCPT]["Action"] == "delayed"
    assert told.recipients[RCPT]["Status"] == "4.4.7"
    relay.restart()
    next_hop.start()
    relay.ctl("queue", "retry", "--all")
    next_hop.wait(1)
    relay.wait_empty()
    assert len(sink.messages()) == 1


def test_told_of_each_step(start, sink):
    relay, next_hop = start()
    submit(relay, "BY=600;NT")
    next_hop.wait(1)
    told = report.parse(sink.wait(1)[0])
    assert told.recipients[RCPT]["Action"] == "relayed"
    relay.wait_empty()
