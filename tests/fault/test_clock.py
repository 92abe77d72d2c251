"""A wall clock that jumps: waiting mail is tried again in its normal interval."""

import time

import pytest

from faults import Faults
from rig import simple_message

HOUR = 3600
RETRY_S = 2
PATIENCE_S = 15 * RETRY_S
LATE_S = 20


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def waiting(make_sink, make_relay, faults, request):
    """A relay with one message that its next hop, now down, has deferred once. The parameter is
    the longest wait between two tries."""
    sink = make_sink("--reply-mail", "451 4.3.0 later")
    relay = make_relay(sink.port, environment=faults.environment, retry_first=f"{RETRY_S}s",
                       retry_max=request.param).start()
    assert relay.send(simple_message("waiting")).code == 250
    relay.wait_log("deferred")
    sink.stop()
    return relay


def seconds_until_delivered(relay, make_sink):
    sink = make_sink(port=relay.hop_port)
    began = time.monotonic()
    sink.wait(1, PATIENCE_S)
    seconds = time.monotonic() - began
    relay.drain(PATIENCE_S)
    return seconds


@pytest.mark.parametrize("hours", [-2, 2])
@pytest.mark.parametrize("waiting", ["2s"], indirect=True)
def test_clock_jumps_while_running(waiting, faults, make_sink, hold, hours):
    faults.shift_clock(hours * HOUR)
    hold(12, f"clock set by {hours:+} h: seconds until delivered",
         round(seconds_until_delivered(waiting, make_sink), 2), LATE_S)


@pytest.mark.parametrize("hours", [-2, 2])
@pytest.mark.parametrize("waiting", ["2s", "1h"], indirect=True)
def test_clock_jumps_across_a_restart(waiting, faults, make_sink, hold, hours):
    waiting.kill()
    faults.shift_clock(hours * HOUR)
    waiting.start()
    hold(12, f"clock set by {hours:+} h across a restart: seconds until delivered",
         round(seconds_until_delivered(waiting, make_sink), 2), LATE_S)


@pytest.mark.parametrize("waiting", ["2s"], indirect=True)
def test_ids_stay_in_order_over_a_step_back(waiting, faults, make_sink):
    before = waiting.log("accepted")[0]["id"]
    waiting.kill()
    faults.shift_clock(-2 * HOUR)
    waiting.start()
    reply = waiting.send(simple_message("later"))
    assert reply.code == 250
    assert reply.text.split()[-1] > before
    sink = make_sink(port=waiting.hop_port)
    sink.wait(2, PATIENCE_S)
