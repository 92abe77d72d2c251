"""smarthopctl beside a store that queue_fill made, without a daemon and with a stand-in for one."""

import fcntl
import json
import os
import pty
import re
import socket
import struct
import subprocess
import termios
from pathlib import Path

import pytest

from support.site import BIN, DEADLINE, daemon, site  # noqa: F401

ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{13}")


def on_terminal(site, columns, *arguments, **environment):
    """What a terminal of that width is sent."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    env = {"PATH": os.environ["PATH"], "TERM": "xterm", **environment}
    command = [BIN / "smarthopctl", "-c", site.config, *arguments]
    child = subprocess.Popen(command, stdout=theirs, env=env)
    os.close(theirs)
    output = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:  # how Linux tells that the other end is closed
            break
        if not piece:
            break
        output += piece
    os.close(ours)
    assert child.wait(DEADLINE) == 0
    return output.decode().replace("\r\n", "\n")


# ---- listing ------------------------------------------------------------------------------------


def test_list_json(site):
    ids = site.fill(2, 2, "tried")
    messages = site.json("queue", "list")
    assert [message["id"] for message in messages] == ids
    second = messages[1]
    arrival = second["arrival"]
    status = {
        "code": 450,
        "enhanced": "4.2.0",
        "text": "mailbox busy",
        "by": "mx.example.net [192.0.2.1]:25",
    }
    assert second == {
        "id": ids[1],
        "arrival": arrival,
        "size": 22,
        "sender": "sender1@example.org",
        "tenant": "example.org",
        "tags": "",
        "envid": "",
        "ret": "",
        "body": "7BIT",
        "priority": 0,
        "release": None,
        "deliver_by": None,
        "deliver_by_mode": "",
        "deliver_by_trace": False,
        "require_tls": False,
        "auth": None,
        "recipients": [
            {
                "address": f"user{n}@site1.example.net",
                "notify": "",
                "orcpt": "",
                "state": "waiting",
                "destination": "site1.example.net",
                "next_hop": "site1.example.net",
                "tries": 3,
                "next_try": arrival + 600000,
                "status": status,
            }
            for n in (0, 1)
        ],
        "reason": "450 4.2.0 mailbox busy (mx.example.net [192.0.2.1]:25)",
    }


def test_list_table(site):
    ids = site.fill(2, 1, "tried", "size=5000")
    heading, *rows = site.good("queue", "list").splitlines()
    assert heading.split() == [
        "ID", "AGE", "SIZE", "STATE", "NEXT", "TRY", "TRIES",
        "SENDER", "RECIPIENT", "DESTINATION", "REASON",
    ]  # fmt: skip
    assert len(rows) == 2
    assert re.fullmatch(
        ids[1] + r" +\d+s +4\.9K +waiting in 9m \d+s +3 +sender1@example\.org"
        r" +\+1 user0@site0\.example\.net +site0\.example\.net"
        r" +450 4\.2\.0 mailbox busy \(mx\.example\.net \[192\.0\.2\.1\]:25\)",
        rows[1],
    )


def test_list_states(site):
    ready = site.fill(1, 1)
    waiting = site.fill(1, 1, "tried")
    held = site.fill(1, 1, "held")
    assert site.listed("--state", "ready") == ready
    for word in ("waiting", "deferred"):
        assert site.listed("--state", word) == waiting
    assert site.listed("--state", "held") == held
    assert site.listed() == ready + waiting + held
    reasons = [message["reason"] for message in site.json("queue", "list")]
    assert reasons[0] == "not tried yet"
    assert reasons[2] == "held until it is released"
    assert site.json("queue", "list")[2]["recipients"][0]["next_try"] is None


def test_list_backoff(site):
    (id,) = site.fill(1, 1, "backoff")
    (message,) = site.json("queue", "list", "--state", "backoff")
    assert message["id"] == id
    assert message["recipients"][0]["next_try"] == message["arrival"] + 600000
    assert re.fullmatch(
        r"destination backs off until \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}:"
        r" 451 4\.4\.1 connection refused by \[127\.0\.0\.1\]:2526 \(3 failures\)",
        message["reason"],
    )


def test_list_filters(site):
    ids = site.fill(4, 4)
    assert site.listed("--sender", "SENDER2@") == [ids[2]]
    assert site.listed("--destination", "site3") == [ids[3]]
    assert site.listed("--recipient", "user1@site1") == [ids[1]]
    assert site.listed("--recipient", "user1@", "--destination", "site3") == [ids[3]]
    assert site.listed("--recipient", "nobody") == []
    assert site.listed("--limit", "3") == ids[:3]
    assert site.listed("--limit", "0") == []
    assert site.good("queue", "list", "--sender", "nobody") == "No message matches.\n"


def test_list_shows_the_group_that_matches(site):
    site.fill(1, 2, "two-groups")
    row = site.good("queue", "list", "--destination", "site1").splitlines()[1]
    assert "+1 user0@site1.example.net" in row


def test_list_empty(site):
    (id,) = site.fill(1, 1)
    site.good("queue", "remove", id)
    assert site.good("queue", "list") == "The queue is empty.\n"
    assert site.json("queue", "list") == []


def test_list_many(site):
    ids = site.fill(5000, 7)
    assert site.listed() == ids


def test_count(site):
    site.fill(3, 3, "two-groups", "backoff")
    expected = {"messages": 3, "groups": 6, "destinations": 3, "backing_off": 3}
    assert site.json("queue", "count") == expected
    assert site.good("queue", "count") == (
        "3 messages in 6 groups for 3 destinations, 3 of them backing off\n"
    )


def test_beside_an_owner(site):
    """A listing needs no lock: here the owner is another command that is changing the store."""
    ids = site.fill(200, 1)
    command = [BIN / "smarthopctl", "-c", site.config, "queue", "hold", "--all"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as owner:
        while owner.poll() is None:
            assert site.listed() == ids
    assert owner.returncode == 0


# ---- terminals ----------------------------------------------------------------------------------


def test_narrow_terminal(site):
    site.fill(2, 1, "tried")
    lines = on_terminal(site, 80, "queue", "list", NO_COLOR="1").splitlines()
    assert "\033" not in "".join(lines)
    assert len(lines) == 5
    assert all(len(line) <= 80 for line in lines)
    assert "sender0@ex~ user0@site~" in lines[1]
    assert lines[2].startswith("    site0.example.net: 450 4.2.0 mailbox busy")


def test_wide_terminal(site):
    site.fill(2, 1, "held")
    lines = on_terminal(site, 200, "queue", "list").splitlines()
    assert len(lines) == 3
    assert "\033[33mheld\033[0m" in lines[1]


def test_dumb_terminal(site):
    site.fill(1, 1, "held")
    assert "\033" not in on_terminal(site, 200, "queue", "list", TERM="dumb")


def test_strangers_texts_do_not_reach_the_terminal(site):
    (id,) = site.fill(1, 1, "tried", "hostile")
    for command in (["queue", "list"], ["queue", "show", id]):
        for output in (site.good(*command), on_terminal(site, 200, *command, NO_COLOR="1")):
            assert "\033" not in output
            assert '?[2J"red"??ok? é' in output
    (message,) = site.json("queue", "list")
    assert message["recipients"][0]["status"]["text"] == '\033[2J"red"\r\nok\ufffd é'


# ---- one message --------------------------------------------------------------------------------


def test_show(site):
    (id,) = site.fill(1, 2, "tried", "two-groups")
    output = site.good("queue", "show", id)
    assert output.startswith(f"Message     {id}\n")
    for line in (
        "Sender      <sender0@example.org>",
        "Client      client.example.org [198.51.100.7]",
        "Subject     Synthetic",
        "Message-ID  <m1@example.org>",
        "Destination site1.example.net",
        "State       waiting",
        "Tries       3",
        "Recipient   <user0@site1.example.net>",
        "  last said 450 4.2.0 mailbox busy (mx.example.net [192.0.2.1]:25)",
    ):
        assert line in output.splitlines()


def test_show_json(site):
    (id,) = site.fill(1, 1)
    message = site.json("queue", "show", id.lower())
    assert message["id"] == id
    assert message["reason"] == "not tried yet"
    assert message["recipients"][0]["status"] is None
    assert message["hello"] == "client.example.org"
    assert message["notification"] is False
    assert "message" not in message
    with_body = site.json("queue", "show", id, "--body")
    assert with_body["message"].endswith("Subject: Synthetic\r\n\r\n")


def test_show_dsn(site):
    """What the sender asked for by RFC 3461; nothing of it where there was nothing."""
    (plain,) = site.fill(1, 1)
    (asked,) = site.fill(1, 1, "dsn")
    assert not any(word in site.good("queue", "show", plain) for word in ("ENVID", "NOTIFY"))
    output = site.good("queue", "show", asked).splitlines()
    for line in ("ENVID       QQ314159", "RET         HDRS", "  ORCPT     rfc822;Bob@example.com",
                 "  NOTIFY    SUCCESS,FAILURE"):
        assert line in output
    for message in (site.json("queue", "show", asked), site.json("queue", "list")[1]):
        assert (message["envid"], message["ret"]) == ("QQ314159", "HDRS")
        assert message["recipients"][0]["notify"] == "SUCCESS,FAILURE"
        assert message["recipients"][0]["orcpt"] == "rfc822;Bob@example.com"
    (recipient,) = site.json("queue", "show", plain)["recipients"]
    assert (recipient["notify"], recipient["orcpt"]) == ("", "")


TRACE = b"Received: from client.example.org by mx.example.com\r\n"
HEADER = b"Subject: Synthetic\r\n"
LINE = b"A line of text that is stored and shown again as it came in.\r\n"


def test_show_content(site):
    (id,) = site.fill(1, 1, "size=1000000")
    whole = site.run("queue", "show", id, "--body", text=False).stdout
    assert whole.startswith(TRACE + HEADER + b"\r\n" + LINE)
    assert whole.count(LINE) * len(LINE) == len(whole) - len(TRACE + HEADER) - 2 >= 999000
    assert site.run("queue", "show", id, "--headers", text=False).stdout == TRACE + HEADER


def test_show_unknown(site):
    site.fill(1, 1)
    done = site.run("queue", "show", "0000000000001")
    assert done.returncode == 1
    assert done.stderr == (
        "smarthopctl: 0000000000001: there is no such message in the queue\n"
    )
    assert site.run("queue", "show", "nonsense").returncode == 2


# ---- changes without a daemon -------------------------------------------------------------------


def test_hold_and_release(site):
    ids = site.fill(2, 1)
    assert site.good("queue", "hold", ids[0]) == f"{ids[0]}: held (1 group)\n"
    assert site.good("queue", "hold", ids[0]) == f"{ids[0]}: nothing to change\n"
    assert site.listed("--state", "held") == [ids[0]]
    released = {"ok": True, "id": "all", "affected": 1, "groups": 1, "messages": 1}
    assert site.json("queue", "release", "--all") == {**released, "busy": 0, "moot": 0, "dry_run": False}
    assert site.listed("--state", "ready") == ids


def test_remove(site):
    ids = site.fill(3, 2, "two-groups")
    assert site.good("queue", "remove", *ids[:2]).splitlines() == [
        f"{id}: removed (2 groups)" for id in ids[:2]
    ]
    assert site.listed() == ids[2:]
    site.good("queue", "remove", "--all")
    assert site.json("queue", "count")["groups"] == 0


def test_retry_lifts_the_backoff(site):
    ids = site.fill(3, 3, "tried", "backoff")
    site.good("queue", "retry", ids[1])
    assert site.listed("--state", "ready") == [ids[1]]
    assert site.json("queue", "count")["backing_off"] == 2
    site.good("queue", "retry", "--all")
    assert site.listed("--state", "ready") == ids
    assert site.json("queue", "count")["backing_off"] == 0


def test_retry_leaves_what_is_held(site):
    (id,) = site.fill(1, 1, "held")
    assert site.good("queue", "retry", id) == f"{id}: nothing to change\n"
    assert site.listed("--state", "held") == [id]


def test_change_many(site):
    site.fill(2000, 5)
    assert site.json("queue", "hold", "--all")["affected"] == 2000
    assert len(site.listed("--state", "held")) == 2000


def test_change_unknown(site):
    (id,) = site.fill(1, 1)
    done = site.run("queue", "remove", "0000000000001", id)
    assert done.returncode == 1
    assert "0000000000001: there is no such message" in done.stderr
    assert done.stdout == f"{id}: removed (1 group)\n"


def test_a_wrong_id_changes_nothing(site):
    (id,) = site.fill(1, 1)
    assert site.run("queue", "remove", id, "nonsense").returncode == 2
    assert site.listed() == [id]


# ---- with a daemon ------------------------------------------------------------------------------


def test_changes_go_to_the_daemon(site, daemon):
    ids = site.fill(2, 1)
    peer = daemon({"ok": True, "affected": 4})
    for verb in ("retry", "remove", "hold", "release", "bounce"):
        assert site.json("queue", verb, ids[0])["affected"] == 4
    site.good("queue", "hold", "--all")
    assert peer.asked == [
        {"command": verb, "id": ids[0]}
        for verb in ("retry", "remove", "hold", "release", "bounce")
    ] + [{"command": "ping"}, {"command": "hold", "groups": [f"{id}/0" for id in ids]}]
    assert site.listed("--state", "ready") == ids


def test_the_daemon_refuses(site, daemon):
    (id,) = site.fill(1, 1)
    daemon({"ok": False, "error": "it is being delivered"})
    done = site.run("queue", "remove", id)
    assert done.returncode == 1
    assert done.stderr == f"smarthopctl: {id}: it is being delivered\n"


@pytest.mark.parametrize("answer", [None, b"nonsense"])
def test_the_daemon_breaks_off(site, daemon, answer):
    daemon(answer)
    done = site.run("status")
    assert done.returncode == 1
    assert "its log may tell why" in done.stderr


def test_status(site, daemon):
    answer = {"ok": True, "messages": 12, "map_size": 3 << 30, "store_low": True}
    daemon(answer)
    assert site.json("status") == answer
    output = site.good("status")
    assert "Messages queued  12\n" in output
    assert "Store maximum    3.0G\n" in output
    assert "short of room" in output


def test_reload(site, daemon):
    daemon({"ok": True, "messages": ["workers needs a restart"]})
    assert site.good("reload").endswith("workers needs a restart\n")


def test_reload_refused(site, daemon):
    daemon({"ok": False, "error": "refused", "messages": ["relay.conf:1: wrong"]})
    done = site.run("reload")
    assert done.returncode == 1
    assert done.stderr == "smarthopctl: refused\nrelay.conf:1: wrong\n"


@pytest.mark.parametrize("command", [["status"], ["reload"], ["queue", "bounce", "--all"]])
def test_no_daemon(site, command):
    site.fill(1, 1)
    done = site.run(*command)
    assert done.returncode == 3
    assert "smarthopd is not running" in done.stderr


def test_a_socket_that_was_left(site):
    (id,) = site.fill(1, 1)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left:
        left.bind(str(site.control))
    assert site.run("status").returncode == 3
    site.good("queue", "remove", id)


# ---- the store, the configuration, the arguments ------------------------------------------------


def test_no_store(site):
    done = site.run("queue", "list")
    assert done.returncode == 1
    assert f"there is no store at {site.store}" in done.stderr


def test_config_check(site):
    assert site.good("config", "check") == f"{site.config}: good\n"
    bad = site.config.with_name("bad.conf")
    bad.write_text("nonsense = 1\n")
    done = site.run("config", "check", str(bad))
    assert done.returncode == 1
    assert f"{bad}:1: " in done.stderr
    done = site.run("--json", "config", "check", str(bad))
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["ok"], answer["file"]) == (1, False, str(bad))
    assert answer["messages"]


def test_config_show(site):
    text = site.good("config", "show")
    assert "mx.example.com" in text
    again = site.config.with_name("again.conf")
    again.write_text(text)
    assert site.good("config", "check", str(again)) == f"{again}: good\n"
    assert site.json("config", "show") == {"file": str(site.config), "configuration": text}


def test_bad_configuration(site):
    site.config.write_text("nonsense = 1\n")
    done = site.run("queue", "list")
    assert done.returncode == 1
    assert "-c names another" in done.stderr


def test_default_configuration(site):
    (id,) = site.fill(1, 1)
    command = [BIN / "smarthopctl", "queue", "list"]
    done = subprocess.run(
        command, cwd=site.config.parent, capture_output=True, text=True, timeout=DEADLINE
    )
    assert id in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["dance"],
        ["queue"],
        ["queue", "dance"],
        ["queue", "list", "extra"],
        ["queue", "list", "--body"],
        ["queue", "list", "--limit", "many"],
        ["queue", "list", "--state", "asleep"],
        ["queue", "list", "--nonsense"],
        ["queue", "show"],
        ["queue", "remove"],
        ["queue", "remove", "--all", "0000000000001"],
        ["queue", "remove", "--sender", "x", "0000000000001"],
        ["queue", "remove", "--all", "--sender", "x"],
        ["queue", "remove", "--dry-run", "0000000000001"],
        ["status", "--sender", "x"],
        ["status", "--all"],
    ],
)
def test_usage(site, arguments):
    done = site.run(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "smarthopctl: " in done.stderr


def test_help_and_version(site):
    assert site.good("help") == site.good("--help")
    assert "queue release" in site.good("help")
    assert re.fullmatch(r"smarthopctl \d+\.\d+\.\d+\n", site.good("version"))
    assert site.good("--version") == site.good("version")
    assert set(site.json("version")) == {"version"}


@pytest.mark.parametrize("command", [
    ("queue", "list"), ("queue", "retry", "--all"),
    ("queue", "suspend", "a.test", "--for", "1h", "--reason", "works"),
], ids=lambda words: words[1])
def test_no_store_is_made(site, command):
    """It would be root's, and the daemon could not open it."""
    done = site.run(*command)
    assert done.returncode == 1 and "there is no store at" in done.stderr
    assert not site.store.exists()


def test_help_with_a_command(site):
    assert "--limit VALUE" in site.good("queue", "ages", "--help")
    assert site.good("help", "queue", "ages") == site.good("queue", "ages", "--help")
    group = site.good("help", "queue")
    assert "queue ages" in group and "queue retry" in group and "user add" not in group
    assert "--for VALUE" in site.good("trace", "--help")
    assert site.run("help", "nonsense").returncode == 2
    assert site.run("queue", "nonsense", "--help").returncode == 2


def test_output_that_cannot_be_written(site):
    site.fill(1, 1)
    command = [BIN / "smarthopctl", "-c", site.config, "queue", "list"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=DEADLINE
        )
    assert done.returncode == 1
    assert "could not be written" in done.stderr


def test_every_command_is_in_the_manual(site):
    manual = Path(__file__).parents[2] / "docs/smarthopctl.1"
    text = manual.read_text()
    commands = re.findall(r"^  ((?:queue |config )?[a-z]+)", site.good("help"), re.MULTILINE)
    assert len(commands) >= 14
    assert [command for command in commands if command not in text] == []
