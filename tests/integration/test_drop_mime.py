"""The parts of messages, over IMAP, as Python's email package sees them."""
import email
import email.policy
from email.message import EmailMessage

import pytest

LINES = email.policy.SMTP


def simple():
    message = EmailMessage(policy=LINES)
    message["From"] = "Ann <ann@client.test>"
    message["Subject"] = "Plain"
    message.set_content("one\ntwo\n")
    return message


def with_parts():
    message = simple()
    message.replace_header("Subject", "Parts")
    message.add_alternative("<p>one</p>\n", subtype="html")
    message.add_attachment(bytes(range(256)) * 20, "image", "png", filename="ä.png")
    message.add_attachment("grün\n", charset="iso-8859-1", cte="quoted-printable")
    return message


def nested():
    message = EmailMessage(policy=LINES)
    message["Subject"] = "Nested"
    message.set_content("outside\n")
    message.add_attachment(with_parts())
    message.add_attachment(simple())
    return message


def digest():
    inner = ("Subject: 1\r\n\r\nx", "Subject: 2\r\n\r\ny")
    parts = "".join(f"--=d\r\n\r\n{message}\r\n" for message in inner)
    header = 'Content-Type: multipart/digest; boundary="=d"\r\n\r\n'
    return email.message_from_string(f"{header}pre\r\n{parts}--=d--\r\nend\r\n", policy=LINES)


def a_message_alone():
    message = EmailMessage(policy=LINES)
    message["Subject"] = "Forwarded"
    message.set_content(nested())
    return message


def leaves(message, path=()):
    """Sections (RFC 9051 6.4.5.1) with what email has in them."""
    if message.get_content_maintype() == "multipart":
        for number, part in enumerate(message.get_payload(), 1):
            yield from leaves_of_part(part, (*path, number))
    else:
        yield from leaves_of_part(message, (*path, 1))


def leaves_of_part(part, path):
    if part.get_content_type() == "message/rfc822":
        yield from leaves(part.get_payload(0), path)
    elif part.is_multipart():
        yield from leaves(part, path)
    else:
        yield path, part.get_payload()


def fetched(client, item):
    kind, answer = client.fetch("1", f"({item})")
    assert kind == "OK"
    return answer[0][1]


@pytest.mark.parametrize("make", (simple, with_parts, nested, digest, a_message_alone))
def test_each_part_is_found(start_drop, make):
    client = start_drop().imap()
    text = make().as_bytes(policy=LINES)
    assert client.append("INBOX", None, None, text)[0] == "OK"
    client.select("INBOX")
    assert fetched(client, "BODY.PEEK[]") == text
    found = 0
    for path, payload in leaves(email.message_from_bytes(text, policy=email.policy.compat32)):
        section = ".".join(map(str, path))
        assert fetched(client, f"BODY.PEEK[{section}]").decode() == payload, section
        found += 1
    assert found == {simple: 1, with_parts: 4, nested: 6, digest: 2, a_message_alone: 6}[make]
    client.logout()


def test_the_structure_tells_of_each_part(start_drop):
    client = start_drop().imap()
    client.append("INBOX", None, None, with_parts().as_bytes(policy=LINES))
    client.select("INBOX")
    structure = client.fetch("1", "(BODYSTRUCTURE)")[1][0].decode()
    assert '"text" "plain" ("charset" "utf-8")' in structure
    assert '("attachment" ("filename*" "utf-8\'\'%C3%A4.png"))' in structure
    assert '"quoted-printable"' in structure and '"mixed" ("boundary" ' in structure
    envelope = client.fetch("1", "(ENVELOPE)")[1][0].decode()
    ann = '(("Ann" NIL "ann" "client.test"))'
    assert f'NIL "Parts" {ann} {ann} {ann} NIL NIL NIL NIL NIL' in envelope
    client.logout()
