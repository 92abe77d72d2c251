"""Commands in every order: the table of order.txt as a model that sessions are held against."""
import itertools
import random
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from runner import Script, Step

TABLE = Path(__file__).resolve().parent / "order.txt"
STATES = ["new", "HELO", "EHLO", "MAIL", "RCPT", "BDAT"]
WAYS = {  # to each state, from the greeting
    "new": [], "HELO": ["HELO client.test"], "EHLO": ["EHLO client.test"],
    "MAIL": ["EHLO client.test", "MAIL FROM:<a@client.test>"],
    "RCPT": ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<a@discard.test>"],
    "BDAT": ["EHLO client.test", "MAIL FROM:<a@client.test>", "RCPT TO:<a@discard.test>",
             "BDAT 0"]}
TLS, LOG_IN = "STARTTLS", "AUTH PLAIN ${plain:user:secret}"
# What a session is besides its state, and how it gets there
KINDS = {"plain": [], "user": ["EHLO client.test", LOG_IN], "TLS": ["EHLO client.test", TLS],
         "user and TLS": ["EHLO client.test", TLS, "EHLO client.test", LOG_IN]}
SETTINGS = {"relay_networks": "{127.0.0.0/8}", "errors_max": "10000"}


@dataclass(frozen=True)
class Session:
    state: str = "new"
    base: str = "new"
    traits: frozenset = frozenset()  # "TLS", "user"


@dataclass(frozen=True)
class Cell:
    status: str
    then: str  # "" where nothing changes


def read_table():
    """(command, condition) -> state -> Cell; "" for no condition."""
    lines = [line for line in TABLE.read_text().splitlines() if not line.startswith("#")]
    rows = {}
    for line in lines[1:]:
        command, *cells, then = (part.strip() for part in line.split("|"))
        name, condition = re.fullmatch(r"(.*?)(?: \[(\w+)\])?", command).groups()
        rows[name, condition or ""] = {
            state: read_cell(cell, then) for state, cell in zip(STATES, cells, strict=True)}
    return rows


def read_cell(cell, then):
    status, _, always = (part.strip() for part in cell.partition(">"))
    if then.startswith(">"):
        always = then.removeprefix("> ")
    return Cell(status, always or (then if status[0] in "23" else ""))


ROWS = read_table()
COMMANDS = list(dict.fromkeys(command for command, _ in ROWS))


def cell_of(session, command):
    conditions = [*(trait for trait in ("TLS", "user") if trait in session.traits), session.base]
    row = next(ROWS[command, condition] for condition in [*conditions, ""]
               if (command, condition) in ROWS)
    return row[session.state]


def moved(session, command, cell):
    if command == TLS and cell.status.startswith("220"):
        return Session(traits=session.traits | {"TLS"})
    if command == LOG_IN and cell.status.startswith("235"):
        return replace(session, traits=session.traits | {"user"})
    if cell.then in ("HELO", "EHLO"):
        return replace(session, state=cell.then, base=cell.then)
    if cell.then:
        return replace(session, state=session.base if cell.then == "base" else cell.then)
    return session


def steps_of(command, cell):
    yield Step(0, "C", command)
    if command.startswith("EHLO") and cell.status == "250":
        yield Step(0, "S", "250-...")
    yield Step(0, "S", cell.status)
    if cell.status == "354":
        yield from (Step(0, "C", "."), Step(0, "S", "250 2.0.0"))
    if command == TLS and cell.status.startswith("220"):
        yield Step(0, "TLS")
    if cell.then == "end":
        yield Step(0, "WAIT-CLOSE")


def script_of(commands):
    """The model's prediction; commands behind the end are left out."""
    session, steps = Session(), [Step(0, "S", "220")]
    for number, command in enumerate(commands):
        if session.state == "end":
            break
        cell = cell_of(session, command)
        steps += [replace(step, number=number) for step in steps_of(command, cell)]
        session = moved(session, command, cell)
    return Script("order", "5321 4.1.4", "auth", SETTINGS, steps)


@pytest.mark.parametrize("first", COMMANDS)
@pytest.mark.parametrize("state", STATES)
def test_pairs(state, first, play):
    play(*(script_of([*WAYS[state], first, second]) for second in COMMANDS))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("state", STATES)
def test_kinds(state, kind, play):
    """Each command, of users and under TLS as well. A user who is new has said EHLO."""
    play(*(script_of([*KINDS[kind], *WAYS[state], command]) for command in COMMANDS))


@pytest.mark.parametrize("seed", range(10))
def test_walk(seed, play):
    """Long ones, that lead through it all; a fault is found again by its seed."""
    choice = random.Random(seed)
    lasting = [command for command in COMMANDS if command not in ("QUIT", "BDAT")]
    sound = list(itertools.chain.from_iterable(WAYS.values()))
    play(script_of(choice.choices(lasting + 4 * sound, k=300)))
