"""plugins/srs: senders rewritten and restored, in the kit and over a daemon."""
import base64
import hashlib
import hmac
import re
import smtplib

import pytest

from support import content
from support.dialogue import submit
from support.relay import to
from support.trial import BUNDLED, MISBEHAVED, of_kind, problems, routes, trial

SRS = BUNDLED / "srs.so"
MESSAGE = content.message(b"hello")
BASE32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
KIT_DAY = 20454  # 2026-01-01


def day_text(day):
    return BASE32[day >> 5 & 31] + BASE32[day & 31]


def sign(secret, *parts, length=4):
    digest = hmac.new(secret, "".join(parts).lower().encode(), hashlib.sha1).digest()
    return base64.b64encode(digest)[:length].decode()


def srs0(user, host, day=KIT_DAY, secret=b"secret", **named):
    stamp = day_text(day)
    return f"SRS0={sign(secret, stamp, host, user, **named)}={stamp}={host}={user}"


@pytest.fixture
def secrets(tmp_path):
    path = tmp_path / "secrets"
    path.write_text("secret\nold secret\n")
    return path


@pytest.fixture
def decide(secrets):
    def one(to, sender, *options, **named):
        chosen = ("domain=fwd.test", f"secrets={secrets}", "local_domains=ours.test",
                  "local_domains=.below.test", *options)
        records = trial(SRS, *(word for one in chosen for word in ("--option", one)),
                        "--from", sender, to=to, **named)
        return routes(records)[0] if "code" not in named else records
    return one


def test_senders_as_computed_here(decide):
    assert decide("x@far.test", "ann@a.test")["sender"] == srs0("ann", "a.test") + "@fwd.test"
    long = decide("x@far.test", "ann@a.test", "hash_length=20", "separator=+")
    assert long["sender"] == srs0("ann", "a.test", length=20).replace("=", "+", 1) + "@fwd.test"
    assert long["action"] == "pass"
    foreign = "SRS0=abcd=AA=a.test=u"
    guarded = f"SRS1={sign(b'secret', 'b.test', foreign[4:])}=b.test={foreign[4:]}@fwd.test"
    assert decide("x@far.test", f"{foreign}@b.test")["sender"] == guarded


@pytest.mark.parametrize("recipient, sender", [
    ("x@far.test", ""), ("x@ours.test", "ann@a.test"), ("x@a.below.test", "ann@a.test"),
    ("x@below.test", "ann@a.test"), ("x@far.test", "me@OURS.test"), ("x@far.test", "me@x.below.test"),
    ("x@far.test", "SRS0=abcd=AA=a.test=u@fwd.test"), ("postmaster@fwd.test", "ann@a.test"),
])
def test_what_is_left_alone(decide, recipient, sender):
    answer = decide(recipient, sender)
    assert answer["action"] == "pass" and not answer.get("sender")


@pytest.mark.parametrize("secret, day", [(b"secret", KIT_DAY), (b"old secret", KIT_DAY - 21)])
def test_back(decide, secret, day):
    answer = decide(srs0("ann", "a.test", day, secret).swapcase() + "@fwd.test", "")
    assert answer["recipients"] in (["ann@a.test"], ["ANN@A.TEST"])


def test_what_does_not_come_back(decide):
    cases = {srs0("ann", "a.test", secret=b"guess"): "5.7.1",
             srs0("ann", "a.test", KIT_DAY - 22): "5.1.1", "SRS0=abcd": "5.1.1",
             srs0("ann", "a.test", KIT_DAY + 2): "5.1.1"}
    for local, enhanced in cases.items():
        answer = decide(f"{local}@fwd.test", "")
        assert (answer["action"], answer["enhanced"]) == ("reject", enhanced), local


@pytest.mark.parametrize("option, text", [
    ("separator=x", "is one of = - +"), ("hash_min=9", "is above hash_length"),
    ("secrets=/nonexistent/x", "No such file"), ("secrets=/dev/null", "holds no secrets"),
])
def test_options(secrets, option, text):
    named = ("domain=fwd.test",) + ((f"secrets={secrets}",) if "secrets" not in option else ())
    words = (word for one in (*named, option) for word in ("--option", one))
    records = trial(SRS, *words, code=MISBEHAVED)
    assert text in of_kind(records, "refused")[0]["text"]


@pytest.mark.parametrize("race", ["cancel", "late", "double"])
def test_races(secrets, race):
    records = trial(SRS, "--option", "domain=fwd.test", "--option", f"secrets={secrets}",
                    "--race", race)
    assert problems(records) == []


def test_there_and_back_over_a_daemon(start_relay, start_sink, secrets):
    far, home = start_sink(), start_sink()
    relay = start_relay(
        plugins={"srs": {"domain": "fwd.test", "secrets": str(secrets)}},
        routes={"far.test": to(far), "a.test": to(home), "*": {"reject": "5.7.1 no route"}})
    submit(relay, MESSAGE, "x@far.test", "y@a.test", sender="ann@a.test")
    [sent] = far.wait(1)
    assert re.fullmatch(r"SRS0=[^=]{4}=[A-Z2-7]{2}=a\.test=ann@fwd\.test", sent.sender)
    assert home.wait(1)[0].sender.startswith("SRS0=")

    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.ehlo("far.test")
        client.mail("")
        wrong = sent.sender.replace("=ann@", "=bob@")
        assert client.rcpt(wrong) == (550, b"5.7.1 This address has not been made here")
        assert client.rcpt(sent.sender.lower())[0] == 250
        assert client.data(MESSAGE)[0] == 250
    back = home.wait(2)[1]
    assert (back.sender, back.recipients) == ("", ["ann@a.test"])

    secrets.write_text("new secret\nsecret\n")
    assert relay.reload()["event"] == "reloaded"
    submit(relay, MESSAGE, "x@far.test", sender="ann@a.test")
    assert far.wait(2)[1].sender != sent.sender
    submit(relay, MESSAGE, sent.sender, sender="")
    assert home.wait(3)[2].recipients == ["ann@a.test"]
    relay.stop()
