#!/usr/bin/env python3
"""What plugins/smarthop_plugin.h declares: its structures with their fields, its enums.

    plugin_header.py HEADER FILE.md           brings the reference at the end of FILE.md up to date
    plugin_header.py --check HEADER FILE.md   fails where it is not
"""

import re
import sys
from pathlib import Path
from typing import NamedTuple

COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
STRUCT = re.compile(r"^struct (\w+) \{\n(.*?)^\};", re.DOTALL | re.MULTILINE)
ENUM = re.compile(r"^enum(?: (\w+))? \{(.*?)\};", re.DOTALL | re.MULTILINE)
FIELD_NAME = re.compile(r"\(\*(\w+)\)|(\w+)(?:\[\w+\])?$")
ABOVE = re.compile(r"/\*(?:(?!\*/).)*\*/\n$", re.DOTALL)
START, END = "<!-- reference: made by scripts/generate.sh -->", "<!-- end of the reference -->"


class Field(NamedTuple):
    name: str
    declaration: str  # in one line, without its comment
    comment: str


class Struct(NamedTuple):
    name: str
    fields: tuple[Field, ...]
    comment: str


class Enum(NamedTuple):
    name: str  # empty: it has none
    values: tuple[Field, ...]
    comment: str


def one_line(text: str) -> str:
    return " ".join(text.split())


def comment_text(comment: str) -> str:
    """What is between its ends, without the stars that begin lines."""
    return one_line(re.sub(r"^\s*\*", "", comment[2:-2], flags=re.MULTILINE))


def above(text: str, at: int) -> str:
    """The comment that ends in the line before a declaration begins."""
    found = ABOVE.search(text, 0, at)
    return comment_text(found[0].rstrip()) if found else ""


def pieces(body: str, separator: str) -> list[tuple[str, str]]:
    """Declarations, each with its comments: those before it, and those behind it in its line."""
    found, text, comment = [], "", ""
    for token in re.findall(r"/\*.*?\*/|[^/]+|/", body, re.DOTALL):
        if token.startswith("/*"):
            if not text.strip() and found and not comment and "\n" not in text:
                found[-1][1] += " " + comment_text(token)
            else:
                comment += " " + comment_text(token)
            continue
        parts = token.split(separator)
        for part in parts[:-1]:
            found.append([one_line(text + part), comment.strip()])
            text, comment = "", ""
        text += parts[-1]
    if text.strip():
        found.append([one_line(text), comment.strip()])
    return [(text, one_line(comment)) for text, comment in found]


def field_name(declaration: str) -> str:
    match = FIELD_NAME.search(declaration)
    assert match, declaration
    return match[1] or match[2]


def structs(text: str) -> list[Struct]:
    return [
        Struct(
            match[1],
            tuple(Field(field_name(d), d, c) for d, c in pieces(match[2], ";")),
            above(text, match.start()),
        )
        for match in STRUCT.finditer(text)
    ]


def enums(text: str) -> list[Enum]:
    return [
        Enum(
            match[1] or "",
            tuple(Field(d.split()[0], d, c) for d, c in pieces(match[2], ",")),
            above(text, match.start()),
        )
        for match in ENUM.finditer(text)
    ]


# ---- the reference ------------------------------------------------------------------------------


def rows(fields: tuple[Field, ...]) -> str:
    return "".join(
        f"- `{field.declaration}`" + (f" - {field.comment}" if field.comment else "") + "\n"
        for field in fields
    )


def reference(text: str) -> str:
    parts = [START, "\n"]
    for struct in structs(text):
        parts += [f"\n### struct {struct.name}\n\n", struct.comment + "\n\n" * bool(struct.comment)]
        parts.append(rows(struct.fields))
    for enum in enums(text):
        parts += [f"\n### enum {enum.name or '(limits)'}\n\n", enum.comment + "\n\n" * bool(enum.comment)]
        parts.append(rows(enum.values))
    return "".join(parts) + "\n" + END


def replaced(document: str, text: str) -> str:
    before, rest = document.split(START)
    return before + reference(text) + rest.split(END)[1]


def main() -> int:
    header, document = Path(sys.argv[-2]), Path(sys.argv[-1])
    old = document.read_text()
    new = replaced(old, header.read_text())
    if sys.argv[1] != "--check":
        document.write_text(new)
    elif new != old:
        print(f"{document} is not what the header says; scripts/generate.sh brings it up to date")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
