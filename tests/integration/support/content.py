"""Messages that are hard to carry, and what a relay may change in them: one field at the top."""
import base64
import random
import re

HEADER = (b"From: Sender <sender@client.test>\r\nTo: to@example.test\r\n"
          b"Date: Sat, 21 Nov 2026 20:00:00 +0000\r\nMessage-ID: <1@client.test>\r\n"
          b"Subject: test\r\n")
ANY_BYTE = bytes(sorted(set(range(1, 256)) - {0x0a, 0x0d}))

# RFC 5321 4.4; the comment behind the address literal tells of TLS.
RECEIVED = re.compile(
    rb"Received: from (?P<hello>\S+) \((?:(?P<name>\S+) )?(?P<client>\[[^]]+\])\)\r\n"
    rb"\tby (?P<by>\S+) with (?P<protocol>\S+) id (?P<id>[0-9A-Za-z]+)"
    rb"(?:\r\n\t\(using (?P<tls>TLSv[\d.]+) with cipher (?P<cipher>\S+) \((?P<bits>\d+) bits\)\))?"
    rb"(?:\r\n\tfor <(?P<recipient>[^>]+)>)?;\r\n"
    rb"\t(?P<date>\w{3}, \d{1,2} \w{3} \d{4} \d\d:\d\d:\d\d [+-]\d{4})\r\n")


def message(*lines):
    """HEADER, an empty line and these lines."""
    return b"\r\n".join([HEADER, *lines, b""])


CONTENTS = {
    "text": message(b"Hello.", b"", b"Bye."),
    "8-bit": message("Grüße aus Köln, Ελλάδα, 日本".encode(), "Grüße".encode("latin-1")),
    "dots": message(b".", b"..", b"...", b".a", b"a.", b"a .b", b". ", b"", b".", b""),
    "long line": message(b"x" * 102400, b"y"),
    "long line of dots": message(b"." * 102400),
    "empty body": message(),
    "header only": HEADER,
    "no header": b"\r\nonly a body\r\n",
    "one empty line": b"\r\n",
    "empty lines at the end": message(b"a", b"", b"", b"", b""),
    "any byte": message(ANY_BYTE, ANY_BYTE[::-1]),
    "white space": message(b" ", b"\t", b"a \t ", b"  a"),
    "folded header": b"Subject: a\r\n b\r\n\tc\r\nReceived: from x by y; z\r\n" + message(b"a"),
}


def stuffed(content):
    """As it goes over the wire after DATA, with the end of data (RFC 5321 4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", content) + b".\r\n"


def large(size):
    """About this many bytes, the same ones for each size."""
    body = base64.encodebytes(random.Random(size).randbytes(size * 3 // 4 * 76 // 78))
    return message(body.rstrip(b"\n").replace(b"\n", b"\r\n"))


def split_trace(content):
    """(the Received field at the top as a match, what follows)"""
    received = RECEIVED.match(content)
    assert received, f"no Received field at the top: {content[:300]!r}"
    return received, content[received.end():]


def assert_relayed(arrived, sent):
    """One Received field at the top, and not a byte else."""
    rest = split_trace(arrived)[1]
    # Not `rest == sent` alone: of 50 MiB only the difference is worth showing.
    at = next((i for i, (a, b) in enumerate(zip(rest, sent)) if a != b),
              min(len(rest), len(sent))) if rest != sent else None
    assert at is None, f"differs at {at}: {rest[at:at + 60]!r} instead of {sent[at:at + 60]!r}"
