"""One certificate and one set of relays for all scripts."""
import ssl
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(TESTS / folder) for folder in ("scenario", "integration", "support")]

from profiles import Relays  # noqa: E402
from runner import Player  # noqa: E402
from support import certificates  # noqa: E402
from support.reporting import RELAYS, add_logs  # noqa: E402


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    add_logs(item, call, (yield).get_result())


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    return certificates.make(tmp_path_factory.mktemp("tls"), "relay", "DNS:relay.test")


@pytest.fixture(scope="session")
def relays(certificate):
    with Relays(certificate) as relays:
        yield relays
        relays.stop()


@pytest.fixture
def play(request, relays, certificate):
    """play(script, ...): all with the profile and settings of the first."""
    context = ssl.create_default_context(cafile=certificate.certificate)

    def play_scripts(*scripts):
        relay, target = relays.of(scripts[0])
        request.node.stash.setdefault(RELAYS, []).append(relay)
        Player(relay, target, context).play(*scripts)
    return play_scripts
