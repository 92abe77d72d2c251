"""Runs of `smarthopctl plugin test`, and what they tell."""

import json
import subprocess

from support.process import BIN, PATIENCE_S

GOOD, MISBEHAVED, USAGE = 0, 1, 2
LIBRARIES = BIN.parent / "lib"
BUNDLED = LIBRARIES / "smarthop"


def ctl(*arguments):
    return subprocess.run([str(BIN / "smarthopctl"), *map(str, arguments)], capture_output=True,
                          text=True, timeout=PATIENCE_S, check=False)


def trial(plugin, *arguments, to="ann@example.net", code=GOOD):
    """The records of a run that ends so."""
    done = ctl("--json", "plugin", "test", plugin, "--to", to, *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def of_kind(records, kind):
    return [record for record in records if record["record"] == kind]


def routes(records):
    return [record for record in of_kind(records, "decision") if record["hook"] == "route"]


def route(records):
    return routes(records)[-1]


def problems(records):
    return [record["text"] for record in of_kind(records, "problem")]
