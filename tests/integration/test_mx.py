"""Routing by MX records, with a name server that says what the test wants."""
import time

import pytest
from support import content, report
from support.dialogue import submit
from support.relay import to

MESSAGE = content.message(b"hello")
A, B = "127.0.0.2", "127.0.0.3"
HOSTS = {"a.test": [f"A 60 {A}"], "b.test": [f"A 60 {B}"]}


@pytest.fixture
def sinks(start_sink):
    """Two hosts with one port, as MX hosts have."""
    first = start_sink(host=A)
    return {"a.test": first, "b.test": start_sink(host=B, port=first.port)}


@pytest.fixture
def start(start_relay, sinks, sink, dns):
    """All mail by MX but that of client.test, which goes to `sink`."""
    def start_with(records, **keys):
        dns.records |= {**HOSTS, **records}
        by_mx = {"use_mx": True, "port": sinks["a.test"].port, "tls": "none"}
        return start_relay(routes={"client.test": to(sink), "*": by_mx},
                           dns_servers=[dns.address], **keys)
    return start_with


# (the records of example.test and others, the host that gets the mail)
DELIVERED = {
    "preference": ({"example.test": ["MX 60 20 b.test", "MX 60 10 a.test"]}, "a.test"),
    "preference the other way round": (
        {"example.test": ["MX 60 20 a.test", "MX 60 10 b.test"]}, "b.test"),
    "implicit MX": ({"example.test": [f"A 60 {B}"]}, "b.test"),
    "no address record counts beside an MX": (
        {"example.test": [f"A 60 {A}", "MX 60 10 b.test"]}, "b.test"),
    "alias": ({"example.test": ["CNAME 60 real.test"], "real.test": ["MX 60 10 b.test"]}, "b.test"),
    "a host without address": (
        {"example.test": ["MX 60 10 none.test", "MX 60 20 b.test"], "none.test": ["A !nodata 60"]},
        "b.test"),
    "a host whose name server fails": (
        {"example.test": ["MX 60 10 broken.test", "MX 60 20 b.test"],
         "broken.test": ["* !servfail"]}, "b.test"),
    "nobody at the first": (
        {"example.test": ["MX 60 10 nobody.test", "MX 60 20 b.test"],
         "nobody.test": ["A 60 127.0.0.4"]}, "b.test"),
    "one of two addresses": ({"example.test": ["MX 60 10 two.test"],
                              "two.test": ["A 60 127.0.0.4", f"A 60 {B}"]}, "b.test"),
    "truncated over UDP": ({"example.test": ["MX !truncated", "MX 60 10 b.test"]}, "b.test"),
}


@pytest.mark.parametrize("records, host", DELIVERED.values(), ids=DELIVERED)
def test_delivered(records, host, start, sinks):
    relay = start(records, retry_first="1m", retry_max="1m")
    submit(relay, MESSAGE, "to@example.test", count=5)
    for message in sinks[host].wait(5):
        content.assert_relayed(message.content, MESSAGE)
    relay.wait_empty()
    relay.stop()
    assert [len(sinks[name].messages()) for name in sinks if name != host] == [0]


# (the records of example.test, the status)
BOUNCED = {
    "null MX": ({"example.test": ["MX 60 0 ."]}, "5.1.10"),
    "no such domain": ({}, "5.1.2"),
    "no such host": ({"example.test": ["MX 60 10 gone.test"]}, "5.4.4"),
    "neither MX nor address": ({"example.test": ["TXT 60 x"]}, "5.4.4"),
}


@pytest.mark.parametrize("records, status", BOUNCED.values(), ids=BOUNCED)
def test_bounced(records, status, start, sink):
    relay = start(records)
    submit(relay, MESSAGE, "to@example.test")
    told = report.parse(sink.wait(1)[0])
    fields = told.recipients["to@example.test"]
    assert (fields["Action"], fields["Status"]) == ("failed", status)
    assert fields["Diagnostic-Code"].startswith("x-smarthop; ") and "Remote-MTA" not in fields
    relay.wait_empty()


# What the name server does until it is well.
ILLNESSES = {"fails": ["* !servfail"], "is silent": ["* !silent"], "refuses": ["* !refused"],
             "talks nonsense": ["* !malformed"]}


@pytest.mark.parametrize("illness", ILLNESSES.values(), ids=ILLNESSES)
def test_name_server_ill(illness, start, sinks, sink, dns):
    """Mail waits, saying why, and nobody else's mail does."""
    relay = start({"example.test": illness, "other.test": ["MX 60 10 a.test"]},
                  dns_timeout="200ms", dns_tries=1)
    submit(relay, MESSAGE, "to@example.test")
    submit(relay, MESSAGE, "to@other.test")
    assert sinks["a.test"].wait(1)
    relay.wait_log("destination-backs-off", count=2)
    [listed] = relay.wait_queued("backoff")
    assert "4.4.3" in listed["reason"]
    dns.records["example.test"] = ["MX 60 10 b.test"]
    assert sinks["b.test"].wait(1)
    relay.wait_empty()
    assert not sink.messages()


def test_all_hosts_down(start, sinks, dns):
    relay = start({"example.test": ["MX 60 10 a.test", "MX 60 20 b.test"]})
    for host in sinks.values():
        host.stop()
    submit(relay, MESSAGE, "to@example.test")
    relay.wait_log("destination-backs-off")
    sinks["b.test"].start()
    assert sinks["b.test"].wait(1)
    assert dns.count("example.test", "MX") == 1  # asked once, then remembered


def test_a_host_that_is_found_later(start_relay, sinks, dns):
    """The one that is known is down."""
    dns.records["b.test"] = ["* !servfail"]
    port = sinks["b.test"].port
    relay = start_relay(
        routes={"*": {"hosts": [f"[127.0.0.4]:{port}", f"b.test:{port}"], "tls": "none"}},
        dns_servers=[dns.address])
    submit(relay, MESSAGE, "to@example.test")
    relay.wait_log("destination-backs-off")
    dns.records |= HOSTS
    assert sinks["b.test"].wait(1)
    relay.stop()


def test_answers_without_a_lifetime(start, sinks, dns):
    """They hold for a moment, or each message would ask many times: for each there may be a
    destination of its own."""
    began = time.monotonic()
    relay = start({"example.test": ["MX 0 10 zero.test"], "zero.test": [f"A 0 {B}"]})
    submit(relay, MESSAGE, "to@example.test", count=10)
    assert sinks["b.test"].wait(10)
    relay.wait_empty()
    relay.stop()
    assert dns.count("example.test", "MX") <= 10 + time.monotonic() - began


def listening(start_relay, address, dns, **keys):
    """A relay that knows its port, at which it takes MX hosts to be."""
    relay = start_relay(dns_servers=[dns.address], connect_timeout="200ms",
                        listeners={"smtp": {"address": f"{address}:0", "tls": "none"}}, **keys)
    relay.sections["route"]["*"] = {"use_mx": True, "port": relay.port, "tls": "none"}
    relay.sections["listener"]["smtp"]["address"] = f"{address}:{relay.port}"
    relay.ports.clear()
    relay.write_conf()
    return relay.restart()


def test_ourselves(start_relay, start_sink, sink, dns):
    """Only hosts before this relay are used (RFC 5321 5.1), whether they serve or not."""
    dns.records |= HOSTS | {"us.test": ["A 60 127.0.0.1"],
                            "last.test": ["MX 60 10 b.test", "MX 60 20 us.test", "MX 60 30 a.test"],
                            "first.test": ["MX 60 10 us.test", "MX 60 20 b.test"],
                            "implicit.test": ["A 60 127.0.0.1"]}
    relay = listening(start_relay, "127.0.0.1", dns, routes={"client.test": to(sink)})
    start_sink(host=A, port=relay.port)
    second = start_sink(host=B, port=relay.port)
    submit(relay, MESSAGE, "to@last.test")
    assert second.wait(1)
    second.stop()
    submit(relay, MESSAGE, "to@last.test")
    relay.wait_log("destination-backs-off", count=2)
    submit(relay, MESSAGE, "to@first.test", "to@implicit.test")
    for record in relay.wait_log("failed", count=2):
        assert (record["code"], record["dsn"], record["by"]) == ("554", "5.4.6", ""), record
    relay.stop()
    assert len(relay.log("accepted")) == 3


def test_ourselves_at_any_address(start_relay, sink, dns):
    dns.records |= {"us.test": ["A 60 127.0.0.7"], "elsewhere.test": ["A 60 192.0.2.1"]}
    relay = listening(start_relay, "0.0.0.0", dns, routes={"client.test": to(sink)})
    submit(relay, MESSAGE, "to@elsewhere.test")
    relay.wait_log("destination-backs-off")
    submit(relay, MESSAGE, "to@us.test")
    relay.wait_log("failed", dsn="5.4.6")
    relay.stop()
    assert len(relay.log("failed")) == 1 and len(relay.log("accepted")) == 2


def test_address_literal(start, sinks):
    relay = start({})
    submit(relay, MESSAGE, f"to@[{B}]")
    assert sinks["b.test"].wait(1)
