"""The runner itself: a wrong expectation fails, and says where."""
import pytest
from runner import Wrong, expand, parse, reply_matches, unescape

HEADER = "Title: a test of the runner\nRFC: 5321 4.1\n\n"

# What is wrong in it -> (the steps, what is said of it)
WRONG = {
    "the code": ("HELLO\nC: NOOP\nS: 251 2.0.0", "line 6: expected 251 2.0.0"),
    "the enhanced code": ("HELLO\nC: NOOP\nS: 250 2.0.1", "line 6: expected"),
    "an enhanced code that is not there": ("HELLO\nC: HELO a.test\nS: 250 2.0.0", "line 6:"),
    "no enhanced code": ("HELLO\nC: NOOP\nS: 250 OK", "line 6: expected"),
    "no enhanced code, any text": ("HELLO\nC: NOOP\nS: 250", "line 6: expected"),
    "the text": ("HELLO\nC: NOOP\nS: 250 2.0.0 Fine", "line 6: expected"),
    "a part of the text": ("HELLO\nC: NOOP\nS: 250 2.0.0 *Fine*", "line 6: expected"),
    "more lines than there are": ("HELLO\nC: NOOP\nS: 250-2.0.0 OK\nS: 250 2.0.0 OK", "line 7:"),
    "fewer lines than there are": ("S: 220\nC: EHLO a.test\nS: 250 relay.test", "line 6:"),
    "a line in the wrong place": (
        "S: 220\nC: EHLO a.test\nS: 250-relay.test\nS: 250-8BITMIME\nS: 250-PIPELINING\n"
        "S: 250-...\nS: 250 HELP", "line 10:"),
    "a keyword that is not offered": (
        "S: 220\nC: EHLO a.test\nS: 250-...\nS: 250-X-WONDER\nS: 250-...\nS: 250 HELP", "line 9:"),
    "a reply that does not end": ("HELLO\nC: NOOP\nS: 250-2.0.0", "goes on"),
    "a reply interrupted": ("HELLO\nC: NOOP\nS: 250-2.0.0\nC: NOOP\nS: 250 2.0.0", "line 7:"),
    "one reply too many": ("HELLO\nC! NOOP\\r\\nNOOP\\r\\n\nS: 250 2.0.0", "expected 221 2.0.0"),
    "one reply too few": ("HELLO\nC: NOOP\nS: 250 2.0.0\nC! \nC: QUIT\nS: 250 2.0.0", "expected"),
    "something before the close": ("HELLO\nC: NOOP\nCLOSE", "there is still"),
    "something before the server's close": ("HELLO\nC: QUIT\nWAIT-CLOSE", "there is still"),
    "a reply from a closed connection": ("HELLO\nC: QUIT\nS: 221 2.0.0\nS: 250 2.0.0",
                                         "end of the connection"),
    "an unfinished command": ("HELLO\nC! NOOP", "expected 221 2.0.0"),
    "too few messages": ("HELLO\nQUEUED 1", "line 5: 1 messages expected in the queue, 0 came"),
    "too many messages": ("HELLO\nMAIL\nRCPT\nMESSAGE\nQUEUED 0", "0 messages expected"),
    "messages that are not spoken of": ("HELLO\nMAIL\nRCPT\nMESSAGE", "0 messages expected"),
    "another content": ("HELLO\nMAIL\nRCPT\nMESSAGE\nQUEUED 1\nSTORED hello\\r\\n", "stored is"),
    "TLS where there is none": ("HELLO\nTLS", "no TLS"),
    "a reply left at the handshake": ("HELLO\nC! NOOP\\r\\nNOOP\\r\\n\nS: 250 2.0.0\nTLS", ""),
    "no such connection": ("HELLO\nUSE other", "no connection"),
}

# What is wrong -> (a text that is no script, what is said of it)
MALFORMED = {
    "no title": ("RFC: 5321\n\nHELLO", "Title"),
    "no RFC": ("Title: a\n\nHELLO", "RFC"),
    "no number": ("Title: a\nRFC: the newest\n\nHELLO", "RFC"),
    "no steps": (HEADER, "steps"),
    "an unknown header": ("Title: a\nRFC: 5321\nColour: red\n\nHELLO", "line 3: no header"),
    "a setting without a value": ("Title: a\nRFC: 5321\nSet: errors_max\n\nHELLO", "key = value"),
    "an unknown step": (HEADER + "WHISTLE", "line 4: no step"),
    "a step without a colon": (HEADER + "C EHLO a.test", "line 4: only C and S"),
    "a step with a colon": (HEADER + "QUEUED: 1", "line 4: only C and S"),
    "no code": (HEADER + "S: OK", "line 4: no reply"),
    "no end": (HEADER + "REPEAT 2\nC: NOOP", "line 4: REPEAT without END"),
}


@pytest.mark.parametrize("steps, said", WRONG.values(), ids=WRONG)
def test_wrong(steps, said, play):
    with pytest.raises(Wrong) as wrong:
        play(parse(HEADER + steps))
    assert said in str(wrong.value)


@pytest.mark.parametrize("text, said", MALFORMED.values(), ids=MALFORMED)
def test_malformed(text, said):
    with pytest.raises(Wrong) as wrong:
        parse(text)
    assert said in str(wrong.value)


def test_right(play):
    play(parse(HEADER + """
HELLO
# a comment
MAIL
RCPT
MESSAGE
QUEUED 1
STORED Subject: a\\r\\n\\r\\nhello\\r\\n
CONNECT second from 127.0.0.2
HELLO
REPEAT 2
C: VRFY user${n}
S: 252 2.5.0
END
USE first
C! NOOP\\r\\nNOOP ${x*100}\\r\\n
S: 250 2.0.0 OK
S: 250 2.0.0 O*
CLOSE
"""))


def test_ellipsis():
    reply = ["250-relay.test", "250-A", "250-B", "250 HELP"]
    assert reply_matches(["250-...", "250 HELP"], reply)
    assert reply_matches(["250-relay.test", "250-...", "250-B", "250-...", "250 HELP"], reply)
    assert not reply_matches(["250-..."], reply)
    assert not reply_matches(["250-...", "250-C", "250-...", "250 HELP"], reply)
    assert not reply_matches(["251-...", "250 HELP"], reply)


def test_expansion():
    assert expand("a${xy*3}b") == "axyxyxyb"
    assert expand("${base64:user}") == "dXNlcg=="
    assert expand("${plain:a:b}") == "AGEAYg=="
    assert unescape(r"a\r\n\0\\\x80") == b"a\r\n\0\\\x80"
    for text in ("${nothing}", "${x*}"):
        with pytest.raises(Wrong):
            expand(text)
    with pytest.raises(Wrong):
        unescape(r"\q")
