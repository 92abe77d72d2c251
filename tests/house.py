#!/usr/bin/env python3
"""House rules that a machine can see. Each violation is told as file:line.

    house.py format|size|todo|calls ROOT
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Callable

FOLDERS = ("relay", "resolver", "queue", "sendmail", "plugins", "tests")
SCRIPTS = (".py", ".sh", ".cmake")
LINES_MAX = 700

TODO = re.compile(r"\b(TODO|FIXME|XXX)\b")
UNSAFE = re.compile(r"\b(strcpy|strcat|sprintf|vsprintf|strtok|atoi|gets)\s*\(")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def files(root: Path, suffixes: tuple[str, ...]) -> list[Path]:
    found = [path for folder in FOLDERS for path in (root / folder).rglob("*")]
    return sorted(p for p in found if p.suffix in suffixes and "corpus" not in p.parts)


def lines_where(paths: list[Path], bad: Callable[[str], bool]) -> list[str]:
    return [
        f"{path}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if bad(line)
    ]


def is_todo(line: str) -> bool:
    return TODO.search(line) is not None


def is_unsafe(line: str) -> bool:
    return UNSAFE.search(STRING.sub('""', line)) is not None


def check_todo(root: Path) -> list[str]:
    own = Path(__file__).resolve()
    paths = [p for p in files(root, (".c", ".h", *SCRIPTS)) if p.resolve() != own]
    return lines_where(paths, is_todo)


def check_calls(root: Path) -> list[str]:
    return lines_where(files(root, (".c", ".h")), is_unsafe)


def check_size(root: Path) -> list[str]:
    counts = {p: len(p.read_bytes().splitlines()) for p in files(root, (".c", ".h", *SCRIPTS))}
    return [
        f"{path}:{count}: a file has at most {LINES_MAX} lines"
        for path, count in counts.items()
        if count > LINES_MAX
    ]


def check_format(root: Path) -> list[str]:
    command = ["clang-format", "--dry-run", "-Werror", "--ferror-limit=1"]
    result = subprocess.run(
        command + files(root, (".c", ".h")), capture_output=True, text=True, check=False
    )
    if result.returncode == 0:
        return []
    return re.findall(r"^.*: error: .*$", result.stderr, re.MULTILINE) or [result.stderr]


CHECKS = {"format": check_format, "size": check_size, "todo": check_todo, "calls": check_calls}


def prove() -> None:
    """The rules see what they are for, and nothing else."""
    assert is_todo("/* TODO: later */") and not is_todo("todos")
    assert is_unsafe("  strcpy(a, b);") and is_unsafe("x = atoi (s);")
    assert not is_unsafe('log("strcpy(a)");') and not is_unsafe("strtok_r(a, b, &c);")
    assert not is_unsafe("snprintf(a, sizeof a, b);") and not is_unsafe("fgets(a, 1, f);")


def main() -> int:
    prove()
    found = CHECKS[sys.argv[1]](Path(sys.argv[2]))
    print(*found, sep="\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
