"""The user that the daemon becomes, what he may still do, and what he may read."""
import os
import pwd

from support.process import BIN, run

NOBODY = pwd.getpwnam("nobody")
BIND_LOW_PORTS = 1 << 10  # CAP_NET_BIND_SERVICE


def status_of(pid):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_a_first_users_file_can_be_read_by_the_daemon(tmp_path):
    """Root makes it, and the daemon is somebody else."""
    conf, users = tmp_path / "relay.conf", tmp_path / "users"
    conf.write_text(f'hostname = "relay.test"\nuser = "{NOBODY.pw_name}"\nusers_file = "users"\n'
                    'listener main { address = "127.0.0.1:0" }\n')
    run(BIN / "smarthopctl", "-c", conf, "user", "add", "alice", "--no-password")
    made = users.stat()
    if os.geteuid() == 0:
        assert (made.st_gid, made.st_mode & 0o777) == (NOBODY.pw_gid, 0o640)
    else:
        assert made.st_mode & 0o777 == 0o600


def as_nobody(start_relay):
    """A relay whose files are all nobody's, and whose log is made by root at its start."""
    relay = start_relay(routes={"*": {"discard": True}})
    relay.stop()
    relay.log_path.unlink()
    relay.keys["user"] = NOBODY.pw_name
    if os.geteuid() == 0:
        for path in (relay.folder, *relay.folder.rglob("*")):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    relay.start()
    return relay


def test_the_log_can_be_opened_anew(start_relay):
    relay = as_nobody(start_relay)
    assert relay.reload()["event"] == "reloaded"
    assert "log-reopen-failed" not in relay.log_text()


def test_root_becomes_the_user_and_may_only_bind_low_ports(start_relay, tmp_path):
    """Whoever is not root stays who he is."""
    relay = as_nobody(start_relay)
    is_root = os.geteuid() == 0
    status = status_of(relay.process.pid)
    uids = {int(uid) for uid in status["Uid"].split()}
    kept = {int(status[key], 16) for key in ("CapPrm", "CapEff")}
    if is_root:
        assert uids == {NOBODY.pw_uid}
        assert kept == {BIND_LOW_PORTS}
        assert int(status["CapInh"], 16) == 0
    else:
        assert uids == {os.geteuid()}
