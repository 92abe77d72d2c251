"""What next hops reply, read by rules: the built-in ones, and those of a file that changes."""
import json
import os
from pathlib import Path

from support import content, report
from support.dialogue import submit
from support.process import BIN, run
from support.relay import to
from support.wait import wait_until

MESSAGE = content.message(b"hello")


def write(file, *lines):
    """As an administrator should: the file is there whole, or not at all."""
    new = file.with_name("new")
    new.write_text("".join(f"{line}\n" for line in lines))
    os.replace(new, file)


def test_built_in(start, sink):
    """Class and action of a reply that many servers give."""
    relay, _ = start("--reply-rcpt", "no@*=550 5.1.1 user unknown",
                     "--reply-rcpt", "slow@*=451 4.7.0 rate limit exceeded", retry_first="1h", retry_max="1h")
    submit(relay, MESSAGE, "no@example.test")
    assert relay.wait_log("failed")[0]["class"] == "bad-mailbox"
    sink.wait(1)
    submit(relay, MESSAGE, "slow@example.test")
    assert relay.wait_log("deferred")[0]["class"] == "throttled"
    [backs_off] = relay.wait_log("destination-backs-off")
    assert int(backs_off["seconds"]) in (599, 600)
    [queue_id] = submit(relay, MESSAGE, "ok@example.test")  # the whole site is left alone
    wait_until(lambda: [recipient["state"] for listed in relay.queue() if listed["id"] == queue_id
                        for recipient in listed["recipients"]] == ["backoff"], "the back-off")
    relay.ctl("queue", "retry", queue_id)
    assert relay.wait_log("delivered", to="ok@example.test")


def test_classes_of_what_waits(start, tmp_path):
    def grouped():
        rows = json.loads(relay.ctl("queue", "group-by", "class", "--json").stdout)
        return {row["key"]: row["messages"] for row in rows}

    rules = tmp_path / "rules"
    write(rules, '* 450 * "*full*" default mailbox-full')
    relay, _ = start("--reply-rcpt", "full@*=450 4.2.2 it is full", "--reply-rcpt",
                     "*=451 4.3.0 not now", response_rules=str(rules), retry_first="1h",
                     retry_max="1h")
    submit(relay, MESSAGE, "full@example.test", count=2)
    submit(relay, MESSAGE, "other@example.test")
    relay.wait_queued("waiting")
    assert grouped() == {"mailbox-full": 2, "-": 1}
    for which, wanted in {"builtin": {"mailbox-full": 2, "temporary": 1}, "none": {"-": 3}}.items():
        relay.keys["response_rules"] = which
        relay.write_conf()
        assert grouped() == wanted
    relay.keys["response_rules"] = str(rules)
    relay.write_conf()
    write(rules, "nonsense")
    refused = relay.ctl("queue", "group-by", "class", check=False)
    assert refused.returncode == 1 and b"six words" in refused.stderr
    assert b"class" in relay.ctl("queue", "group-by", "size", check=False).stderr


def test_file(start, sink, tmp_path):
    """Returned against its code; then, by a file that has changed, tried on."""
    rules = tmp_path / "rules"
    write(rules, '* 450 4.2.1 "*gone for good*" bounce bad-mailbox')
    relay, next_hop = start("--reply-rcpt", "*=450 4.2.1 gone for good", response_rules=str(rules))
    submit(relay, MESSAGE, "first@example.test")
    told = report.parse(sink.wait(1)[0])
    [fields] = told.recipients.values()
    assert (fields["Action"], fields["Status"]) == ("failed", "4.2.1")
    assert fields["Diagnostic-Code"] == "smtp; 450 4.2.1 gone for good"
    [failed] = relay.log("failed")
    assert (failed["to"], failed["class"]) == ("first@example.test", "bad-mailbox")

    write(rules, "* 450 * * bounce")
    assert "six words" in relay.wait_log("rules-refused")[0]["problem"]
    write(rules, "* 5xx * * retry patience", "* 4xx * * default temporary")
    assert relay.wait_log("rules-loaded")[0]["rules"] == "2"
    submit(relay, MESSAGE, "second@example.test")
    relay.wait_log("deferred", to="second@example.test", **{"class": "temporary"})
    next_hop.stop()
    next_hop.options[:] = ["--reply-rcpt", "*=550 5.7.1 not today"]
    next_hop.start()
    relay.wait_log("deferred", to="second@example.test", **{"class": "patience"}, code="550")
    next_hop.stop()
    next_hop.options.clear()
    next_hop.start()
    relay.wait_empty()
    relay.stop()
    assert next_hop.recipients() == ["second@example.test"]
    assert len(sink.messages()) == 1


def test_next_host(start_relay, start_sink):
    """The first host sends us elsewhere: the second one gets it at once."""
    first = start_sink("--reply-rcpt", "*=550 5.7.1 too many of yours here, go elsewhere")
    second = start_sink()
    rules = Path(first.folder) / "rules"
    write(rules, '* * * "*elsewhere*" next-host throttled')
    relay = start_relay(routes={"*": to(first, second)}, response_rules=str(rules),
                        retry_first="1h", retry_max="1h")
    submit(relay, MESSAGE, "to@example.test", count=3)
    second.wait(3)
    relay.wait_empty()
    assert not relay.log("failed") and not first.messages()


def test_check(start_relay, tmp_path):
    """-t reads the file, and a reload with a broken one changes nothing."""
    rules = tmp_path / "rules"
    write(rules, "* 4xx * * default temporary")
    relay = start_relay(routes={"*": {"discard": True}}, response_rules=str(rules))
    assert run(BIN / "smarthopd", "-t", "-c", relay.conf_path).returncode == 0
    write(rules, "* 4xx * * back-off temporary")
    refused = run(BIN / "smarthopd", "-t", "-c", relay.conf_path, check=False)
    assert refused.returncode != 0
    assert f"{rules}:1: \"back-off\" is no action".encode() in refused.stderr
    assert relay.ctl("reload", check=False).returncode != 0
    relay.keys["response_rules"] = "none"
    relay.reload()
