"""BDAT (RFC 3030): chunks in any sizes and in any order, and what keeps the session in step."""
import pytest
from support import content
from support.dialogue import Dialogue
from support.relay import to

MAIL, RCPT = "MAIL FROM:<sender@client.test>", "RCPT TO:<to@example.test>"
OK, SENDER_OK, RECIPIENT_OK = "250 2.0.0", "250 2.1.0", "250 2.1.5"
SAMPLE = content.message(b"hello", b".", b"..", b"", b"bye")
KIB, MIB = 1 << 10, 1 << 20


def chunk(data, last=False):
    return b"BDAT %d%s\r\n" % (len(data), b" LAST" if last else b"") + data


def split(data, size):
    return [data[at:at + size] for at in range(0, len(data), size)]


def wire_of(pieces):
    """All of them as chunks, the last one as the last."""
    *first, last = pieces
    return b"".join([*map(chunk, first), chunk(last, last=True)])


@pytest.fixture
def relay(start_relay, sink):
    return start_relay(routes={"*": to(sink)}, errors_max=1000, message_size_max="8MiB",
                       memory_body_max="256KiB")


def statuses(client, count):
    return [client.reply().status for _ in range(count)]


def send(client, pieces):
    client.begin("to@example.test")
    client.send(wire_of(pieces))
    assert statuses(client, len(pieces)) == [OK] * len(pieces)


def assert_arrived(sink, *messages):
    """These and no others, in any order."""
    rest = sorted(content.split_trace(message.content)[1] for message in sink.wait(len(messages)))
    assert len(rest) == len(messages)
    for got, sent in zip(rest, sorted(messages)):
        assert got == sent, (len(got), len(sent), got[:200], sent[:200])


# ---- what is taken ------------------------------------------------------------------------------

PIECES = {
    "one chunk": [SAMPLE],
    "several chunks": split(SAMPLE, 50),
    "single bytes": split(SAMPLE, 1),
    "an empty last chunk": [SAMPLE, b""],
    "empty chunks": [b"", SAMPLE[:20], b"", b"", SAMPLE[20:], b""],
    "an end of data inside": [content.message(b"a", b".") + content.message(b"MAIL FROM:<>")],
    "cut within CRLF": SAMPLE.partition(b"\r")[:2] + (SAMPLE.partition(b"\r")[2],),
}


def test_pieces(relay, sink):
    with Dialogue(relay.port).hello() as client:
        assert "CHUNKING" in client.command("EHLO client.test").lines
        for pieces in PIECES.values():
            send(client, pieces)
    assert_arrived(sink, *(b"".join(pieces) for pieces in PIECES.values()))


@pytest.mark.parametrize("name", content.CONTENTS)
def test_contents(name, start_relay, start_sink):
    """In one chunk, in and out again: byte for byte."""
    sink = start_sink("--chunking")
    relay = start_relay(routes={"*": to(sink)})
    sent = content.CONTENTS[name]
    with Dialogue(relay.port).hello() as client:
        send(client, [sent])
    content.assert_relayed(sink.wait(1)[0].content, sent)


@pytest.mark.parametrize("size", [100, 4096, 65536, 5 * MIB])
def test_staged(size, relay, sink):
    """A body far larger than the memory that it may take, in chunks of this size."""
    sent = content.large(5 * MIB if size > 100 else MIB)
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        for piece in split(sent, size):
            client.send(chunk(piece))
            assert client.reply().status == OK
        assert client.command("BDAT 0 LAST").status == OK
    content.assert_relayed(sink.wait(1)[0].content, sent)


def test_pipelined_chunks_are_staged(relay, sink):
    """Without a pause in which a client waits for a reply."""
    pieces = split(content.large(4 * MIB), 32 * KIB)
    with Dialogue(relay.port).hello() as client:
        send(client, pieces)
    content.assert_relayed(sink.wait(1)[0].content, b"".join(pieces))


@pytest.mark.parametrize("by_byte", [False, True])
def test_everything_at_once(by_byte, relay, sink):
    wire = f"{MAIL}\r\n{RCPT}\r\n".encode() + wire_of(split(SAMPLE, 60))
    count = wire.count(b"BDAT")
    with Dialogue(relay.port).hello() as client:
        for piece in split(wire * 2, 1 if by_byte else len(wire) * 2):
            client.send(piece)
        assert statuses(client, 2 * (2 + count)) == ([SENDER_OK, RECIPIENT_OK] + [OK] * count) * 2
    assert_arrived(sink, SAMPLE, SAMPLE)


def test_header_over_chunks(relay, sink):
    """The header is looked at as a whole: its Message-ID is in the log."""
    cut = SAMPLE.index(b"client.test>\r\nSubject") + 3
    with Dialogue(relay.port).hello() as client:
        send(client, [SAMPLE[:cut], SAMPLE[cut:]])
    assert relay.wait_log("accepted")[0]["message_id"] == "<1@client.test>"


# ---- what is refused; the commands behind it are understood -------------------------------------

DISCARDED = b"MAIL FROM:<evil@client.test>\r\n"  # within a chunk it is no command
BEGIN = f"{MAIL}\r\n{RCPT}\r\n".encode()
BEGUN = [SENDER_OK, RECIPIENT_OK]
# (what is sent behind EHLO, the statuses of the replies)
IN_STEP = {
    "without MAIL": (chunk(DISCARDED) + chunk(b"x", last=True), ["503 5.5.1", "503 5.5.1"]),
    "without RCPT": (f"{MAIL}\r\n".encode() + chunk(DISCARDED, last=True),
                     [SENDER_OK, "554 5.5.1"]),
    "behind a refused MAIL": (b"MAIL FROM:<\r\n" + chunk(DISCARDED) + chunk(b"", last=True),
                              ["501 5.1.7", "503 5.5.1", "503 5.5.1"]),
    "RSET between": (BEGIN + chunk(SAMPLE) + b"RSET\r\n" + chunk(DISCARDED, last=True),
                     [*BEGUN, OK, OK, "503 5.5.1"]),
    "EHLO between": (BEGIN + chunk(SAMPLE) + b"EHLO client.test\r\n" + chunk(b"", last=True),
                     [*BEGUN, OK, "250", "503 5.5.1"]),
    "other commands between": (
        BEGIN + chunk(SAMPLE) + f"NOOP\r\n{MAIL}\r\n{RCPT}\r\nDATA\r\nRSET\r\n".encode(),
        [*BEGUN, OK, OK, "503 5.5.1", "503 5.5.1", "503 5.5.1", OK]),
    "too large at once": (BEGIN + b"BDAT 8388609\r\n" + bytes(8388609) + chunk(b"", last=True),
                          [*BEGUN, "552 5.3.4", "503 5.5.1"]),
    "too large together": (BEGIN + chunk(b"x\r\n") + b"BDAT 8388606\r\n" + b"y" * 8388606,
                           [*BEGUN, OK, "552 5.3.4"]),
    "bare CR": (BEGIN + chunk(b"a\rb", last=True), [*BEGUN, "554 5.6.0"]),
    "bare LF": (BEGIN + chunk(b"a\nb", last=True), [*BEGUN, "554 5.6.0"]),
    "NUL": (BEGIN + chunk(b"a\0b", last=True), [*BEGUN, "554 5.6.0"]),
    "CR at the end": (BEGIN + chunk(b"a: b\r\n\r\n\r", last=True), [*BEGUN, "554 5.6.0"]),
    "bare CR over chunks": (BEGIN + chunk(b"a\r") + chunk(b"b", last=True),
                            [*BEGUN, OK, "554 5.6.0"]),
}


@pytest.mark.parametrize("sent, expected", IN_STEP.values(), ids=IN_STEP)
def test_in_step(sent, expected, relay, sink):
    with Dialogue(relay.port).hello() as client:
        client.send(sent)
        assert statuses(client, len(expected)) == expected
        send(client, [SAMPLE])
    assert_arrived(sink, SAMPLE)


def test_before_hello(start_relay):
    with Dialogue(start_relay(refuse_early_talkers=False).port) as client:
        assert client.reply().code == 220
        client.send(chunk(b"EHLO client.test\r\n", last=True) + b"NOOP\r\n")
        assert statuses(client, 2) == ["503 5.5.1", OK]


def test_behind_data(relay, sink):
    """A dot-stuffed message and a chunk in one session."""
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        assert client.data(content.stuffed(SAMPLE)).status == OK
        send(client, [SAMPLE])
    assert_arrived(sink, SAMPLE, SAMPLE)


@pytest.mark.parametrize("argument", ["", " LAST", " -1", " x", " 1 FIRST", " 1LAST", " 0x10",
                                      " 1 2", " 18446744073709551616"])
def test_bad_argument(argument, relay):
    """Nobody knows where the next command begins."""
    with Dialogue(relay.port).hello() as client:
        client.begin("to@example.test")
        client.send(f"BDAT{argument}\r\nNOOP\r\n".encode())
        assert client.reply().status == "501 5.5.4" and client.is_closed()


def test_client_leaves(relay, sink):
    """In the middle of a chunk, and between two: nothing of the message stays."""
    for sent in (b"BDAT 100\r\nhalf", chunk(content.large(MIB)), chunk(SAMPLE)):
        with Dialogue(relay.port).hello() as client:
            client.begin("to@example.test")
            client.send(sent)
    assert len(relay.wait_log("session", 3)) == 3
    relay.stop()
    assert not sink.messages() and not relay.log("accepted")
