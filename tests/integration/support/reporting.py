"""What a failed test shows besides its assertion."""

import pytest

RELAYS = pytest.StashKey()  # in an item's stash: the relays that its test uses
LOG_TAIL = 20000


def add_logs(item, call, report):
    """A failure shows what the daemons logged last."""
    if report.failed and call.when == "call":
        for relay in item.stash.get(RELAYS, []):
            report.sections.append((f"log of {relay.folder}", relay.log_text()[-LOG_TAIL:]))
