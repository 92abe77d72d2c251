"""SEARCH, SORT and THREAD by IMAP, over mail as Python's email package encodes it."""
import re
from email.message import EmailMessage

import pytest

MAILS = (
    # subject, from, body, charset, encoding, date, the number of the one that it answers
    ("Grüße aus Köln", "Jörg <joerg@a.test>", "Schöne Grüße", "iso-8859-1", "quoted-printable", 3,
     None),
    ("Re: Grüße aus Köln", "anna@b.test", "Danke, ebenso!", "utf-8", "base64", 4, 1),
    ("Привет", "Zoe <zoe@c.test>", "Как дела? " * 300, "koi8-r", "base64", 2, None),
    ("plain", "bert@d.test", "nothing but a needle\r\n" * 2000, "us-ascii", "7bit", 1, None),
)


def message_of(number, mail):
    subject, sender, body, charset, encoding, day, answered = mail
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = sender
    message["To"] = "alice@ours.test"
    message["Date"] = f"{day} Jan 2024 12:00:00 +0000"
    message["Message-ID"] = f"<{number}@ours.test>"
    if answered:
        message["References"] = f"<{answered}@ours.test>"
    message.set_content(body, charset=charset, cte=encoding)
    return message.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")


@pytest.fixture
def client(start_drop):
    client = start_drop().imap()
    for number, mail in enumerate(MAILS, 1):
        kind, data = client.append("INBOX", "", None, message_of(number, mail))
        assert kind == "OK", data
    client.select()
    yield client
    client.logout()


def search(client, *criteria, literal=None):
    if literal is not None:
        client.literal = literal.encode()
        criteria = ("CHARSET", "UTF-8", *criteria)
    kind, data = client._simple_command("SEARCH", *criteria)
    assert kind == "OK", data
    return [int(number) for number in client.response("SEARCH")[1][0].split()]


def test_texts_are_found_as_they_are_meant(client):
    assert search(client, "BODY", literal="SCHÖNE grüße") == [1]
    assert search(client, "SUBJECT", literal="grüße AUS") == [1, 2]
    assert search(client, "FROM", literal="JÖRG") == [1]
    assert search(client, "TEXT", literal="ПРИВЕТ") == [3]
    assert search(client, "BODY", literal="как ДЕЛА? как") == [3]
    assert search(client, "BODY", '"a NEEDLE"') == [4]
    assert search(client, "NOT", "BODY", "needle", "SENTSINCE", "3-Jan-2024") == [1, 2]
    assert search(client, "OR", "FROM", "anna@", "HEADER", "Message-ID", "4@ours") == [2, 4]
    assert search(client, "BODY", "koi8") == []


def test_an_unknown_charset_is_told(client):
    kind, data = client._simple_command("SEARCH", "CHARSET", "x-none", "BODY", "a")
    assert kind == "NO" and b"BADCHARSET" in data[0]


def test_order_and_threads(client):
    def answer(name, *arguments):
        kind, data = client._simple_command(name, *arguments)
        assert kind == "OK", data
        return client.response(name)[1][0].decode()

    assert answer("SORT", "(DATE)", "UTF-8", "ALL") == "4 3 1 2"
    assert answer("SORT", "(REVERSE DATE)", "UTF-8", "NOT", "BODY", "needle") == "2 1 3"
    assert answer("SORT", "(DISPLAYFROM)", "UTF-8", "ALL") == "2 4 1 3"
    assert answer("SORT", "(SUBJECT)", "UTF-8", "ALL") == "1 2 4 3"
    assert answer("THREAD", "REFERENCES", "UTF-8", "ALL") == "(4)(3)(1 2)"
    assert answer("THREAD", "ORDEREDSUBJECT", "UTF-8", "1:3") == "(3)(1 2)"


def test_threads_have_names(client):
    def names(numbers):
        kind, data = client.fetch(numbers, "(THREADID)")
        assert kind == "OK", data
        return [re.search(rb"THREADID \((T[\w-]+)\)", line)[1].decode() for line in data]

    first, answer, *others = names("1:4")
    assert first == answer and first not in others and others[0] != others[1]
    assert search(client, "THREADID", first) == [1, 2]
    assert search(client, "NOT", "THREADID", others[0]) == [1, 2, 4]
    client.copy("2", "Archive")
    client.select("Archive")
    assert names("1") == [first]
