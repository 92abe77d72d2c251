"""What any client sends, any next hop gets: byte for byte, behind one Received field."""
import email.message
import email.policy
import smtplib
import ssl

import pytest
from support import content
from support.process import run
from support.relay import ANY_PORT, to
from support.sink import PostfixSink, Sink

SENDER = "sender@client.test"
RECIPIENT = "to@example.test"
SAMPLE = content.message("Grüße".encode(), b".", b"..two", b"x" * 900, b"")
LISTENERS = {"smtp": {"address": ANY_PORT, "tls": "starttls"},
             "smtps": {"address": ANY_PORT, "tls": "implicit"}}
PROTOCOLS = {"plain": b"ESMTP", "starttls": b"ESMTPS", "smtps": b"ESMTPS"}

MIB = 1 << 20


def connect(relay, certificate, transport):
    """An smtplib client."""
    context = ssl.create_default_context(cafile=certificate.certificate)
    if transport == "smtps":
        return smtplib.SMTP_SSL("localhost", relay.ports["smtps"], context=context)
    client = smtplib.SMTP("127.0.0.1", relay.port)
    if transport == "starttls":
        client.starttls(context=context)
    return client


def port_of(relay, transport):
    return relay.ports["smtps" if transport == "smtps" else "smtp"]


# ---- one function for each client: it sends SAMPLE, which the file holds with LF for CRLF --------

def send_by_smtplib(relay, certificate, transport, _):
    with connect(relay, certificate, transport) as client:
        assert client.sendmail(SENDER, RECIPIENT, SAMPLE) == {}


def send_by_swaks(relay, certificate, transport, file):
    verify = ["--tls-verify", "--tls-ca-path", certificate.certificate]
    tls = {"plain": [], "starttls": ["-tls", *verify], "smtps": ["-tlsc", *verify]}[transport]
    run("swaks", "--server", "127.0.0.1", "--port", port_of(relay, transport), "--from", SENDER,
        "--to", RECIPIENT, "--data", f"@{file}", *tls)


def send_by_curl(relay, certificate, transport, file):
    scheme = "smtps" if transport == "smtps" else "smtp"
    tls = ["--ssl-reqd"] if transport == "starttls" else []
    run("curl", "--silent", "--show-error", f"{scheme}://localhost:{port_of(relay, transport)}",
        "--ipv4", "--cacert", certificate.certificate, "--mail-from", SENDER, "--mail-rcpt",
        RECIPIENT, "--upload-file", file, "--crlf", *tls)


def send_by_msmtp(relay, certificate, transport, file):
    tls = {"plain": ["--tls=off"], "starttls": ["--tls=on", "--tls-starttls=on"],
           "smtps": ["--tls=on", "--tls-starttls=off"]}[transport]
    run("msmtp", "--file=/dev/null", "--host=localhost", "--source-ip=127.0.0.1",
        f"--port={port_of(relay, transport)}", f"--from={SENDER}",
        f"--tls-trust-file={certificate.certificate}", *tls, RECIPIENT, stdin=file.read_bytes())


def send_by_smtp_source(relay, _, __, file):
    run("smtp-source", "-F", file, "-f", SENDER, "-t", RECIPIENT, f"127.0.0.1:{relay.port}")


ADDS_LINE = (send_by_swaks, send_by_smtp_source)  # an empty one, at the end of any message
CLIENTS = [(send, transport, protocol)
           for send in (send_by_smtplib, send_by_swaks, send_by_curl, send_by_msmtp)
           for transport, protocol in PROTOCOLS.items()] + [(send_by_smtp_source, "plain", b"SMTP")]


@pytest.mark.parametrize("send, transport, protocol", CLIENTS,
                         ids=[f"{send.__name__[8:]}-{way}" for send, way, _ in CLIENTS])
def test_client(send, transport, protocol, start_relay, sink, certificate, tmp_path):
    relay = start_relay(routes={"*": to(sink)}, listeners=LISTENERS, certificate=certificate)
    file = tmp_path / "message"
    file.write_bytes(SAMPLE.replace(b"\r\n", b"\n"))
    send(relay, certificate, transport, file)
    [message] = sink.wait(1)
    assert (message.sender, message.recipients) == (SENDER, [RECIPIENT])
    content.assert_relayed(message.content, SAMPLE + (b"\r\n" if send in ADDS_LINE else b""))
    received, _ = content.split_trace(message.content)
    assert received["protocol"] == protocol
    assert (received["tls"] is None) == (transport == "plain")


def test_send_message(start_relay, sink, certificate):
    relay = start_relay(routes={"*": to(sink)}, certificate=certificate)
    message = email.message.EmailMessage(email.policy.SMTP)
    message["From"], message["To"], message["Subject"] = SENDER, RECIPIENT, "Grüße"
    message.set_content("Grüße\n.\n")
    message.add_attachment(content.ANY_BYTE, maintype="application", subtype="octet-stream")
    message.set_boundary("boundary")  # otherwise made anew each time it is written out
    with connect(relay, certificate, "starttls") as client:
        client.send_message(message)
    content.assert_relayed(sink.wait(1)[0].content, message.as_bytes())


@pytest.mark.parametrize("transport", PROTOCOLS)
@pytest.mark.parametrize("kind", [Sink, PostfixSink])
def test_contents(kind, transport, start_relay, start_sink, start_postfix_sink, certificate):
    """Every hard content, in one session, by a recipient of its own."""
    sink = start_sink() if kind is Sink else start_postfix_sink()
    relay = start_relay(routes={"*": to(sink)}, listeners=LISTENERS, certificate=certificate)
    sent = {f"{number}@example.test": (name, data)
            for number, (name, data) in enumerate(content.CONTENTS.items())}
    with connect(relay, certificate, transport) as client:
        for recipient, (_, data) in sent.items():
            client.sendmail(SENDER, recipient, data)
    for message in sink.wait(len(sent)):
        name, data = sent.pop(*message.recipients)
        print(name)  # for whoever sees it fail
        content.assert_relayed(message.content, data)
    assert not sent


@pytest.mark.parametrize("size", [5 * MIB, 50 * MIB])
@pytest.mark.parametrize("options", [(), ("--chunking",)], ids=["data", "bdat"])
def test_large(size, options, start_relay, start_sink, certificate):
    sink = start_sink(*options)
    relay = start_relay(routes={"*": to(sink)}, certificate=certificate)
    data = content.large(size)
    with connect(relay, certificate, "plain") as client:
        client.sendmail(SENDER, RECIPIENT, data)
    content.assert_relayed(sink.wait(1, timeout=60)[0].content, data)


def test_large_under_tls(start_relay, sink, certificate):
    relay = start_relay(routes={"*": to(sink)}, certificate=certificate)
    data = content.large(5 * MIB)
    with connect(relay, certificate, "starttls") as client:
        client.sendmail(SENDER, RECIPIENT, data)
    content.assert_relayed(sink.wait(1)[0].content, data)


def test_thousand_recipients(start_relay, sink, certificate):
    relay = start_relay(routes={"*": to(sink)}, certificate=certificate)
    recipients = sorted(f"r{number}@example.test" for number in range(1000))
    with connect(relay, certificate, "plain") as client:
        assert client.sendmail(SENDER, recipients, SAMPLE) == {}
    relay.wait_log("delivered", count=len(recipients))
    relay.stop()
    assert sink.recipients() == recipients
    for message in sink.messages():
        content.assert_relayed(message.content, SAMPLE)
        assert content.split_trace(message.content)[0]["recipient"] is None


def test_null_sender(start_relay, sink, certificate):
    relay = start_relay(routes={"*": to(sink)}, certificate=certificate)
    with connect(relay, certificate, "plain") as client:
        client.sendmail("", RECIPIENT, SAMPLE)
    assert sink.wait(1)[0].mail.startswith("<>")


def test_many_at_once(start_relay, sink):
    """smtp-source: 20 sessions side by side, 400 messages, each of them once."""
    relay = start_relay(routes={"*": to(sink)})
    run("smtp-source", "-s", 20, "-m", 400, "-l", 3000, "-N", "-f", SENDER, "-t", RECIPIENT,
        f"127.0.0.1:{relay.port}")
    relay.wait_log("delivered", count=400)
    relay.stop()
    assert len(sink.recipients()) == 400
    assert len(set(sink.recipients())) == 400  # -N numbers them
