"""Plugins built outside of the tree: only with what is installed."""
import json
import os
import re
import subprocess
from pathlib import Path

import pytest

from support.process import BIN, PATIENCE_S

HOST = "smarthop_plugin.h"
TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "PLUGINS.md"
REFUSED = ("it was built for version {} of the plugin interface, this server has 1.1; build it "
           "again with this server's smarthop_plugin.h")


def run(*command, cwd, env=None):
    return subprocess.run([str(word) for word in command], cwd=cwd, env=env, capture_output=True,
                          text=True, timeout=PATIENCE_S, check=False)


def good(*command, **named):
    done = run(*command, **named)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


class Installed:
    """What `cmake --install` has put below a folder."""

    def __init__(self, prefix):
        good("cmake", "--install", BIN.parent, "--prefix", prefix, cwd=prefix)
        self.prefix = prefix
        self.ctl = prefix / "bin" / "smarthopctl"
        package = next(prefix.rglob("smarthop.pc"))
        self.env = {**os.environ, "PKG_CONFIG_PATH": str(package.parent),
                    "CMAKE_PREFIX_PATH": str(prefix), "SMARTHOPCTL": str(self.ctl)}

    def new(self, folder, name, *arguments):
        good(self.ctl, "plugin", "new", name, *arguments, cwd=folder, env=self.env)
        return folder / name

    def trial(self, plugin):
        done = run(self.ctl, "--json", "plugin", "test", plugin, "--to", "ann@example.net",
                   "--option", "next_hop=hub.test", cwd=plugin.parent)
        return done.returncode, json.loads(done.stdout)


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    return Installed(tmp_path_factory.mktemp("prefix"))


def strict(folder):
    """Makes warnings of the folder's builds errors."""
    for file in ("Makefile", "CMakeLists.txt"):
        text = (folder / file).read_text()
        assert "-Wall -Wextra" in text
        (folder / file).write_text(text.replace("-Wall -Wextra", "-Wall -Wextra -Werror"))


@pytest.mark.parametrize("arguments", [(), ("--cxx",)], ids=["c", "cxx"])
def test_a_new_plugin_builds_with_make(installed, tmp_path, arguments):
    folder = installed.new(tmp_path, "mine", *arguments)
    strict(folder)
    output = good("make", "test", cwd=folder, env=installed.env)
    assert "ann@example.net: send" in output and "ben@example.com: pass" in output
    code, records = installed.trial(folder / "mine.so")
    assert (code, records[-1]["next_hops"][0]["host"]) == (0, "hub.test")
    target = tmp_path / "root"
    good("make", "install", f"DESTDIR={target}", cwd=folder, env=installed.env)
    assert [path.parent.name for path in target.rglob("mine.so")] == ["smarthop"]


@pytest.mark.parametrize("arguments", [(), ("--cxx",)], ids=["c", "cxx"])
def test_a_new_plugin_builds_with_cmake(installed, tmp_path, arguments):
    folder = installed.new(tmp_path, "mine", *arguments)
    strict(folder)
    good("cmake", "-B", "build", cwd=folder, env=installed.env)
    good("cmake", "--build", "build", cwd=folder, env=installed.env)
    good("ctest", "--test-dir", "build", cwd=folder, env=installed.env)
    good("cmake", "--install", "build", cwd=folder, env=installed.env)
    standing = next(installed.prefix.rglob("mine.so"))
    assert standing.parent == next(installed.prefix.rglob("example.so")).parent
    assert installed.trial(standing)[0] == 0
    standing.unlink()


@pytest.mark.parametrize("line, version", [
    ("#define SMARTHOP_ABI_MAJOR 2", "2.1"),
    ("#define SMARTHOP_ABI_MAJOR 0", "0.1"),
    ("#define SMARTHOP_ABI_MINOR 2", "1.2"),
])
def test_another_interface_is_refused(installed, tmp_path, line, version):
    folder = installed.new(tmp_path, "mine")
    header = next(installed.prefix.rglob(HOST)).read_text()
    define = line.rsplit(" ", 1)[0]
    changed = [line if row.startswith(define) else row for row in header.splitlines()]
    (folder / "other").mkdir()
    (folder / "other" / HOST).write_text("\n".join(changed) + "\n")
    good("make", "CFLAGS=-Iother", cwd=folder, env=installed.env)
    code, records = installed.trial(folder / "mine.so")
    assert (code, len(records)) == (1, 1)
    assert REFUSED.format(version) in records[0]["text"]


def test_names_and_folders_that_cannot_be(installed, tmp_path):
    assert run(installed.ctl, "plugin", "new", "Mine", cwd=tmp_path).returncode == 2
    assert run(installed.ctl, "plugin", "new", "../x", cwd=tmp_path).returncode == 2
    (tmp_path / "mine").mkdir()
    done = run(installed.ctl, "plugin", "new", "mine", cwd=tmp_path)
    assert (done.returncode, "File exists" in done.stderr) == (1, True)
    assert list((tmp_path / "mine").iterdir()) == []


# ---- the tutorial ----------------------------------------------------------------------------


def blocks():
    """What is indented in the tutorial."""
    text = TUTORIAL.read_text().split("## A plugin in fifteen minutes")[1].split("\n## ")[0]
    found = re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", text, re.MULTILINE)
    return [re.sub("^    ", "", block, flags=re.MULTILINE).strip("\n") for block in found]


def shell(script, installed, cwd):
    env = {**installed.env, "PATH": f"{installed.ctl.parent}:{os.environ['PATH']}"}
    return good("sh", "-ec", script, cwd=cwd, env=env)


def command_and_output(block):
    command, output = block.split("\n\n", 1)
    return command, output


def test_the_tutorial_word_for_word(installed, tmp_path):
    begin, expected, look, function, hooks, refuse, section, last = blocks()
    assert expected in shell(begin, installed, tmp_path)
    folder = tmp_path / "bounder"
    command, output = command_and_output(look)
    assert shell(command, installed, folder).strip() == output
    source = (folder / "bounder.c").read_text()
    table = "static const struct smarthop_option options[]"
    source = source.replace(table, function + "\n\n" + table)
    changed = re.sub(r"    \.hooks = .*", "    " + hooks, source)
    assert changed != source
    (folder / "bounder.c").write_text(changed)
    command, output = command_and_output(refuse)
    assert shell(command, installed, folder).strip().endswith(output)
    (folder / "relay.conf").write_text(
        'hostname = "relay.test"\nlistener main { address = "127.0.0.1:0" }\n' +
        section.replace("/path/to/bounder", str(folder)))
    assert "mail.example.org" in shell(last, installed, folder)
    good(installed.prefix / "sbin" / "smarthopd", "-t", "-c", "relay.conf", cwd=folder)
