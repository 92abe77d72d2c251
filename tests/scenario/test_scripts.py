"""Every script, and that none of them passes whatever the server says."""
from dataclasses import replace
from pathlib import Path

import pytest
from runner import REPLY, Step, Wrong, parse

FOLDER = Path(__file__).resolve().parent / "scripts"
SCRIPTS = {str(path.relative_to(FOLDER).with_suffix("")): path.read_text()
           for path in sorted(FOLDER.glob("*/*.txt"))}


def falsified(script):
    """Its last expectation is another one; one more where it has none."""
    steps = list(script.steps)
    at = max((at for at, step in enumerate(steps) if step.op == "S"), default=None)
    if at is None:
        return replace(script, steps=[*steps[:-1], Step(0, "S", "299"), steps[-1]])
    code = REPLY.fullmatch(steps[at].argument)["code"]
    other = ("3" if code[0] != "3" else "2") + steps[at].argument[1:]
    steps[at] = replace(steps[at], argument=other)
    return replace(script, steps=steps)


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_script(text, play):
    play(parse(text))


@pytest.mark.parametrize("text", SCRIPTS.values(), ids=SCRIPTS)
def test_script_can_fail(text, play):
    script = falsified(parse(text))
    with pytest.raises(Wrong):
        play(script)
