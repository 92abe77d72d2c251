"""Fixtures: factories whose products are stopped, and checked, when the test ends."""
import ssl
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "support"))

from fake_dns import FakeDns  # noqa: E402  (the scripted name server of tests/support)
from support import certificates  # noqa: E402
from support.drop import Drop  # noqa: E402
from support.relay import Relay, to  # noqa: E402
from support.reporting import RELAYS, add_logs  # noqa: E402
from support.sink import PostfixSink, Sink  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    add_logs(item, call, (yield).get_result())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """The relay's."""
    return certificates.make(tmp_path_factory.mktemp("tls"), "relay", "DNS:relay.test",
                             "DNS:localhost", "IP:127.0.0.1")


@pytest.fixture(scope="session")
def trusting(certificate):
    """A client's TLS context that takes the relay's certificate, and no other."""
    return ssl.create_default_context(cafile=certificate.certificate)


@pytest.fixture
def start_relay(request):
    """start_relay(...) is Relay(...).start()."""
    relays = request.node.stash.setdefault(RELAYS, [])

    def start(**options):
        relays.append(Relay(**options))
        return relays[-1].start()

    yield start
    try:
        for relay in relays:
            if relay.is_running():
                relay.stop()
    finally:
        for relay in relays:
            if relay.is_running():
                relay.kill()
            relay.dispose()


def sink_factory(tmp_path, kind):
    """A fixture's body for this kind of sink."""
    sinks = []

    def start(*options, **named):
        sinks.append(kind(tmp_path / f"{kind.__name__}-{len(sinks)}", *options, **named))
        return sinks[-1].start()

    yield start
    for sink in sinks:
        sink.stop()


@pytest.fixture
def start_sink(tmp_path):
    """start_sink(...) is Sink(...).start()."""
    yield from sink_factory(tmp_path, Sink)


@pytest.fixture
def start_postfix_sink(tmp_path):
    yield from sink_factory(tmp_path, PostfixSink)


@pytest.fixture
def sink(start_sink):
    return start_sink()


@pytest.fixture
def start(start_relay, start_sink, sink):
    """
    start(*options, **keys): a relay with these keys that sends all mail to a sink with these
    options, but that for client.test, whose senders are told of it, to `sink`. Returns both.
    """
    def start_both(*options, **keys):
        next_hop = start_sink(*options)
        return start_relay(routes={"client.test": to(sink), "*": to(next_hop)}, **keys), next_hop
    return start_both


@pytest.fixture
def dns():
    with FakeDns() as server:
        yield server


@pytest.fixture
def start_drop(start_relay, certificate, trusting, tmp_path):
    """start_drop(...) is Drop(...), started."""
    def start(**options):
        return Drop(start_relay, certificate, trusting, tmp_path, **options)
    return start
