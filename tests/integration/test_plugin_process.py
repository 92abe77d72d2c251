"""Plugins in processes of their own, and in the server's, that break the rules: no mail is lost, the
server's answer is as declared, and other mail flows."""
import json
import os
import pwd
import shutil
import signal
import smtplib
import subprocess
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from support import content
from support.dialogue import Dialogue, submit
from support.landlock import NEEDS_LANDLOCK
from support.process import BIN, SANITIZER_REPORT, run
from support.wait import wait_until

PLUGINS = BIN.parent / "tests" / "plugins"
PROGRAM = (BIN / "smarthop-plugin").read_bytes()
SANITIZED = b"__asan_init" in PROGRAM or b"__tsan_init" in PROGRAM
MESSAGE = content.message(b"hello")
REFUSE = {"*": {"reject": "5.7.1 no route"}}
DEFERRED = (451, b"4.3.0 Temporary failure of a local filter, try again later")


@pytest.fixture
def start(start_relay, sink):
    relays = []

    def make(**keys):
        plugin = {"file": str(PLUGINS / "outlaw.so"), "process": True, "next_hop": sink.host,
                  "port": sink.port, **keys}
        relays.append(start_relay(plugins={"outlaw": plugin}, routes=REFUSE))
        return relays[-1]

    yield make
    for relay in relays:
        assert not SANITIZER_REPORT.search(relay.log_text()), relay.log_text()


def rcpt(relay, how):
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.ehlo("client.test")
        client.mail("from@client.test")
        return client.rcpt(f"{how}@a.test")


def until_taken(relay, how):
    """Once the plugin is asked again."""
    wait_until(lambda: rcpt(relay, how)[0] == 250, "the plugin answers")


def pid_of(relay):
    """Of the newest process."""
    children = Path(f"/proc/{relay.process.pid}/task/{relay.process.pid}/children")
    [pid] = children.read_text().split()
    return int(pid)


def has_ended(pid):
    """Also where nobody has asked for its exit code yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


@pytest.mark.parametrize("how, text", [
    ("crash", "it has ended by signal 6 (Aborted)"),
    ("exit", "it has ended with exit code 7"),
    ("garbage", "killed: it sends what makes no sense"),
    ("close", None),  # by itself, or killed: whichever is first
])
def test_ends(start, sink, how, text):
    """Only what it held is deferred; what comes then waits for the new one."""
    relay = start()
    with smtplib.SMTP("127.0.0.1", relay.port) as client:
        client.ehlo("client.test")
        client.mail("from@client.test")
        assert client.rcpt("send@a.test")[0] == 250
        assert client.rcpt(f"{how}@a.test") == DEFERRED
        assert client.rcpt("again@a.test")[0] == 250
        assert client.data(MESSAGE)[0] == 250
    [ended] = relay.wait_log("plugin-process-ended")
    assert text in (None, ended["text"])
    relay.wait_log("plugin-lost", to=f"{how}@a.test")
    relay.wait_log("plugin-process-started")
    assert sorted(sink.wait(1)[0].recipients) == ["again@a.test", "send@a.test"]
    relay.stop()


@pytest.mark.parametrize("how", ["exec", "socket"])
def test_forbidden(start, how):
    relay = start()
    assert rcpt(relay, how) == DEFERRED
    [told] = relay.wait_log("plugin-output")
    call = {"exec": "execve", "socket": "socket"}[how]
    assert told["text"] == f"a plugin may not make this system call: {call}"
    [ended] = relay.wait_log("plugin-process-ended")
    assert "signal 31" in ended["text"]
    relay.wait_log("plugin-process-started")
    assert rcpt(relay, "send")[0] == 250
    relay.stop()


def test_network(start):
    """Where it is allowed."""
    relay = start(network=True)
    assert rcpt(relay, "socket")[0] == 250
    relay.stop()


def test_files(start, tmp_path):
    """Without a user of its own it may read only."""
    file = tmp_path / "file"
    file.write_text("x")
    relay = start(file_to_read=str(file))
    assert rcpt(relay, "read")[0] == 250
    assert rcpt(relay, "write") == DEFERRED
    relay.stop()


@NEEDS_LANDLOCK
def test_writes(start, tmp_path):
    """In the one folder, and nowhere else, whatever the user may; reading is as before."""
    for place in ("in", "out"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "file").write_text("x")
    relay = start(process_writes=str(tmp_path / "in"), file_to_read=str(tmp_path / "out/file"))
    assert rcpt(relay, "read")[0] == 250
    for how in ("write", "empty", "truncate", "move", "make"):
        assert rcpt(relay, how) == DEFERRED
    assert (tmp_path / "out/file").read_text() == "x"
    relay.sections["plugin"]["outlaw"]["file_to_read"] = str(tmp_path / "in/file")
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    for how in ("read", "write", "make", "move"):
        assert rcpt(relay, how)[0] == 250
    assert sorted(path.name for path in (tmp_path / "in").iterdir()) == ["file~", "file~~"]
    relay.stop()


def test_no_folder_to_write(start, tmp_path):
    """A reload to one that is not there is refused."""
    relay = start()
    relay.sections["plugin"]["outlaw"]["process_writes"] = str(tmp_path / "nowhere")
    relay.write_conf()
    refused = relay.reload()
    assert refused["event"] == "reload-refused" and "process_writes" in refused["text"]
    relay.stop()


@pytest.mark.skipif(SANITIZED, reason="memory is not bounded there")
def test_leak(start):
    relay = start(memory_max="64MiB")
    assert rcpt(relay, "leak") == DEFERRED
    until_taken(relay, "send")
    relay.stop()


def test_hangs(start):
    """It is ended, and started again; other mail of other plugins and routes never waits for it."""
    relay = start(timeout="300ms")
    assert rcpt(relay, "loop") == DEFERRED
    [ended] = relay.wait_log("plugin-process-ended")
    assert ended["text"] == "killed: it does not answer"
    until_taken(relay, "send")
    relay.stop()


def test_promises(start, sink):
    """Late, twice, from elsewhere, never."""
    relay = start(timeout="2s")
    for how in ("late", "twice", "thread"):
        assert rcpt(relay, how)[0] == 250
    assert rcpt(relay, "never") == DEFERRED
    assert rcpt(relay, "broken") == DEFERRED
    assert rcpt(relay, "broken-later") == DEFERRED
    assert counts(relay)["broken"] == 2
    relay.wait_log("plugin-timeout", to="never@a.test")
    assert relay.log("plugin-process-ended") == []
    submit(relay, MESSAGE, "late@a.test")
    sink.wait(1)
    relay.stop()


def test_fail_open(start):
    relay = start(fail="open")
    assert rcpt(relay, "crash") == (550, b"5.7.1 no route")
    relay.wait_log("plugin-process-started")
    assert rcpt(relay, "send")[0] == 250
    relay.stop()


def test_log(start):
    """What it logs, and what it writes."""
    relay = start()
    assert rcpt(relay, "say")[0] == 250
    relay.wait_log("plugin", what="asked", to="say@a.test")
    lines = relay.wait_log("plugin-output", count=2)
    assert [line["text"] for line in lines] == ["one line", "and another one"]
    relay.stop()
    assert relay.log("plugin", what="stopped")


def counts(relay):
    """Of the plugin, as smarthopctl tells them."""
    [plugin] = json.loads(relay.ctl("plugin", "list", "--json").stdout)["plugins"]
    return plugin["counts"]


def test_counts(start):
    """What the process does with its promises is counted as if it were in the server."""
    relay = start()
    for how, code in (("action", 451), ("twice", 250), ("both", 250)):
        assert rcpt(relay, how)[0] == code
    wait_until(lambda: counts(relay)["twice"] == 2, "both to be counted")
    told = counts(relay)
    assert (told["invalid"], told["timed_out"], told["broken"]) == (1, 0, 0)
    [invalid] = relay.wait_log("plugin-invalid", hook="route")
    assert invalid["text"] == "an action that this hook does not have"
    lines = relay.wait_log("plugin-completion", count=2)
    assert {line["text"] for line in lines} == {"it has been answered already"}
    relay.stop()


def test_late(start):
    relay = start(timeout="100ms")
    assert rcpt(relay, "tardy") == DEFERRED
    wait_until(lambda: counts(relay)["late"] == 1, "the late one to be counted")
    assert counts(relay)["timed_out"] == 1
    [told] = relay.wait_log("plugin-completion")
    assert told["text"] == "nobody waits for it"
    relay.stop()


def test_command(start):
    relay = start()
    assert relay.ctl("plugin", "command", "outlaw", "2", "a b", "c").stdout == b"a bca bc"
    assert relay.ctl("plugin", "command", "outlaw", check=False).returncode == 1
    refused = relay.ctl("plugin", "command", "outlaw", "crash", check=False)
    assert refused.returncode == 1 and b"its process has ended" in refused.stdout
    relay.wait_log("plugin-process-started")
    assert relay.ctl("plugin", "command", "outlaw", "1", "x").stdout == b"x"
    relay.stop()


def test_stop_while_a_command_is_carried_out(start):
    """The operator is told; the server waits no longer than it is told to."""
    relay = start(process_stop_max="200ms")
    with ThreadPoolExecutor() as pool:
        refused = pool.submit(relay.ctl, "plugin", "command", "outlaw", "sleep", check=False)
        relay.wait_log("plugin", what="command")
        relay.stop()
        assert refused.result().returncode != 0


def test_store(start_relay, sink):
    """Kept over processes, reloads and restarts of the server."""
    plugin = {"file": str(PLUGINS / "hoarder.so"), "process": True, "next_hop": sink.host,
              "port": sink.port}
    relay = start_relay(plugins={"hoarder": plugin}, routes=REFUSE, plugin_store_path="stores")
    assert rcpt(relay, "restarted") == DEFERRED
    assert rcpt(relay, "has-key") == DEFERRED
    assert rcpt(relay, "put")[0] == 250
    os.kill(pid_of(relay), signal.SIGKILL)
    relay.wait_log("plugin-process-started")
    assert rcpt(relay, "has-key")[0] == 250
    assert rcpt(relay, "restarted")[0] == 250
    relay.sections["plugin"]["hoarder"]["strikes"] = 5
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    assert rcpt(relay, "has-key")[0] == 250
    relay.stop()
    relay.start()
    assert rcpt(relay, "has-key")[0] == 250
    assert rcpt(relay, "has-stopped")[0] == 250
    relay.stop()
    assert not SANITIZER_REPORT.search(relay.log_text()), relay.log_text()


def can_become(name):
    """Root of a namespace of its own has nobody else."""
    user = pwd.getpwnam(name)
    return os.geteuid() == 0 and subprocess.run(
        ["true"], user=user.pw_uid, group=user.pw_gid, extra_groups=[], check=False).returncode == 0


@pytest.fixture
def start_as(start_relay, sink):
    """A daemon that becomes nobody, with a plugin in a process of this user."""
    folder = Path(tempfile.mkdtemp(prefix="smarthop-plugin-"))
    folder.chmod(0o755)
    shutil.copy(PLUGINS / "outlaw.so", folder)

    def make(user, **keys):
        plugin = {"file": str(folder / "outlaw.so"), "process": True, "user": user,
                  "next_hop": sink.host, "port": sink.port, **keys}
        relay = start_relay(routes=REFUSE)
        relay.stop()
        nobody = pwd.getpwnam("nobody")
        for path in (relay.folder, *relay.folder.rglob("*")):
            os.chown(path, nobody.pw_uid, nobody.pw_gid)
        relay.keys["user"] = "nobody"
        relay.sections["plugin"] = {"outlaw": plugin}
        relay.start()
        return relay

    yield make
    shutil.rmtree(folder)


def whose(relay):
    return relay.ctl("plugin", "command", "outlaw", "id").stdout.decode()


def children_of(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def need_root():
    if not (can_become("nobody") and can_become("daemon")):
        pytest.skip("only root can give a process another user")


def test_user(start_as, sink):
    """Another one than the daemon's, which has given up root's rights; also the second time."""
    need_root()
    relay = start_as("daemon")
    user = pwd.getpwnam("daemon")
    mine = f"uid {user.pw_uid} {user.pw_uid} gid {user.pw_gid} groups "
    assert whose(relay).startswith(mine)
    submit(relay, MESSAGE, "send@a.test")
    sink.wait(1)
    assert rcpt(relay, "crash") == DEFERRED
    [ended] = relay.wait_log("plugin-process-ended")
    assert ended["text"] == "it has ended by signal 6 (Aborted)"
    relay.wait_log("plugin-process-started")
    assert whose(relay).startswith(mine)
    relay.stop()
    assert not SANITIZER_REPORT.search(relay.log_text()), relay.log_text()


def test_user_of_a_reload(start_as):
    """Only one that was named at the start can be had."""
    need_root()
    relay = start_as("daemon")
    outlaw = relay.sections["plugin"]["outlaw"]
    for user in ("bin", "root"):
        outlaw["user"] = user
        relay.write_conf()
        refused = relay.reload()
        assert refused["event"] == "reload-refused"
        assert "whom relay.conf did not name at the start" in refused["text"]
    outlaw["user"], outlaw["strikes"] = "daemon", 7
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    assert whose(relay).startswith(f"uid {pwd.getpwnam('daemon').pw_uid} ")
    relay.stop()


def test_root_is_no_user(start_relay):
    need_root()
    relay = start_relay(routes=REFUSE)
    relay.stop()
    relay.keys["user"] = "nobody"
    relay.sections["plugin"] = {"outlaw": {"file": str(PLUGINS / "outlaw.so"), "process": True,
                                           "user": "root"}}
    relay.write_conf()
    started = run(BIN / "smarthopd", "-c", relay.conf_path, check=False)
    assert started.returncode != 0 and b"the users of plugins' processes" in started.stderr


def test_server_killed(start_as):
    """What goes on as root ends with it, and so does the plugin."""
    need_root()
    relay = start_as("daemon")
    [launcher] = children_of(relay.process.pid)
    [plugin] = children_of(launcher)
    relay.kill()
    wait_until(lambda: has_ended(launcher) and has_ended(plugin), "both end with the server")


def test_launcher_killed(start_as):
    """Its processes end with it, and are not started again; the fail mode answers."""
    need_root()
    relay = start_as("daemon", process_rest_min="20ms")
    [launcher] = children_of(relay.process.pid)
    os.kill(launcher, signal.SIGTERM)  # is for the server to react to
    assert whose(relay)
    os.kill(launcher, signal.SIGKILL)
    relay.wait_log("plugin-process-ended")
    relay.wait_log("plugin-process")
    assert rcpt(relay, "send") == DEFERRED
    relay.stop()


def test_reload_keeps_it(start):
    """What has not changed goes on in the same process."""
    relay = start()
    process = pid_of(relay)
    assert relay.reload()["event"] == "reloaded"
    assert pid_of(relay) == process
    relay.stop()


def test_killed_under_load(start, sink):
    """What was acknowledged arrives, once; what was not has been answered with 451."""
    relay = start()
    taken, refused = [], []
    enough = threading.Event()

    def send(number):
        with smtplib.SMTP("127.0.0.1", relay.port) as client:
            client.ehlo("client.test")
            for turn in range(1000):
                if enough.is_set():
                    return
                client.mail("from@client.test")
                name = f"x{number}-{turn}@a.test"
                code, _ = client.rcpt(name)
                if code == 250 and client.data(MESSAGE)[0] == 250:
                    taken.append(name)
                else:
                    refused.append(code)
                    client.rset()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for kills in range(3):
        before = len(taken)
        wait_until(lambda: len(taken) > before + 20, "mail flows")
        os.kill(pid_of(relay), signal.SIGKILL)
        relay.wait_log("plugin-process-started", count=kills + 1)
    enough.set()
    for thread in threads:
        thread.join()
    assert set(refused) <= {451}
    assert len(refused) <= 3 * len(threads)
    relay.wait_empty()
    assert sorted(sink.recipients()) == sorted(taken)
    relay.stop()


def hold(relay):
    """A client whose recipient the plugin has not answered about."""
    client = smtplib.SMTP("127.0.0.1", relay.port)
    client.ehlo("client.test")
    client.mail("from@client.test")
    client.putcmd("rcpt", "to:<never@a.test>")
    relay.wait_log("plugin", what="asked", to="never@a.test")
    return client


def test_reload_while_it_holds(start, sink):
    """The old process ends only when what it held is done, and nobody can go back to it."""
    relay = start(timeout="3s")
    old = pid_of(relay)
    client = hold(relay)
    relay.sections["plugin"]["outlaw"]["strikes"] = 5
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    submit(relay, MESSAGE, "send@a.test")
    sink.wait(1)
    assert client.getreply() == DEFERRED
    client.close()
    relay.sections["plugin"]["outlaw"]["strikes"] = 6
    relay.write_conf()
    assert relay.reload()["event"] == "reloaded"
    wait_until(lambda: has_ended(old), "the old process ends")
    relay.stop()


def test_server_killed_while_it_holds(start):
    relay = start(timeout="30s")
    client = hold(relay)
    process = pid_of(relay)
    relay.kill()
    client.close()
    wait_until(lambda: has_ended(process), "it ends with the server")


def test_refused_at_start(start):
    """A reload to one that does not start leaves all as it is."""
    relay = start()
    for how, text in (("refuse", "it was told not to"), ("crash", "does not start in its process")):
        relay.sections["plugin"]["outlaw"]["at_start"] = how
        relay.write_conf()
        refused = relay.reload()
        assert refused["event"] == "reload-refused" and text in refused["text"]
        assert rcpt(relay, "send")[0] == 250
    relay.stop()


def check(relay):
    return run(BIN / "smarthopd", "-c", relay.conf_path, "-t", check=False)


def test_check(start):
    """smarthopd -t has a process look at it: none of its code runs elsewhere, and none is started."""
    relay = start()
    outlaw = relay.sections["plugin"]["outlaw"]
    outlaw["at_start"] = "crash"
    relay.write_conf()
    assert check(relay).returncode == 0
    outlaw["nonsense"] = 1
    relay.write_conf()
    checked = check(relay)
    assert checked.returncode == 1 and b"unknown key nonsense" in checked.stderr
    del outlaw["nonsense"]
    outlaw["file"] = str(PLUGINS / "trap.so")
    relay.write_conf()
    checked = check(relay)
    assert checked.returncode == 1
    assert b"does not start in its process: it has ended by signal 6" in checked.stderr
    relay.stop()


def test_hangs_in_the_server(start):
    """Nothing ends it there, but the log names it."""
    relay = start(process=False, timeout="300ms")
    with Dialogue(relay.port).hello() as client:
        client.send(b"MAIL FROM:<from@client.test>\r\nRCPT TO:<sleep@a.test>\r\n")
        [told] = relay.wait_log("plugin-hangs")
    assert (told["plugin"], told["hook"], told["level"]) == ("outlaw", "route", "error")
    relay.kill()


def test_in_the_server(start, sink):
    """There a crash takes the server along: what it has acknowledged it has."""
    relay = start(process=False, timeout="300ms")
    assert rcpt(relay, "never") == DEFERRED
    assert rcpt(relay, "broken") == DEFERRED
    assert rcpt(relay, "twice")[0] == 250
    submit(relay, MESSAGE, "send@a.test")
    with pytest.raises(smtplib.SMTPServerDisconnected):
        rcpt(relay, "crash")
    relay.process.wait()
    relay.start()
    assert sink.wait(1)[0].recipients == ["send@a.test"]
    relay.stop()
