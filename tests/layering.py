#!/usr/bin/env python3
"""Checks every #include line of the tree against the table of the house.

A folder may include itself, what its row names, and libc. A header of a third party is allowed only
where its row says so, because that is what keeps a library replaceable. Each violation is told as
file:line. The check first proves on planted lines that it would see one.

    layering.py ROOT
"""

import fnmatch
import re
import sys
from pathlib import Path
from typing import Iterator, NamedTuple


class Row(NamedTuple):
    folder: str  # the longest one that a file lies in is its row
    may: tuple[str, ...]  # folders, or single headers
    third: tuple[tuple[str, str], ...] = ()  # (header, file of the folder that may include it)


BASE, PROTO, NET, CONF, AUTH = "relay/base", "relay/proto", "relay/net", "relay/conf", "relay/auth"
RECIPIENTS = "relay/recipients/recipients.h"
# The public headers that a module of the middle layer may know of the others.
PUBLIC = (
    "queue/queue.h",
    "resolver/resolver.h",
    "plugins/host/host.h",
    "plugins/smarthop_plugin.h",
    "relay/route/route.h",
    "relay/report/report.h",
    "relay/report/events.h",
    "relay/guard/guard.h",
)
MIDDLE = (BASE, PROTO, NET, CONF, AUTH, *PUBLIC)
JANSSON = (("jansson.h", "*"),)

TABLE = (
    Row(BASE, (), (("uv.h", "loop.c"), ("uv.h", "mailbox.c"), ("lmdb.h", "kv*"), ("xxhash.h", "hash.c"))),
    Row(PROTO, (BASE,), (("idn2.h", "*"), ("emmintrin.h", "dot.c"))),  # the latter is the compiler's
    Row(NET, (BASE,), (("uv.h", "*"), ("zlib.h", "conn_squeeze.c"), ("openssl/*", "*"), ("curl/*", "*"))),
    Row(CONF, (BASE,), (("confuse.h", "*"),)),
    # What is UTF-8, and what of an address is its network, is decided in one place.
    Row(AUTH, (BASE, CONF, "relay/proto/utf8.h", "relay/proto/ip.h"), (("openssl/*", "*"), ("crypt.h", "*"))),
    Row("relay/guard", (BASE,)),
    Row("resolver", (BASE,), (("ares.h", "*"), ("uv.h", "*"))),
    Row("queue", (BASE, PROTO)),
    # smarthopctl: reads the store by itself, and relay.conf to find it; edits the users file.
    # What is suspended is told by next hops, whose text form is route's.
    Row(
        "queue/ctl",
        (
            BASE, PROTO, CONF, AUTH, "queue/queue.h", "queue/eml.h", "relay/guard/guard.h", "relay/route/route.h",
            "relay/rules/rules.h", "plugins/kit/kit.h", "plugins/drop/ctl/mailbox_ctl.h",
        ),
        JANSSON,
    ),
    Row("sendmail", (BASE, PROTO, CONF)),
    Row("relay/recipients", (BASE, PROTO)),
    Row("relay/rules", (BASE, PROTO)),
    Row("relay/receive", (*MIDDLE, RECIPIENTS, "queue/eml.h")),
    Row("relay/route", MIDDLE),
    # An attempt is what the scheduler schedules: it alone drives deliver/.
    Row("relay/schedule", (*MIDDLE, "relay/deliver/deliver.h", "relay/rules/rules.h")),
    Row("relay/deliver", MIDDLE),
    Row("relay/report", MIDDLE, JANSSON),
    Row("relay/control", MIDDLE, JANSSON),
    # main.c, and daemon.c and worker.c beside it: the wiring.
    Row("relay", ("relay", "queue", "resolver", "plugins/host"), (("linux/capability.h", "process.c"),)),
    # An id looks the same in every line of the log.
    Row("plugins/host", (BASE, CONF, "relay/proto/base32.h", "plugins/smarthop_plugin.h"), (("dlfcn.h", "*"),)),
    # The program that runs one plugin is a host with one worker.
    Row(
        "plugins/process",
        (BASE, CONF, "plugins/smarthop_plugin.h", "plugins/host"),
        (("linux/audit.h", "filter.c"), ("linux/filter.h", "filter.c"), ("linux/seccomp.h", "filter.c"),
         ("linux/landlock.h", "writes.c"), ("linux/capability.h", "launcher.c")),
    ),
    # The test kit is a host too: it loads plugins, and judges their answers, as the daemon does.
    Row(
        "plugins/kit",
        (BASE, PROTO, CONF, "plugins/smarthop_plugin.h", "plugins/host/host.h", "plugins/host/self.h"),
        JANSSON,
    ),
    # Final delivery is a server of its own.
    Row("plugins/drop", (BASE, PROTO, NET, AUTH), (("smarthop_plugin.h", "*"), ("openssl/*", "*"))),
    Row("plugins/header", (), (("smarthop_plugin.h", "*"), ("pcre2.h", "pattern.c"))),
    Row("plugins/srs", (), (("smarthop_plugin.h", "*"), ("openssl/*", "keys.c"))),
    # Its tables are written once and then only read, which base/kv is not made for.
    Row("plugins/table", (), (("smarthop_plugin.h", "*"), ("lmdb.h", "store.c"))),
    # They find the header as plugins of others do.
    Row("plugins", ("plugins/smarthop_plugin.h",), (("smarthop_plugin.h", "*"),)),
)

LIBC_FOLDERS = ("arpa", "net", "netinet", "sys")
LIBC = frozenset(
    "assert ctype dirent endian errno fcntl fnmatch ftw getopt grp iconv ifaddrs inttypes limits locale math "
    "malloc netdb poll pthread pwd sched semaphore setjmp signal spawn stdalign stdarg stdatomic stdbool stddef "
    "stdint stdio stdlib stdnoreturn string strings sysexits syslog termios time unistd "
    "wchar".split()
)

SOURCES = ("relay", "resolver", "queue", "sendmail", "plugins")
INCLUDE_ROOTS = (".", "relay")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


class Include(NamedTuple):
    file: str  # from the root
    line: int
    system: bool  # in angle brackets
    header: str


def row_of(path: str) -> Row | None:
    rows = [row for row in TABLE if path.startswith(row.folder + "/")]
    return max(rows, key=lambda row: len(row.folder), default=None)


def is_libc(header: str) -> bool:
    folder, slash, _ = header.partition("/")
    return folder in LIBC_FOLDERS if slash else header.removesuffix(".h") in LIBC


def judge_system(row: Row, include: Include) -> str | None:
    name = Path(include.file).name
    for header, file in row.third:
        if fnmatch.fnmatch(include.header, header) and fnmatch.fnmatch(name, file):
            return None
    if is_libc(include.header):
        return None
    return f"{row.folder} may not include <{include.header}>"


def judge_own(root: Path, row: Row, include: Include) -> str | None:
    beside = str(Path(include.file).parent / include.header)
    places = [beside] + [str(Path(start) / include.header) for start in INCLUDE_ROOTS]
    found = next((place for place in places if (root / place).is_file()), None)
    if found is None:
        return f'"{include.header}" is not in the tree'
    if row_of(found) == row:
        return None
    if any(found == may or found.startswith(may + "/") for may in row.may):
        return None
    return f"{row.folder} may not include {found}"


def judge(root: Path, include: Include) -> str | None:
    row = row_of(include.file)
    if row is None:
        return f"{include.file} lies in no folder of the table"
    if include.system:
        return judge_system(row, include)
    return judge_own(root, row, include)


def includes_of(root: Path) -> Iterator[Include]:
    for folder in SOURCES:
        for path in sorted((root / folder).rglob("*.[ch]")):
            file = str(path.relative_to(root))
            for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
                match = INCLUDE.match(line)
                if match:
                    yield Include(file, number, match[1] == "<", match[2])


# What must be seen, or must be let through, whatever the tree holds.
PLANTED = (
    ("relay/base/span.c", "<uv.h>", False),
    ("relay/base/loop.c", "<uv.h>", True),
    ("relay/base/loop.c", '"net/conn.h"', False),
    ("relay/base/kv_txn.c", "<lmdb.h>", True),
    ("relay/proto/dot.c", '"base/buf.h"', True),
    ("relay/proto/dot.c", "<openssl/ssl.h>", False),
    ("relay/receive/data.c", '"deliver/deliver.h"', False),
    ("relay/receive/data.c", '"queue/queue_private.h"', False),
    ("relay/receive/recipient.c", '"recipients/recipients.h"', True),
    ("relay/receive/recipient.c", '"recipients/table.h"', False),
    ("relay/schedule/job.c", '"deliver/deliver.h"', True),
    ("relay/schedule/job.c", '"deliver/session.h"', False),
    ("relay/daemon.c", '"receive/receive.h"', True),
    ("queue/change.c", '"conf/conf.h"', False),
    ("queue/change.c", "<nowhere.h>", False),
    ("plugins/example/example.c", "<smarthop_plugin.h>", True),
    ("plugins/example/example.c", '"base/span.h"', False),
    ("plugins/table/store.c", "<lmdb.h>", True),
    ("plugins/table/source.c", "<lmdb.h>", False),
    ("plugins/table/source.c", '"base/span.h"', False),
    ("queue/change.c", '"tests/support/rig.h"', False),
    ("elsewhere/x.c", "<stdio.h>", False),
)


def prove(root: Path) -> None:
    for file, text, allowed in PLANTED:
        match = INCLUDE.match("#include " + text)
        assert match, text
        problem = judge(root, Include(file, 1, match[1] == "<", match[2]))
        if (problem is None) != allowed:
            sys.exit(f"layering.py does not work: {file} including {text} gives {problem!r}")


def main() -> int:
    root = Path(sys.argv[1])
    prove(root)
    seen = broken = 0
    for include in includes_of(root):
        seen += 1
        problem = judge(root, include)
        if problem:
            broken += 1
            print(f"{include.file}:{include.line}: {problem}")
    if seen == 0:
        sys.exit(f"{root}: no includes found")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
