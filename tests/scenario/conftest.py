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
def pairs(tmp_path_factory):
    """Self-signed certificates: the relay's, that of the user `user`, and one of nobody."""
    folder = tmp_path_factory.mktemp("tls")
    return {name: certificates.make(folder, name, f"DNS:{name}.test")
            for name in ("relay", "user", "nobody")}


@pytest.fixture(scope="session")
def relays(pairs):
    with Relays(pairs["relay"], certificates.fingerprint(pairs["user"])) as relays:
        yield relays
        relays.stop()


@pytest.fixture(scope="session")
def contexts(pairs):
    """What a client's TLS goes by: the name of the certificate that it shows, "" for none."""
    made = {name: ssl.create_default_context(cafile=pairs["relay"].certificate)
            for name in ("", "user", "nobody")}
    for name in ("user", "nobody"):
        made[name].load_cert_chain(pairs[name].certificate, pairs[name].key)
    return made


@pytest.fixture
def play(request, relays, contexts):
    """play(script, ...): all with the profile and settings of the first."""
    def play_scripts(*scripts):
        relay, target = relays.of(scripts[0])
        request.node.stash.setdefault(RELAYS, []).append(relay)
        Player(relay, target, contexts).play(*scripts)
    return play_scripts
