#!/usr/bin/env python3
"""The interface of plugins stays what it was: sizes, offsets, values.

A program made from the header prints them, and they are compared with those of version 1.0. Where a
structure tells its own size, fields may have been appended; enums may have gained values. All else
breaks plugins that are out there, and fails. The check first proves on planted changes that it
would see one.

    check.py HEADER DUMP CC        compares
    check.py --dump HEADER CC      prints, for a dump of a new version
"""

import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent / "scripts"))
from plugin_header import enums, structs  # noqa: E402

# Structures that tell their size elsewhere than in a field `size`.
SIZED_ELSEWHERE = {"smarthop_option"}  # option_size
COUNTS = {"SMARTHOP_HOOKS", "SMARTHOP_ACTIONS"}  # how many there are: they may grow


class Layout(NamedTuple):
    sizes: dict[str, int]
    fields: dict[str, list[tuple[str, ...]]]  # of each structure: name, offset, size, declaration
    values: dict[str, int]


def program(text: str, header: Path) -> str:
    """Prints a layout, one line for each thing."""
    lines = []
    for struct in structs(text):
        what = f"struct {struct.name}"
        lines.append(f'printf("struct {struct.name} %zu\\n", sizeof({what}));')
        for field in struct.fields:
            lines.append(f'printf("field {struct.name} {field.name} %zu %zu {field.declaration}\\n", '
                         f"offsetof({what}, {field.name}), sizeof((({what} *)0)->{field.name}));")
    for enum in enums(text):
        lines += [f'printf("value {value.name} %d\\n", (int){value.name});' for value in enum.values]
    body = "\n".join("    " + line for line in lines)
    return f'#include "{header}"\n#include <stdio.h>\nint main(void)\n{{\n{body}\n}}\n'


def dump(text: str, compiler: str) -> str:
    with tempfile.TemporaryDirectory() as folder:
        header = Path(folder) / "smarthop_plugin.h"
        source, binary = Path(folder) / "dump.c", Path(folder) / "dump"
        header.write_text(text)
        source.write_text(program(text, header))
        subprocess.run([compiler, "-std=c99", "-o", binary, source], check=True)
        return subprocess.run([binary], check=True, capture_output=True, text=True).stdout


def layout(text: str) -> Layout:
    found = Layout({}, {}, {})
    for line in text.splitlines():
        kind, name, *rest = line.split(" ", 5)
        if kind == "struct":
            found.sizes[name] = int(rest[0])
        elif kind == "field":
            found.fields.setdefault(name, []).append(tuple(rest))
        else:
            found.values[name] = int(rest[0])
    return found


def may_grow(name: str, fields: list[tuple[str, ...]]) -> bool:
    return name in SIZED_ELSEWHERE or any(field[0] == "size" for field in fields)


def problems(old: Layout, new: Layout) -> list[str]:
    found = []
    for name, fields in old.fields.items():
        now = new.fields.get(name, [])
        for was, field in zip(fields, now):
            if was != field:
                found.append(f"struct {name}: {' '.join(was)} has become {' '.join(field)}")
        if len(now) < len(fields):
            found.append(f"struct {name}: {fields[len(now)][0]} is gone")
        grew = len(now) > len(fields) or new.sizes.get(name) != old.sizes[name]
        if grew and not found and not may_grow(name, fields):
            found.append(f"struct {name} has grown, and nobody would be told its size")
    for name, value in old.values.items():
        now = new.values.get(name)
        if now != value and not (name in COUNTS and now is not None and now > value):
            found.append(f"{name} was {value} and is {now}")
    return found


# A pattern in the header, what it becomes, and whether that is allowed.
PLANTED = (
    (r"(    uint64_t total_ms;\n)", r"\1    uint64_t more_ms;\n", True),
    (r"(    const char \*help;\n)(\};)", r"\1    const char *unit;\n\2", True),
    (r"    SMARTHOP_HOOKS,", "    SMARTHOP_ON_QUIT,\n    SMARTHOP_HOOKS,", True),
    (r"(    uint64_t connect_ms;\n)", r"    uint64_t before_ms;\n\1", False),
    (r"    uint64_t data_ms;\n", "", False),
    (r"    uint64_t data_ms;\n", "    uint64_t body_ms;\n", False),
    (r"    uint64_t data_ms;\n", "    int64_t data_ms;\n", False),
    (r"    uint32_t weight;  ", "    uint32_t weight; uint64_t more;  ", False),
    (r"    SMARTHOP_DEFERRED,", "    SMARTHOP_LATER,\n    SMARTHOP_DEFERRED,", False),
    (r"SMARTHOP_EDITS_MAX = 256", "SMARTHOP_EDITS_MAX = 16", False),
    (r"\(\*random\)\(struct smarthop_self \*self, ", "(*random)(", False),
)


def prove(text: str, compiler: str) -> None:
    now = layout(dump(text, compiler))
    assert not problems(now, now)
    for pattern, change, allowed in PLANTED:
        changed, count = re.subn(pattern, change, text, count=1)
        assert count == 1, pattern
        found = problems(now, layout(dump(changed, compiler)))
        if bool(found) == allowed:
            sys.exit(f"check.py does not work: {change!r} gives {found}")


def main() -> int:
    if sys.argv[1] == "--dump":
        print(dump(Path(sys.argv[2]).read_text(), sys.argv[3]), end="")
        return 0
    text, compiler = Path(sys.argv[1]).read_text(), sys.argv[3]
    prove(text, compiler)
    found = problems(layout(Path(sys.argv[2]).read_text()), layout(dump(text, compiler)))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
