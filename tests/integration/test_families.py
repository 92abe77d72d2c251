"""A host with an IPv6 and an IPv4 address, of which one does not answer."""
import socket
from contextlib import closing

import pytest
from support import content
from support.dialogue import submit

MESSAGE = content.message(b"hello")
HOST = {"example.test": ["MX 60 10 both.test"],
        "both.test": ["AAAA 60 ::1", "A 60 127.0.0.2"]}


@pytest.fixture
def sink(start_sink):
    return start_sink(host="127.0.0.2")


@pytest.fixture
def silent(sink):
    """At the same port of ::1: its queue of connections is full, so that nobody hears anything."""
    with closing(socket.socket(socket.AF_INET6)) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("::1", sink.port))
        listener.listen(0)
        fillers = [socket.socket(socket.AF_INET6) for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("::1", sink.port))
        yield listener
        for filler in fillers:
            filler.close()


@pytest.fixture(params=["mx", "ordered", "weighted", "sticky-tenant"])
def start(request, start_relay, sink, dns):
    def start_with(**keys):
        dns.records |= HOST
        way = {"hosts": f"both.test:{sink.port}", "balance": request.param}
        if request.param == "mx":
            way = {"use_mx": True, "port": sink.port}
        return start_relay(routes={"*": {**way, "tls": "none"}}, dns_servers=[dns.address],
                           connect_timeout="10m", **keys)
    return start_with


def deliver(relay, sink):
    submit(relay, MESSAGE, "to@example.test", count=5)
    sink.wait(5)
    relay.wait_empty()
    assert not relay.log("host-down") and not relay.log("destination-backs-off")
    relay.stop()


def test_one_is_silent(start, sink, silent):
    deliver(start(), sink)


def test_both_count_once(start, sink, silent):
    deliver(start(connections_per_destination=1), sink)


def test_one_refuses(start, sink):
    deliver(start(connect_attempt_delay="10s"), sink)


def test_off(start, sink):
    """Then each counts by itself."""
    relay = start(connect_attempt_delay="0")
    submit(relay, MESSAGE, "to@example.test")
    sink.wait(1)
    relay.wait_empty()
    assert relay.wait_log("host-down")
    relay.stop()
