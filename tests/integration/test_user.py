"""The user that the daemon becomes, and what he may still do."""
import os
import pwd

NOBODY = pwd.getpwnam("nobody")
BIND_LOW_PORTS = 1 << 10  # CAP_NET_BIND_SERVICE


def status_of(pid):
    lines = open(f"/proc/{pid}/status").read().splitlines()
    return dict(line.split(":\t", 1) for line in lines)


def test_root_becomes_the_user_and_may_only_bind_low_ports(start_relay, tmp_path):
    """Whoever is not root stays who he is."""
    relay = start_relay(routes={"*": {"discard": True}})
    relay.stop()
    relay.keys["user"] = NOBODY.pw_name
    is_root = os.geteuid() == 0
    if is_root:
        for path in (relay.folder, *relay.folder.rglob("*")):
            os.chown(path, NOBODY.pw_uid, NOBODY.pw_gid)
    relay.start()
    status = status_of(relay.process.pid)
    uids = {int(uid) for uid in status["Uid"].split()}
    kept = {int(status[key], 16) for key in ("CapPrm", "CapEff")}
    if is_root:
        assert uids == {NOBODY.pw_uid}
        assert kept == {BIND_LOW_PORTS}
        assert int(status["CapInh"], 16) == 0
    else:
        assert uids == {os.geteuid()}
