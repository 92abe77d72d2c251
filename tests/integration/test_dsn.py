"""The DSN extension (RFC 3461): what is taken, kept and passed on, and who is told of what."""
import pytest
from support import content, report
from support.dialogue import Dialogue
from support.relay import to

SENDER = "sender@client.test"
MESSAGE = content.message(b"Hello.")

# NOTIFY -> the actions that are told
CHOICES = {
    None: {"failed", "delayed"},
    "NEVER": set(),
    "SUCCESS": {"relayed"},
    "FAILURE": {"failed"},
    "DELAY": {"delayed"},
    "SUCCESS,FAILURE": {"relayed", "failed"},
    "FAILURE,DELAY": {"failed", "delayed"},
    "success,failure,delay": {"relayed", "failed", "delayed"},
}

# name -> (the next hop's options, the relay's keys, the log's event, the action that is told)
OUTCOMES = {
    "taken": ([], {}, "delivered", None),
    "taken without DSN": (["--no-dsn"], {}, "delivered", "relayed"),
    "refused": (["--reply-rcpt", "550 5.1.1 nobody"], {}, "failed", "failed"),
    "refused without DSN": (["--no-dsn", "--reply-final", "550 5.6.0 no"], {}, "failed", "failed"),
    "expired": (["--reply-rcpt", "450 4.2.0 later"], {"expire_after": "500ms"}, "expired", "failed"),
    "delayed": (["--reply-rcpt", "450 4.2.0 later"], {"delay_warning_after": "300ms"}, "delayed",
                "delayed"),
}

STATUS_CLASSES = {"relayed": "2", "failed": "45", "delayed": "4"}


def submit(relay, *rcpts, mail="", sender=SENDER, message=MESSAGE):
    """Each recipient with its parameters: "to@example.test", "NOTIFY=NEVER"."""
    with Dialogue(relay.port).hello() as client:
        assert client.command(f"MAIL FROM:<{sender}> {mail}".rstrip()).status == "250 2.1.0"
        for address, parameters in rcpts:
            line = f"RCPT TO:<{address}> {parameters}".rstrip()
            assert client.command(line).status == "250 2.1.5"
        assert client.data(message + b".\r\n").status == "250 2.0.0"


def submit_each_choice(relay):
    """A message for each; the recipient's number tells which."""
    for number, notify in enumerate(CHOICES):
        submit(relay, (f"to{number}@example.test", f"NOTIFY={notify}" if notify else ""))


def test_postmaster_copy(start, sink):
    """Of a failure alone, with the header only; its own failure is told to nobody."""
    relay, _ = start("--no-dsn", "--reply-rcpt", "no@*=550 5.1.1 nobody",
                     dsn_postmaster_copy="boss@client.test")
    submit(relay, ("no@example.test", ""), ("yes@example.test", "NOTIFY=SUCCESS"), mail="RET=FULL")
    received = {tuple(message.recipients): report.parse(message) for message in sink.wait(2)}
    own, copy = received[(SENDER,)], received[("boss@client.test",)]
    assert own.returned_type == "message/rfc822"
    assert copy.returned_type == "text/rfc822-headers"
    assert f"<{SENDER}>" in copy.text
    assert copy.recipients["no@example.test"]["Action"] == "failed"
    assert {message.sender for message in sink.messages()} == {""}
    relay.wait_empty()


@pytest.mark.parametrize("options, keys, event, action", OUTCOMES.values(), ids=OUTCOMES)
def test_notify(options, keys, event, action, start, sink):
    relay, _ = start(*options, **keys)
    submit_each_choice(relay)
    expected = [f"to{number}@example.test" for number, told in enumerate(CHOICES.values())
                if action in told]
    for number in range(len(CHOICES)):
        relay.wait_log(event, to=f"to{number}@example.test")
    received = sink.wait(len(expected)) if expected else []
    if event != "delayed":
        relay.wait_empty()
    relay.stop()
    assert len(sink.messages()) == len(expected)
    told = [report.parse(one) for one in received]
    assert sorted(address for one in told for address in one.recipients) == expected
    for one in told:
        [fields] = one.recipients.values()
        assert fields["Action"] == action
        assert fields["Status"][0] in STATUS_CLASSES[action]
        assert one.returned_type == ("message/rfc822" if action == "failed"
                                     else "text/rfc822-headers")


# ---- what is taken and passed on ----------------------------------------------------------------

MAIL = "RET=HDRS ENVID=QQ+2B314159"
RCPT = "NOTIFY=SUCCESS,FAILURE ORCPT=rfc822;Bob+2Blist@Example.org"


def test_offered(start):
    relay, _ = start()
    with Dialogue(relay.port).hello() as client:
        assert "DSN" in client.command("EHLO client.test").lines


@pytest.mark.parametrize("options", [[], ["--chunking"], ["--no-pipelining"]],
                         ids=["DATA", "BDAT", "one by one"])
def test_passed_on(options, start, sink):
    relay, next_hop = start(*options)
    submit(relay, ("a@example.test", RCPT), ("b@example.test", "NOTIFY=NEVER"),
           ("c@example.test", ""), mail=MAIL)
    [received] = next_hop.wait(1)
    assert received.mail.split()[-2:] == MAIL.split()
    assert received.rcpts == [f"<a@example.test> {RCPT}", "<b@example.test> NOTIFY=NEVER",
                              "<c@example.test>"]
    relay.wait_empty()
    relay.stop()
    assert not sink.messages()


def test_nothing_to_pass_on(start):
    relay, next_hop = start()
    submit(relay, ("a@example.test", ""))
    [received] = next_hop.wait(1)
    assert received.rcpts == ["<a@example.test>"]
    assert not any(word in received.mail for word in ("RET", "ENVID"))


def test_not_passed_on_without_dsn(start, sink):
    relay, next_hop = start("--no-dsn")
    submit(relay, ("a@example.test", RCPT), mail=MAIL)
    [received] = next_hop.wait(1)
    assert received.rcpts == ["<a@example.test>"]
    assert not any(word in received.mail for word in ("RET", "ENVID"))
    told = report.parse(sink.wait(1)[0])
    assert told.message["Original-Envelope-Id"] == "QQ+314159"
    [fields] = told.recipients.values()
    assert fields["Original-Recipient"] == "rfc822; Bob+list@Example.org"
    assert fields["Final-Recipient"] == "rfc822; a@example.test"
    assert fields["Remote-MTA"] == "dns; [127.0.0.1]"
    assert fields["Diagnostic-Code"] == "smtp; 250 2.0.0 taken"


def test_kept_over_a_restart(start):
    relay, next_hop = start()
    next_hop.stop()
    submit(relay, ("a@example.test", RCPT), mail=MAIL)
    relay.restart()
    [listed] = relay.queue()
    assert (listed["envid"], listed["ret"]) == ("QQ+314159", "HDRS")
    [recipient] = listed["recipients"]
    assert f"NOTIFY={recipient['notify']} ORCPT={recipient['orcpt']}" == RCPT
    next_hop.start()
    [received] = next_hop.wait(1)
    assert received.mail.split()[-2:] == MAIL.split()
    assert received.rcpts == [f"<a@example.test> {RCPT}"]


def test_through_two_relays(start_relay, start_sink, sink):
    """The one before the next hop without DSN tells, in the words that the first one was given."""
    last = start_sink("--no-dsn")
    second = start_relay(routes={"client.test": to(sink), "*": to(last)}, hostname="second.test")
    first = start_relay(routes={"*": {"hosts": [f"[127.0.0.1]:{second.port}"], "tls": "none"}})
    submit(first, ("a@example.test", RCPT), mail=MAIL)
    told = report.parse(sink.wait(1)[0])
    assert told.message["Reporting-MTA"] == "dns; second.test"
    assert told.message["Original-Envelope-Id"] == "QQ+314159"
    [fields] = told.recipients.values()
    assert (fields["Action"], fields["Original-Recipient"]) == (
        "relayed", "rfc822; Bob+list@Example.org")
    first.wait_empty()
    second.wait_empty()
    assert len(sink.messages()) == 1


# ---- reports ------------------------------------------------------------------------------------

NO_SUCH_USER = ["--reply-rcpt", "no*=550 5.1.1 no such user"]


def test_several_outcomes_in_one_report(start, sink):
    relay, _ = start("--no-dsn", *NO_SUCH_USER)
    submit(relay, ("yes@example.test", "NOTIFY=SUCCESS"), ("no1@example.test", ""),
           ("quiet@example.test", ""), ("no2@example.test", "NOTIFY=NEVER"))
    told = report.parse(sink.wait(1)[0])
    assert {address: fields["Action"] for address, fields in told.recipients.items()} == {
        "yes@example.test": "relayed", "no1@example.test": "failed"}
    relay.wait_empty()
    relay.stop()
    assert len(sink.messages()) == 1


# (MAIL's parameter, dsn_return_headers_only, size of the body, whether all of it comes back)
RETURNS = {
    "nothing said": ("", False, 100, True),
    "nothing said, headers by configuration": ("", True, 100, False),
    "HDRS": ("RET=HDRS", False, 100, False),
    "FULL": ("RET=FULL", True, 100, True),
    "FULL, too large": ("ret=full", False, 10000, False),
}


@pytest.mark.parametrize("mail, headers_only, size, whole", RETURNS.values(), ids=RETURNS)
def test_ret(mail, headers_only, size, whole, start, sink):
    relay, _ = start(*NO_SUCH_USER, dsn_return_headers_only=headers_only, dsn_return_max="4KiB")
    message = content.large(size)
    submit(relay, ("no@example.test", ""), mail=mail, message=message)
    told = report.parse(sink.wait(1)[0])
    if whole:
        report.assert_returns(told, message)
    else:
        assert told.returned_type == "text/rfc822-headers"
        content.assert_relayed(told.returned.removesuffix(b"\r\n") + b"\r\n", content.HEADER)


@pytest.mark.parametrize("notify", ["SUCCESS", "FAILURE", "SUCCESS,FAILURE,DELAY"])
def test_null_sender_is_told_nothing(notify, start, sink):
    relay, _ = start("--no-dsn", *NO_SUCH_USER)
    submit(relay, ("yes@example.test", f"NOTIFY={notify}"), ("no@example.test", f"NOTIFY={notify}"),
           sender="")
    relay.wait_log("delivered", to="yes@example.test")
    relay.wait_empty()
    relay.stop()
    assert not sink.messages()


# ---- what is refused ----------------------------------------------------------------------------

REFUSED = {
    "MAIL FROM:<a@client.test>": {
        "501 5.5.4": ["RET", "RET=", "RET=ALL", "ENVID", "ENVID=a+0", "ENVID=a+2b", "ENVID=a+0D+0A",
                      "ENVID=" + 101 * "x", "RET=FULL RET=FULL"],
        "555 5.5.4": ["NOTIFY=NEVER", "ORCPT=rfc822;a@b", "XENVID=a"],
    },
    "RCPT TO:<a@example.test>": {
        "501 5.5.4": ["NOTIFY", "NOTIFY=", "NOTIFY=MAYBE", "NOTIFY=NEVER,SUCCESS", "NOTIFY=,DELAY",
                      "NOTIFY=NEVER NOTIFY=NEVER", "ORCPT", "ORCPT=a@b", "ORCPT=rfc822;",
                      "ORCPT=rfc822;a+0D+0AX:y", "ORCPT=rfc822;" + 500 * "x"],
        "555 5.5.4": ["RET=FULL", "ENVID=a", "XNOTIFY=NEVER"],
    },
}


def test_bad_parameters(start):
    """Refused, and the session and its transaction go on."""
    relay, _ = start(errors_max=100)
    with Dialogue(relay.port).hello() as client:
        for command, statuses in REFUSED.items():
            for status, parameters in statuses.items():
                for parameter in parameters:
                    assert client.command(f"{command} {parameter}").status == status, parameter
            assert client.command(command).code == 250
        assert client.data(MESSAGE + b".\r\n").status == "250 2.0.0"


def test_not_offered_to_helo(start):
    relay, _ = start()
    with Dialogue(relay.port) as client:
        assert client.reply().code == 220
        assert client.command("HELO client.test").code == 250
        assert client.talk("MAIL FROM:<a@client.test> RET=FULL", "MAIL FROM:<a@client.test>",
                           "RCPT TO:<a@example.test> NOTIFY=NEVER") == [
                               "555 5.5.4", "250 2.1.0", "555 5.5.4"]
