"""What senders are told: exactly one correct notification, and none where none may be."""
import email
import email.policy
import email.utils
import json

import pytest
from support import content, report
from support.dialogue import Dialogue, submit
from support.next_hop import NextHop
from support.relay import to
from support.wait import wait_until

SENDER = "sender@client.test"
MESSAGE = content.message("Grüße".encode(), b".dot")
NO_SUCH_USER = ["--reply-rcpt", "no@*=550 5.1.1 no such user"]
LATER = ["--reply-rcpt", "later@*=450 4.2.0 come later"]


# (the sink's options, what the recipient's fields must be)
REFUSALS = {
    "rcpt": (NO_SUCH_USER, "5.1.1", "smtp; 550 5.1.1 no such user"),
    "mail": (["--reply-mail", "*=553 5.1.8 not from you"], "5.1.8", "smtp; 553 5.1.8 not from you"),
    "data": (["--reply-data", "554 5.7.1 no"], "5.7.1", "smtp; 554 5.7.1 no"),
    "final": (["--reply-final", "552 5.2.3 too big"], "5.2.3", "smtp; 552 5.2.3 too big"),
    "no enhanced code": (["--reply-rcpt", "550 no"], "5.0.0", "smtp; 550 5.0.0 no"),
}


@pytest.mark.parametrize("options, status, diagnostic", REFUSALS.values(), ids=REFUSALS)
def test_refusal(options, status, diagnostic, start, sink):
    relay, next_hop = start(*options)
    [queue_id] = submit(relay, MESSAGE, "no@example.test")
    [received] = sink.wait(1)
    assert received.recipients == [SENDER]
    told = report.parse(received)
    assert told.message["Reporting-MTA"] == "dns; relay.test"
    assert email.utils.parsedate_to_datetime(told.message["Arrival-Date"])
    [fields] = told.recipients.values()
    assert fields.items() >= {"Final-Recipient": "rfc822; no@example.test", "Action": "failed",
                              "Status": status, "Diagnostic-Code": diagnostic}.items()
    assert told.header["From"] == "Mail Delivery System <MAILER-DAEMON@relay.test>"
    assert told.header["In-Reply-To"] == "<1@client.test>"
    assert "no@example.test" in told.text
    report.assert_returns(told, MESSAGE)
    assert len(relay.log("failed", id=queue_id)) == 1
    relay.wait_empty()
    relay.stop()
    assert (len(sink.messages()), len(next_hop.messages())) == (1, 0)


def test_large_message_returns_its_header(start, sink):
    relay, _ = start(*NO_SUCH_USER, dsn_return_max="1KiB")
    submit(relay, content.large(1 << 20), "no@example.test")
    told = report.parse(sink.wait(1)[0])
    assert told.returned_type == "text/rfc822-headers"
    content.assert_relayed(told.returned.removesuffix(b"\r\n") + b"\r\n", content.HEADER)


def test_several_recipients(start, sink):
    """One taken, one deferred, two refused: each gets its own outcome, once."""
    relay, next_hop = start(*NO_SUCH_USER, *LATER)
    submit(relay, MESSAGE, "ok@example.test", "later@example.test", "no@example.test",
           "no@other.test")
    told = [report.parse(received) for received in sink.wait(1)]
    assert sorted(address for one in told for address in one.recipients) == [
        "no@example.test", "no@other.test"]
    assert next_hop.recipients() == ["ok@example.test"]
    relay.wait_log("deferred", count=2)
    [listed] = wait_until(lambda: len(left := relay.queue()) == 1 and left, "the report to be gone")
    [waiting] = listed["recipients"]
    assert (waiting["address"], waiting["status"]["code"]) == ("later@example.test", 450)
    next_hop.stop()
    next_hop.options.clear()
    next_hop.start()
    next_hop.wait(2)
    relay.wait_empty()
    relay.stop()
    assert next_hop.recipients() == ["later@example.test", "ok@example.test"]
    assert len(sink.messages()) == len(told)


def test_null_sender(start, sink):
    relay, next_hop = start(*NO_SUCH_USER)
    submit(relay, MESSAGE, "no@example.test", sender="")
    relay.wait_log("failed", to="no@example.test", **{"from": ""})
    relay.wait_log("notification-dropped")
    relay.wait_empty()
    relay.stop()
    assert not sink.messages() and not next_hop.messages()


def test_notification_that_fails(start_relay, start_sink):
    """Its sender refuses it: dropped, with a line that says so, and no notification of it."""
    sink = start_sink("--reply-rcpt", "550 5.1.1 no such user")
    relay = start_relay(routes={"*": to(sink)})
    submit(relay, MESSAGE, "no@example.test")
    relay.wait_log("notification-dropped")
    relay.wait_empty()
    assert [record["to"] for record in relay.log("failed")] == ["no@example.test", SENDER]


def blocks(part):
    """The fields of an internationalized report, as a mail program takes them apart."""
    text = part.split(b"\r\n\r\n", 1)[1].decode()
    return [dict(line.split(": ", 1) for line in block.strip().split("\r\n"))
            for block in text.strip().split("\r\n\r\n")]


def refuse_unknown(verb, line):
    return "550 5.1.1 <jörg@bücher.test> ist unbekannt" if verb == "RCPT" else None


def test_internationalized(start_relay):
    """RFC 6533, for a sender who has said SMTPUTF8, read with Python's parser."""
    offers = "SMTPUTF8", "8BITMIME", "PIPELINING"
    with NextHop(*offers, answer=refuse_unknown) as refuses, NextHop(*offers) as senders:
        relay = start_relay(routes={"client.test": to(senders), "*": to(refuses)})
        with Dialogue(relay.port).hello() as client:
            client.talk("MAIL FROM:<jürgen@client.test> SMTPUTF8 BODY=8BITMIME",
                        "RCPT TO:<jörg@bücher.test>")
            client.data(content.stuffed("Subject: Grüße\r\n\r\nHallo\r\n".encode()))
        [received] = senders.wait(1)
        relay.wait_empty()
        relay.stop()
    assert received.mail.split()[0] == "<>" and "SMTPUTF8" in received.mail
    assert received.recipients == ["jürgen@client.test"]
    told = email.message_from_bytes(received.content, policy=email.policy.SMTPUTF8)
    assert not told.defects and told.get_content_type() == "multipart/report"
    assert "\r\nTo: <jürgen@client.test>\r\n".encode() in received.content
    text, *_ = told.iter_parts()
    assert "jörg@bücher.test" in text.get_content()
    boundary = b"\r\n--" + told.get_boundary().encode()
    _, _, status, returned, _ = received.content.split(boundary)
    assert b"Content-Type: message/global-delivery-status\r\n" in status
    message, recipient = blocks(status[2:])
    assert message["Reporting-MTA"] == "dns; relay.test"
    assert recipient["Final-Recipient"] == "utf-8; jörg@bücher.test"
    assert (recipient["Action"], recipient["Status"]) == ("failed", "5.1.1")
    assert recipient["Diagnostic-Code"].endswith("<jörg@bücher.test> ist unbekannt")
    assert b"Content-Type: message/global\r\n" in returned
    assert "Subject: Grüße\r\n\r\nHallo\r\n".encode() in returned


# ---- time ---------------------------------------------------------------------------------------

@pytest.mark.parametrize("is_up", [True, False], ids=["deferred", "down"])
def test_expiry(is_up, start, sink):
    relay, next_hop = start(*LATER, expire_after="500ms")
    if not is_up:
        next_hop.stop()
    submit(relay, MESSAGE, "later@example.test")
    told = report.parse(sink.wait(1)[0])
    fields = told.recipients["later@example.test"]
    assert fields["Action"] == "failed"
    assert fields["Status"] == ("4.2.0" if is_up else "4.4.1")
    report.assert_returns(told, MESSAGE)
    relay.wait_empty()
    relay.stop()
    assert len(sink.messages()) == 1


def test_expiry_of_a_destination(start, sink):
    """Its own age counts, also for what waits when a reload brings it."""
    relay, _ = start(*LATER, retry_max="300ms")
    submit(relay, MESSAGE, "later@example.test")
    relay.wait_log("deferred", to="later@example.test", count=2)
    assert len(relay.queue()) == 1
    relay.sections["destination"] = {"127.0.0.1": {"expire_after": "500ms"}}
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    told = report.parse(sink.wait(1)[0])
    assert told.recipients["later@example.test"]["Action"] == "failed"
    relay.wait_empty()


def test_delay_warning_of_a_destination(start, sink):
    relay, _ = start(*LATER, destinations={"127.0.0.1": {"delay_warning_after": "300ms",
                                                         "expire_after": "2d"}})
    [queue_id] = submit(relay, MESSAGE, "later@example.test")
    told = report.parse(sink.wait(1)[0])
    fields = told.recipients["later@example.test"]
    assert fields["Action"] == "delayed"
    until = email.utils.parsedate_to_datetime(fields["Will-Retry-Until"])
    arrival = email.utils.parsedate_to_datetime(told.message["Arrival-Date"])
    assert (until - arrival).total_seconds() == 2 * 86400
    explained = json.loads(relay.ctl("queue", "explain", queue_id, "--json").stdout)
    assert explained["expires"] == explained["arrival"] + 2 * 86400 * 1000


def test_expiry_of_null_sender(start, sink):
    relay, _ = start(*LATER, bounce_expire_after="500ms")
    submit(relay, MESSAGE, "later@example.test", sender="")
    relay.wait_log("expired")
    relay.wait_empty()
    relay.stop()
    assert not sink.messages()


def test_delay_warning(start, sink):
    """Once, however long it lasts; the message stays."""
    relay, next_hop = start(*LATER, delay_warning_after="300ms", retry_max="200ms")
    submit(relay, MESSAGE, "later@example.test")
    told = report.parse(sink.wait(1)[0])
    fields = told.recipients["later@example.test"]
    assert (fields["Action"], fields["Status"]) == ("delayed", "4.2.0")
    assert email.utils.parsedate_to_datetime(fields["Will-Retry-Until"])
    relay.wait_log("deferred", count=len(relay.log("deferred")) + 5)
    [listed] = relay.queue()
    assert listed["recipients"][0]["address"] == "later@example.test"
    assert len(sink.messages()) == 1
    next_hop.stop()
    next_hop.options.clear()
    next_hop.start()
    next_hop.wait(1)


# ---- RFC 3464 2.3.5, 2.3.6 ----------------------------------------------------------------------

def test_remote_mta_by_address(start, sink):
    """A host that has no name is a literal."""
    relay, _ = start(*NO_SUCH_USER)
    submit(relay, MESSAGE, "no@example.test")
    [fields] = report.parse(sink.wait(1)[0]).recipients.values()
    assert fields["Remote-MTA"] == "dns; [127.0.0.1]"


def test_own_diagnostic_is_not_smtp(start, sink):
    """That nobody answered is not what an SMTP server has said."""
    relay, next_hop = start(expire_after="300ms")
    next_hop.stop()
    submit(relay, MESSAGE, "to@example.test")
    [fields] = report.parse(sink.wait(1)[0]).recipients.values()
    assert fields["Diagnostic-Code"].startswith("x-smarthop; 451 4.4.1 ")
