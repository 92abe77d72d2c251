"""The one place where a test waits for something that happens elsewhere."""
import time

PATIENCE_S = 20
INTERVAL_S = 0.01


def wait_until(condition, what, timeout=PATIENCE_S):
    """Returns what `condition` gives as soon as that is true; fails after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while not (result := condition()):
        assert time.monotonic() < deadline, f"waited {timeout} s in vain for {what}"
        time.sleep(INTERVAL_S)
    return result
