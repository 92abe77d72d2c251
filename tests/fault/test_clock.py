"""A wall clock that jumps: waiting mail is tried again in its normal interval."""

import time

import pytest

from faults import Faults
from relay_harness import Sink, send_message, simple_message, wait_until

HOUR = 3600
RETRY_S = 2
PATIENCE_S = 4 * RETRY_S
EXPIRED_LATER = {"retry_first": f"{RETRY_S}s", "expire_after": "5d"}


@pytest.fixture
def faults(tmp_path):
    return Faults(tmp_path / "faults")


@pytest.fixture
def waiting(make_sink, make_relay, faults, request):
    """A relay with one message that its next hop has deferred once."""
    sink = make_sink("--reply-mail", "451 4.3.0 later")
    relay = make_relay(sink.port, env=faults.env, **EXPIRED_LATER, retry_max=request.param)
    relay.start()
    assert send_message(relay.port, simple_message("waiting"))[0] == 250
    relay.await_event("deferred", 5)
    sink.stop()
    return relay


def seconds_until_delivered(relay, started, folder):
    sink = Sink(folder / "late-sink", port=relay.hop_port)
    started.append(sink)
    sink.start()
    began = time.monotonic()
    wait_until(sink.messages, PATIENCE_S, "the delivery of the waiting message")
    return time.monotonic() - began


@pytest.mark.parametrize("hours", [-2, 2])
@pytest.mark.parametrize("waiting", ["2s"], indirect=True)
def test_clock_jumps_while_running(waiting, faults, started, tmp_path, figure, hours):
    faults.shift_clock(hours * HOUR)
    figure("delivered after, s", f"{seconds_until_delivered(waiting, started, tmp_path):.2f}")
    assert waiting.queued() == 0


@pytest.mark.parametrize("hours", [-2, 2])
@pytest.mark.parametrize("waiting", ["2s", "1h", "4h"], indirect=True)
def test_clock_jumps_across_a_restart(waiting, faults, started, tmp_path, figure, hours):
    waiting.kill()
    faults.shift_clock(hours * HOUR)
    waiting.start()
    figure("delivered after, s", f"{seconds_until_delivered(waiting, started, tmp_path):.2f}")
    assert waiting.queued() == 0


@pytest.mark.parametrize("waiting", ["2s"], indirect=True)
def test_mail_accepted_before_and_after_a_step_back(waiting, faults, started, tmp_path):
    """Ids stay unique and in order though the clock says otherwise."""
    waiting.kill()
    faults.shift_clock(-2 * HOUR)
    waiting.start()
    code, text = send_message(waiting.port, simple_message("later"))
    assert code == 250
    later = text.rpartition(" ")[2]
    assert later > waiting.events("accepted")[0]["id"]
    seconds_until_delivered(waiting, started, tmp_path)
    wait_until(lambda: waiting.queued() == 0, PATIENCE_S, "both delivered")
