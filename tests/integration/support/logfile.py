"""Smarthop's log: one event a line, key=value."""
import re

LINE = re.compile(r"(?P<time>\S+) (?P<level>error|warn|info|debug) (?P<event>[\w-]+)(?P<rest>.*)")
PAIR = re.compile(r' (\w+)=("(?:[^"\\]|\\.)*"|\S*)')
ESCAPE = re.compile(r"\\(x[0-9a-f]{2}|.)")


def _unescape(match):
    text = match.group(1)
    return chr(int(text[1:], 16)) if len(text) == 3 else text


def parse_line(line):
    """Its keys and values, besides `time`, `level` and `event`. Nothing else may be in it."""
    head = LINE.fullmatch(line)
    assert head, f"no log line: {line!r}"
    assert not PAIR.sub("", head["rest"]), f"not key=value: {line!r}"
    record = {key: head[key] for key in ("time", "level", "event")}
    for key, value in PAIR.findall(head["rest"]):
        record[key] = ESCAPE.sub(_unescape, value[1:-1]) if value.startswith('"') else value
    return record


def parse(text):
    """All whole lines."""
    return [parse_line(line) for line in text[:text.rfind("\n") + 1].splitlines()]


def select(records, event, **fields):
    return [record for record in records if record["event"] == event and
            all(record.get(key) == value for key, value in fields.items())]
