"""smarthopctl queue: filters, counting, and changes of many messages."""

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import termios

import pytest

from support.site import BIN, DEADLINE, daemon, site  # noqa: F401


def rows(text):
    return [line.split(maxsplit=3) for line in text.splitlines()[1:]]


# ---- filters and counting -----------------------------------------------------------------------


FILTERS = {
    "sender": (["--sender", "*er2@example.org"], [2]),
    "domain": (["--domain", "SITE1.example.net"], [1]),
    "domain pattern": (["--domain", "*.example.net"], [0, 1, 2, 3]),
    "a part is no domain": (["--domain", "site1"], []),
    "destination": (["--destination", "site3"], [3]),
    "tenant": (["--tenant", "example.org"], [0, 1, 2, 3]),
    "other tenant": (["--tenant", "example"], []),
    "older": (["--older", "1h"], []),
    "newer": (["--newer", "1h"], [0, 1, 2, 3]),
    "larger": (["--larger", "1KiB"], []),
    "smaller": (["--smaller", "1KiB"], [0, 1, 2, 3]),
    "tries": (["--tries", "3"], [0, 1, 2, 3]),
    "more tries": (["--tries", "4"], []),
    "status": (["--status", "mailbox busy"], [0, 1, 2, 3]),
    "other status": (["--status", "refused"], []),
    "together": (["--sender", "sender", "--domain", "site2.example.net"], [2]),
}


@pytest.mark.parametrize("name", FILTERS)
def test_filters(site, name):
    filters, wanted = FILTERS[name]
    ids = site.fill(4, 4, "tried")
    assert site.listed(*filters) == [ids[i] for i in wanted]
    assert site.json("queue", "count", *filters)["messages"] == len(wanted)


def test_filter_by_ids(site):
    ids = site.fill(3, 1)
    assert site.listed("--id", ids[2], "--id", ids[0].lower()) == [ids[0], ids[2]]
    assert site.json("queue", "count", "--id", ids[1])["messages"] == 1


def test_count_filtered(site):
    site.fill(3, 3, "two-groups", "size=2000")
    assert site.json("queue", "count", "--domain", "site1.example.net") == {
        "messages": 2,
        "recipients": 3,
        "bytes": 2 * site.json("queue", "list")[0]["size"],
    }
    assert site.good("queue", "count", "--sender", "nobody") == "0 messages for 0 recipients, 0\n"


def test_group_by(site):
    site.fill(5, 2, "tried")
    site.fill(1, 1, "held")
    by_domain = site.json("queue", "group-by", "domain")
    assert [(row["key"], row["messages"], row["recipients"]) for row in by_domain] == [
        ("site0.example.net", 4, 4),
        ("site1.example.net", 2, 4),
    ]
    assert rows(site.good("queue", "group-by", "state")) == [
        ["5", "7", "110", "deferred"],
        ["1", "1", "22", "held"],
    ]
    codes = site.json("queue", "group-by", "code")
    assert [(row["key"], row["messages"]) for row in codes] == [("450 4.2.0", 5), ("-", 1)]
    for key, first in (("sender", "sender0@example.org"), ("destination", "site0.example.net"),
                       ("tenant", "example.org"), ("age", "5m")):
        assert site.json("queue", "group-by", key, "--limit", "1")[0]["key"] == first
    assert site.json("queue", "group-by", "state", "--state", "held")[0]["messages"] == 1


def test_group_by_nothing(site):
    site.fill(1, 1)
    assert site.json("queue", "group-by", "domain", "--sender", "nobody") == []
    assert site.run("queue", "group-by", "colour").returncode == 2


def test_ages(site):
    site.fill(3, 2)
    heading, first, second = site.good("queue", "ages").splitlines()
    assert heading.split() == [
        "MESSAGES", "5m", "10m", "20m", "40m", "80m", "160m", "320m", "640m", "1280m", "1280m+",
        "DESTINATION",
    ]  # fmt: skip
    assert first.split() == ["2", "2", *["0"] * 9, "site0.example.net"]
    assert second.split() == ["1", "1", *["0"] * 9, "site1.example.net"]
    (only,) = site.json("queue", "ages", "--destination", "site1")
    assert (only["destination"], only["messages"], only["ages"]["5m"]) == ("site1.example.net", 1, 1)


@pytest.mark.parametrize(
    "filters",
    [["--older", "long"], ["--larger", "big"], ["--tries", "x"], ["--id", "x"], ["--sender", ""]],
)
def test_filters_that_are_wrong(site, filters):
    site.fill(1, 1)
    done = site.run("queue", "count", *filters)
    assert (done.returncode, done.stdout) == (2, "")
    assert filters[0] in done.stderr


# ---- changes of many, without a daemon ----------------------------------------------------------


def test_change_by_filter(site):
    ids = site.fill(4, 4)
    assert site.good("queue", "hold", "--domain", "site2.example.net") == (
        "matching: held (1 group of 1 message)\n"
    )
    assert site.listed("--state", "held") == [ids[2]]
    assert site.good("queue", "hold", "--domain", "site2.example.net") == (
        "matching: nothing to change\n"
    )
    assert site.json("queue", "remove", "--newer", "1h", "--state", "ready")["affected"] == 3
    assert site.listed() == [ids[2]]


def test_only_the_groups_that_match_are_changed(site):
    ids = site.fill(2, 2, "two-groups")
    done = site.json("queue", "remove", "--destination", "site1", "--yes")
    assert (done["affected"], done["messages"]) == (2, 2)
    assert site.listed() == ids
    assert site.json("queue", "group-by", "destination")[0]["key"] == "site0.example.net"
    assert site.json("queue", "count")["groups"] == 2


@pytest.mark.parametrize("verb", ["retry", "remove", "hold", "bounce"])
def test_dry_run(site, verb):
    ids = site.fill(3, 3, "two-groups")
    before = site.json("queue", "list")
    done = site.json("queue", verb, "--domain", "site1.example.net", "--dry-run")
    assert done == {"ok": True, "id": "matching", "affected": 0, "groups": 2, "messages": 2,
                    "busy": 0, "moot": 0, "dry_run": True}  # fmt: skip
    assert "would be" in site.good("queue", verb, "--id", ids[0], "--dry-run")
    assert site.json("queue", "list") == before


def test_bounce_needs_the_daemon(site):
    ids = site.fill(1, 1)
    done = site.run("queue", "bounce", "--sender", "sender")
    assert done.returncode == 3
    assert "only it can do this" in done.stderr
    assert site.listed() == ids


def test_more_than_one_batch(site):
    site.fill(2500, 3)
    assert site.json("queue", "hold", "--newer", "1h")["affected"] == 2500
    assert site.json("queue", "count", "--state", "held")["messages"] == 2500


# ---- and with one -------------------------------------------------------------------------------


def test_batches_go_to_the_daemon(site, daemon):
    ids = site.fill(2500, 3)
    peer = daemon({"ok": True, "affected": 10, "busy": 0})
    assert site.json("queue", "hold", "--newer", "1h")["affected"] == 30
    asked = [command.get("groups", []) for command in peer.asked]
    assert [len(groups) for groups in asked] == [0, 1000, 1000, 500]
    assert sum(asked, []) == [f"{id}/0" for id in ids]


def test_the_daemon_was_busy(site, daemon):
    site.fill(3, 1)
    daemon({"ok": True, "affected": 2, "busy": 1})
    done = site.run("queue", "hold", "--newer", "1h")
    assert (done.returncode, done.stdout) == (4, "matching: held (2 groups of 3 messages)\n")
    assert "1 group was left as they were" in done.stderr


def test_the_daemon_refuses_a_batch(site, daemon):
    site.fill(3, 1)
    daemon({"ok": False, "error": "the store is broken"})
    done = site.run("queue", "hold", "--newer", "1h")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "smarthopctl: the store is broken\n"


def test_the_real_daemon(start_relay):
    relay = start_relay(routes={"*": {"hosts": ["127.0.0.1:1"]}})
    relay.stop()
    store = relay.folder / relay.keys["store_path"]
    command = [BIN / "queue_fill", store, "2500", "3", "held"]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
    relay.start()
    done = relay.ctl("queue", "remove", "--domain", "site1.example.net")
    assert done.stdout == b"matching: removed (833 groups of 833 messages)\n"
    assert relay.ctl("queue", "count", "--state", "held").stdout.startswith(b"1667 messages ")
    relay.ctl("queue", "bounce", "--all")
    assert relay.ctl("queue", "count", "--state", "held").stdout.startswith(b"0 messages ")


# ---- at a terminal ------------------------------------------------------------------------------


def asked_at_terminal(site, answer, *arguments):
    ours, theirs = pty.openpty()
    command = [BIN / "smarthopctl", "-c", site.config, *arguments]
    child = subprocess.Popen(
        command, stdin=theirs, stdout=subprocess.PIPE, stderr=theirs, text=True
    )
    os.close(theirs)
    os.write(ours, answer)
    said = b""
    while True:
        try:
            said += os.read(ours, 65536)
        except OSError:  # how Linux tells that the other end is closed
            break
    os.close(ours)
    output, _ = child.communicate(timeout=DEADLINE)
    return child.returncode, output, said.decode()


def test_asks_before_what_cannot_be_taken_back(site):
    ids = site.fill(2, 1)
    code, output, said = asked_at_terminal(site, b"n\n", "queue", "remove", "--all")
    assert (code, output) == (1, "")
    assert "queue remove: 2 groups of 2 messages. Go on? [y/N]" in said
    assert site.listed() == ids
    code, output, _ = asked_at_terminal(site, b"y\n", "queue", "remove", "--all")
    assert (code, output) == (0, "all: removed (2 groups of 2 messages)\n")
    assert site.listed() == []


def test_does_not_ask(site):
    site.fill(1, 1)
    for command in (["hold", "--all"], ["remove", "--all", "--yes"]):
        code, _, said = asked_at_terminal(site, b"", "queue", *command)
        assert (code, "Go on?" in said) == (0, False)


# ---- as Postfix writes it -----------------------------------------------------------------------

ENTRY = re.compile(
    r"(?P<id>[0-9A-Z]{10,15})(?P<mark>[*! ]) +(?P<size>\d+) "
    r"(?P<time>[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) +(?P<sender>\S+)"
)
TOTAL = re.compile(r"-- (\d+) Kbytes in (\d+) Requests?\.")


def parse_mailq(text):
    """As monitoring does: entries divided by empty lines, between the heading and the total."""
    heading, *lines, total = text.splitlines()
    assert heading.startswith("-Queue ID-") and heading.endswith("-Sender/Recipient-------")
    entries = []
    for block in "\n".join(lines).strip().split("\n\n"):
        first, *rest = block.splitlines()
        entry = ENTRY.fullmatch(first).groupdict()
        entry["recipients"] = [line.strip() for line in rest if not line.strip().startswith("(")]
        entry["reasons"] = [line.strip() for line in rest if line.strip().startswith("(")]
        entries.append(entry)
    kbytes, count = TOTAL.fullmatch(total).groups()
    assert int(count) == len(entries)
    assert int(kbytes) == sum(int(entry["size"]) for entry in entries) // 1024
    return entries


@pytest.fixture
def three(site):
    """Ready, deferred, held."""
    return site.fill(1, 1, "size=3000") + site.fill(2, 2, "tried")[1:] + site.fill(1, 1, "held")


def test_mailq(site, three):
    ready, deferred, held = [
        entry for entry in parse_mailq(site.good("queue", "list", "--format", "mailq"))
        if entry["id"] in three
    ]
    assert (ready["id"], ready["mark"], ready["reasons"]) == (three[0], "*", [])
    assert ready["sender"] == "sender0@example.org"
    assert ready["recipients"] == ["user0@site0.example.net"]
    assert (deferred["id"], deferred["mark"]) == (three[1], " ")
    assert deferred["recipients"] == [f"user{n}@site1.example.net" for n in (0, 1)]
    assert deferred["reasons"] == [
        "(450 4.2.0 mailbox busy (mx.example.net [192.0.2.1]:25))"
    ] * 2
    assert (held["id"], held["mark"]) == (three[2], "!")


def test_mailq_by_sendmail(site, three):
    command = [BIN / "sendmail", "-C", site.config, "-bp"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, check=True)
    assert set(three) <= {entry["id"] for entry in parse_mailq(done.stdout)}


def test_postqueue_json(site, three):
    lines = site.good("queue", "list", "--format", "postqueue-json").splitlines()
    ready, deferred, held = [
        entry for entry in map(json.loads, lines) if entry["queue_id"] in three
    ]
    assert ready == {
        "queue_name": "active",
        "queue_id": three[0],
        "arrival_time": ready["arrival_time"],
        "message_size": ready["message_size"],
        "forced_expire": False,
        "sender": "sender0@example.org",
        "recipients": [{"address": "user0@site0.example.net"}],
    }
    assert ready["arrival_time"] == site.json("queue", "show", three[0])["arrival"] // 1000
    assert deferred["queue_name"] == "deferred"
    assert deferred["recipients"][1] == {
        "address": "user1@site1.example.net",
        "delay_reason": "450 4.2.0 mailbox busy (mx.example.net [192.0.2.1]:25)",
    }
    assert held["queue_name"] == "hold"


def test_formats_are_filtered(site, three):
    text = site.good("queue", "list", "--format", "mailq", "--state", "held")
    assert [entry["id"] for entry in parse_mailq(text)] == [three[2]]
    text = site.good("queue", "list", "--format", "mailq", "--recipient", "user1@site1")
    assert [entry["recipients"] for entry in parse_mailq(text)] == [["user1@site1.example.net"]]


def test_formats_of_an_empty_queue(site):
    (id,) = site.fill(1, 1)
    site.good("queue", "remove", id)
    assert site.good("queue", "list", "--format", "mailq") == "Mail queue is empty\n"
    assert site.good("queue", "list", "--format", "postqueue-json") == ""
    assert site.run("queue", "list", "--format", "xml").returncode == 2


# ---- top ----------------------------------------------------------------------------------------


def test_top_once(site):
    site.fill(3, 2, "tried")
    site.fill(1, 1, "held")
    lines = site.good("queue", "top", "--once").splitlines()
    assert "4 messages for 5 recipients" in lines[0]
    assert lines[1] == "smarthopd is not running."
    assert [line.split() for line in lines[2:]] == [
        [],
        ["MESSAGES", "RECIPIENTS", "STATE"],
        ["3", "4", "deferred"],
        ["1", "1", "held"],
        [],
        ["MESSAGES", "RECIPIENTS", "DESTINATION"],
        ["3", "3", "site0.example.net"],
        ["1", "2", "site1.example.net"],
    ]
    assert "site1" not in site.good("queue", "top", "--once", "--limit", "1")


def test_top_with_a_daemon(site, daemon):
    site.fill(1, 1)
    daemon({"ok": True, "accepted": 7, "delivered": 6, "sessions": 2, "connections": 3})
    lines = site.good("queue", "top").splitlines()
    assert lines[1] == "accepted 7, rejected 0, delivered 6, deferred 0, failed 0"
    assert lines[2] == "2 sessions in, 3 connections out"


def test_top_has_no_json(site):
    site.fill(1, 1)
    assert site.run("--json", "queue", "top").returncode == 2


def test_top_on_a_terminal(site):
    """It draws until q is pressed, and leaves the terminal as it was."""
    site.fill(1, 1)
    ours, theirs = pty.openpty()
    before = termios.tcgetattr(theirs)
    command = [BIN / "smarthopctl", "-c", site.config, "queue", "top"]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs)
    said = b""
    while said.count(b"DESTINATION") < 2:
        said += os.read(ours, 65536)
    os.write(ours, b"q")
    assert child.wait(DEADLINE) == 0
    assert termios.tcgetattr(theirs) == before
    os.close(theirs)
    os.close(ours)
    assert said.startswith(b"\033[?1049h")


def test_top_fits_the_screen(site, daemon):
    """What does not fit is cut: nothing is wrapped, and the first lines do not scroll away."""
    site.fill(20, 1)
    daemon({"ok": True, "accepted": 1234567, "sessions": 2, "connections": 3})
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 10, 40, 0, 0))
    command = [BIN / "smarthopctl", "-c", site.config, "queue", "top"]
    child = subprocess.Popen(command, stdin=theirs, stdout=theirs, env={"NO_COLOR": "1"})
    said = b""
    while said.count(b"\033[2J") < 2:
        said += os.read(ours, 65536)
    os.write(ours, b"q")
    assert child.wait(DEADLINE) == 0
    os.close(theirs)
    os.close(ours)
    screen = said.decode().split("\033[2J")[1].split("\033[H")[0]
    lines = screen.replace("\r\n", "\n").splitlines()
    assert "20 messages" in lines[0] and lines[1].startswith("accepted 1234567, rejected 0")
    assert len(lines) <= 9 and max(map(len, lines)) <= 40
