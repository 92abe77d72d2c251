"""Programs that people read their mail with, against the drop: each with a home of its own."""
import contextlib
import imaplib
import mailbox
import os
import poplib
import re
import smtplib
import subprocess

import pytest
from support import content
from support.drop import ALICE, BOB, DOMAIN, PASSWORDS
from support.process import PATIENCE_S

ADDRESS = f"{ALICE}@{DOMAIN}"
SUBJECTS = ("one", "two", "three")
# What mbsync and getmail add where the header ends.
CLIENTS_FIELDS = re.compile(rb"(?m)^X-(TUID|getmail-retrieved-from-mailbox): .*\n")


def message(subject):
    return content.message(subject.encode(), b"", b".dot", "Grüße".encode()).replace(
        b"Subject: test", b"Subject: " + subject.encode())


def ends_with(text, subject):
    """What a client has stored, with its own ends of lines, is this message behind its trace."""
    text = CLIENTS_FIELDS.sub(b"", b"\n".join(text.splitlines()))
    return text.endswith(b"\n".join(message(subject).splitlines()))


@pytest.fixture
def drop(start_drop):
    """With three messages for alice."""
    started = start_drop()
    for subject in SUBJECTS:
        started.deliver(message(subject))
    return started


@pytest.fixture
def home(tmp_path):
    """The client's home, and all that it may write to."""
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    return folder


@pytest.fixture
def run(home):
    """run(program, ...): what it prints; it has to end with one of the `codes`."""
    def run_client(*arguments, stdin=b"", codes=(0,)):
        environment = {"HOME": str(home), "PATH": os.environ["PATH"], "TERM": "dumb",
                       "LC_ALL": "C.UTF-8", "USER": ALICE, "TMPDIR": str(home),
                       "FETCHMAILHOME": str(home)}
        done = subprocess.run([str(argument) for argument in arguments], input=stdin, cwd=home,
                              env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              timeout=PATIENCE_S, check=False)
        assert done.returncode in codes, \
            f"{arguments}: {done.returncode} {done.stdout.decode(errors='replace')}" \
            f"{done.stderr.decode(errors='replace')}"
        return done.stdout
    return run_client


def write_private(path, text):
    path.write_text(text)
    path.chmod(0o600)
    return path


def make_maildir(path):
    for name in ("cur", "new", "tmp"):
        (path / name).mkdir(parents=True)
    return path


def stored(maildir):
    """The contents of a maildir's messages."""
    return [path.read_bytes() for name in ("new", "cur") for path in (maildir / name).iterdir()]


def assert_are(texts, subjects):
    """These messages, in any order: they may have come by connections that do not wait for each
    other."""
    assert len(texts) == len(subjects)
    for subject in subjects:
        assert any(ends_with(text, subject) for text in texts), (subject, texts)


def assert_stored(maildir, subjects):
    assert_are(stored(maildir), subjects)


@contextlib.contextmanager
def selected(drop, box="INBOX"):
    """An IMAP client in this mailbox."""
    client = drop.imap()
    assert client.select(box)[0] == "OK"
    yield client
    client.logout()


def boxes_of(client):
    return {line.decode().rsplit(" ", 1)[1].strip('"') for line in client.list()[1]}


def subjects_in(drop, box="INBOX"):
    with selected(drop, box) as client:
        if client.search(None, "ALL")[1] == [b""]:
            return []
        parts = client.fetch("1:*", "(BODY.PEEK[HEADER.FIELDS (SUBJECT)])")[1]
    return [part[1].split(b":", 1)[1].strip().decode() for part in parts if len(part) == 2]


def assert_has(drop, user, subjects):
    """This user's INBOX holds these messages."""
    client = drop.pop3(user)
    count = client.stat()[0]
    texts = [b"\n".join(client.retr(number + 1)[1]) for number in range(count)]
    client.quit()
    assert_are(texts, subjects)


def flags_in(drop, box="INBOX"):
    with selected(drop, box) as client:
        lines = client.fetch("1:*", "(FLAGS)")[1]
    return [set(imaplib.ParseFlags(line)) - {rb"\Recent"} for line in lines]


# ---- Python's own -------------------------------------------------------------------------------

def test_python(start_drop):
    """Sent by SMTP; downloaded by POP3, where a copy stays; read and filed away by IMAP."""
    drop = start_drop()
    with smtplib.SMTP("127.0.0.1", drop.relay.port) as client:
        for subject in SUBJECTS:
            assert client.sendmail("from@client.test", ADDRESS, message(subject)) == {}
            drop.relay.wait_empty()  # so that they arrive in this order

    client = drop.pop3()
    assert client.stat()[0] == len(SUBJECTS)
    assert [int(line.split()[0]) for line in client.list()[1]] == [1, 2, 3]
    uids = client.uidl()[1]
    got = [b"\n".join(client.retr(number)[1]) for number in (1, 2, 3)]
    assert all(ends_with(text, subject) for text, subject in zip(got, SUBJECTS))
    top = client.top(2, 1)[1]
    assert b"Subject: two" in top and top[-1] == b"two"
    client.quit()
    client = drop.pop3()
    assert client.uidl()[1] == uids
    client.quit()

    with selected(drop) as client:
        [(_, text), _] = client.fetch("2", "(RFC822)")[1]
        assert b"\n".join(text.splitlines()) == got[1]
        assert client.create("Work")[0] == "OK"
        assert client.create("Work/2026")[0] == "OK"
        assert {"Work", "Work/2026"} <= boxes_of(client)
        assert client.rename("Work", "Projects")[0] == "OK"
        assert {"Projects", "Projects/2026"} <= boxes_of(client)
        assert "Work" not in boxes_of(client)
        assert client.uid("MOVE", "1", "Projects/2026")[0] == "OK"
        assert client.store("2", "+FLAGS", r"(\Flagged)")[0] == "OK"
        assert client.store("1", "+FLAGS", r"(\Deleted)")[0] == "OK"
        assert client.expunge()[1][-1] == b"1"  # behind what MOVE has told
    assert subjects_in(drop, "Projects/2026") == ["one"]
    assert subjects_in(drop) == ["three"]
    assert flags_in(drop) == [{rb"\Flagged"}]

    client = drop.imap()
    assert client.delete("Projects/2026")[0] == "OK"
    assert client.delete("Projects")[0] == "OK"
    assert not {"Projects", "Projects/2026"} & boxes_of(client)
    client.logout()
    client = drop.pop3()
    assert client.uidl()[1] == [b"1 " + uids[2].split()[1]]
    client.dele(1)
    client.quit()
    assert subjects_in(drop) == []


def test_wrong_password(start_drop):
    drop = start_drop()
    client = poplib.POP3("127.0.0.1", drop.ports["pop3"])
    client.user(ALICE)
    with pytest.raises(poplib.error_proto):
        client.pass_("wrong")
    client.close()
    client = imaplib.IMAP4("127.0.0.1", drop.ports["imap"])
    with pytest.raises(imaplib.IMAP4.error):
        client.login(ALICE, "wrong")
    client.shutdown()


# ---- msmtp and mpop -----------------------------------------------------------------------------

def mpop_conf(drop, certificate, home):
    maildir = make_maildir(home / "mpop")
    return maildir, write_private(home / ".mpoprc", f"""
account drop
host localhost
port {drop.ports["pop3s"]}
tls on
tls_starttls off
tls_trust_file {certificate.certificate}
user {ALICE}
auth user
password {PASSWORDS[ALICE]}
keep on
delivery maildir {maildir}
uidls_file {home}/uidls
account default : drop
""")


def test_msmtp_and_mpop(start_drop, certificate, home, run):
    drop = start_drop()
    maildir, _ = mpop_conf(drop, certificate, home)
    for subject in SUBJECTS:
        run("msmtp", "--file=/dev/null", "--host=127.0.0.1", f"--port={drop.relay.port}",
            "--from=from@client.test", ADDRESS, stdin=message(subject).replace(b"\r\n", b"\n"))
    drop.relay.wait_empty()
    run("mpop")
    assert_stored(maildir, SUBJECTS)
    run("mpop")
    assert_stored(maildir, SUBJECTS)
    drop.deliver(message("four"))
    run("mpop", "--keep=off")
    assert_stored(maildir, (*SUBJECTS, "four"))
    assert subjects_in(drop) == []


@pytest.mark.parametrize("method", ["plain", "scram-sha-256", "user"])
def test_mpop_logs_in(method, drop, certificate, home, run):
    maildir, _ = mpop_conf(drop, certificate, home)
    run("mpop", f"--auth={method}")
    assert_stored(maildir, SUBJECTS)


# ---- curl ---------------------------------------------------------------------------------------

@pytest.fixture
def curl(drop, certificate, run):
    """curl("imaps", "/INBOX;MAILINDEX=1", ...)"""
    def curl_drop(scheme, path, *options, **keys):
        return run("curl", "--silent", "--show-error", "--disable", "--cacert",
                   certificate.certificate, "--user", f"{ALICE}:{PASSWORDS[ALICE]}", *options,
                   f"{scheme}://localhost:{drop.ports[scheme]}{path}", **keys)
    return curl_drop


@pytest.mark.parametrize("scheme, options", [("pop3s", ()), ("pop3", ("--ssl-reqd",)),
                                             ("pop3s", ("--login-options", "AUTH=PLAIN"))])
def test_curl_pop3(scheme, options, drop, curl):
    assert curl(scheme, "/", *options).split(b"\r\n")[0].split()[0] == b"1"
    assert ends_with(curl(scheme, "/2", *options), "two")
    assert b"Subject: three" in curl(scheme, "/", "--request", "TOP 3 0", *options)
    curl(scheme, "/1", "--request", "DELE", "--head", *options)
    assert subjects_in(drop) == ["two", "three"]


@pytest.mark.parametrize("scheme, options", [("imaps", ()), ("imap", ("--ssl-reqd",)),
                                             ("imaps", ("--login-options", "AUTH=PLAIN"))])
def test_curl_imap(scheme, options, drop, curl, home):
    assert b"INBOX" in curl(scheme, "/", *options)
    assert ends_with(curl(scheme, "/INBOX;MAILINDEX=2", *options), "two")
    assert b"Subject: three" in curl(scheme, "/INBOX;UID=3;SECTION=HEADER", *options)
    assert curl(scheme, "/INBOX?SUBJECT%20two", *options).split() == [b"*", b"SEARCH", b"2"]
    file = home / "four"
    file.write_bytes(message("four"))
    curl(scheme, "/INBOX", "--upload-file", file, *options)
    assert curl(scheme, "/INBOX;MAILINDEX=4", *options) == message("four")
    curl(scheme, "/", "--request", "CREATE curled", *options)
    curl(scheme, "/INBOX", "--request", "MOVE 4 curled", *options)
    assert subjects_in(drop, "curled") == ["four"]


# ---- mbsync -------------------------------------------------------------------------------------

def mbsync_conf(drop, certificate, home):
    (home / "mail").mkdir()
    write_private(home / ".mbsyncrc", f"""
IMAPAccount drop
Host localhost
Port {drop.ports["imaps"]}
User {ALICE}
Pass "{PASSWORDS[ALICE]}"
SSLType IMAPS
SystemCertificates no
CertificateFile {certificate.certificate}

IMAPStore far
Account drop

MaildirStore near
Path {home}/mail/
Inbox {home}/mail/INBOX
SubFolders Verbatim

Channel all
Far :far:
Near :near:
Patterns *
Create Both
Remove Both
Expunge Both
SyncState *
""")
    return home / "mail"


def snapshot(folder):
    return {path.relative_to(folder): path.read_bytes()
            for path in folder.rglob("*") if path.is_file()}


def states_in(drop):
    """What CONDSTORE tells of every mailbox: any change, to any message, is seen in it."""
    client = drop.imap()
    states = {box: client.status(f'"{box}"', "(MESSAGES UIDNEXT UIDVALIDITY UNSEEN HIGHESTMODSEQ)")
              for box in boxes_of(client)}
    client.logout()
    return states


def test_mbsync(drop, certificate, home, run):
    mail = mbsync_conf(drop, certificate, home)
    sync = ("mbsync", "--config", home / ".mbsyncrc", "all")
    run(*sync)
    assert_stored(mail / "INBOX", SUBJECTS)
    assert (mail / "Drafts").is_dir()
    near, far = snapshot(mail), states_in(drop)
    run(*sync)
    assert snapshot(mail) == near
    assert states_in(drop) == far

    with selected(drop) as client:  # there one goes, one is read, one comes, and a folder with one
        client.uid("STORE", "1", "+FLAGS", r"(\Deleted)")
        client.uid("STORE", "2", "+FLAGS", r"(\Seen)")
        client.expunge()
        client.append("INBOX", r"(\Flagged)", None, message("four"))
        client.create("Far")
        client.append("Far", None, None, message("five"))
    maildir = mailbox.Maildir(mail / "INBOX")  # here likewise
    [key] = [key for key, text in maildir.items() if text["Subject"] == "three"]
    flagged = maildir[key]
    flagged.set_flags("FS")
    flagged.set_subdir("cur")
    maildir[key] = flagged
    drafted = mailbox.MaildirMessage(message("six").replace(b"\r\n", b"\n"))
    drafted.set_subdir("cur")
    drafted.set_flags("S")
    mailbox.Maildir(mail / "Drafts").add(drafted)
    mailbox.Maildir(mail / "Near").add(message("seven").replace(b"\r\n", b"\n"))
    run(*sync)
    assert_stored(mail / "INBOX", ("two", "three", "four"))
    assert_stored(mail / "Far", ("five",))
    assert subjects_in(drop) == ["two", "three", "four"]
    assert flags_in(drop) == [{rb"\Seen"}, {rb"\Seen", rb"\Flagged"}, {rb"\Flagged"}]
    assert {text["Subject"]: text.get_flags() for text in mailbox.Maildir(mail / "INBOX")} == \
        {"two": "S", "three": "FS", "four": "F"}
    assert subjects_in(drop, "Drafts") == ["six"]
    assert subjects_in(drop, "Near") == ["seven"]

    mailbox.Maildir(mail / "Drafts").clear()
    run(*sync)
    assert subjects_in(drop, "Drafts") == []
    near, far = snapshot(mail), states_in(drop)
    run(*sync)
    assert snapshot(mail) == near
    assert states_in(drop) == far


# ---- fetchmail ----------------------------------------------------------------------------------

@pytest.mark.parametrize("protocol, door", [("POP3", "pop3s"), ("IMAP", "imaps")])
def test_fetchmail(protocol, door, drop, certificate, home, run):
    """To bob, by the relay's SMTP."""
    tls = f"ssl sslproto '' sslcertck sslcertfile {certificate.certificate}"
    uidl = "uidl " if protocol == "POP3" else ""
    rc = write_private(home / ".fetchmailrc", f"""
poll localhost protocol {protocol} port {drop.ports[door]} {uidl}
    user {ALICE} password "{PASSWORDS[ALICE]}" is {BOB} here {tls}
    smtphost 127.0.0.1/{drop.relay.port} smtpname {BOB}@{DOMAIN}
""")
    fetch = ("fetchmail", "--fetchmailrc", rc, "--nosyslog", "--pidfile", home / "pid")
    run(*fetch, "--keep")
    drop.relay.wait_empty()
    nothing_new = 1
    run(*fetch, "--keep", codes=(nothing_new,))
    drop.deliver(message("four"))
    run(*fetch, "--keep")
    drop.relay.wait_empty()
    assert_has(drop, BOB, (*SUBJECTS, "four"))
    assert subjects_in(drop) == [*SUBJECTS, "four"]
    run(*fetch, "--all", "--nokeep")
    assert subjects_in(drop) == []


# ---- getmail ------------------------------------------------------------------------------------

@pytest.mark.parametrize("retriever, door", [("SimplePOP3SSLRetriever", "pop3s"),
                                             ("SimpleIMAPSSLRetriever", "imaps")])
def test_getmail(retriever, door, drop, certificate, home, run):
    """To bob, by LMTP: for its other destinations it forks, and may miss that the child ended."""
    rc = write_private(home / "getmailrc", f"""
[retriever]
type = {retriever}
server = localhost
port = {drop.ports[door]}
username = {ALICE}
password = {PASSWORDS[ALICE]}
ca_certs = {certificate.certificate}

[destination]
type = MDA_lmtp
host = 127.0.0.1
port = {drop.ports["lmtp"]}
override = {BOB}@{DOMAIN}

[options]
read_all = false
delete = false
""")
    get = ("getmail", "--getmaildir", home, "--rcfile", rc)
    run(*get)
    assert_has(drop, BOB, SUBJECTS)
    run(*get)
    assert_has(drop, BOB, SUBJECTS)
    drop.deliver(message("four"))
    run(*get)
    assert_has(drop, BOB, (*SUBJECTS, "four"))
    run(*get, "--delete", "--all")
    assert subjects_in(drop) == []


# ---- mutt ---------------------------------------------------------------------------------------

def mutt_rc(drop, certificate, home, *commands):
    return write_private(home / "muttrc", "\n".join([
        f'set folder="imaps://localhost:{drop.ports["imaps"]}/"',
        f'set imap_user="{ALICE}" imap_pass="{PASSWORDS[ALICE]}"',
        f'set certificate_file="{certificate.certificate}" ssl_usesystemcerts=no',
        f'set record="" header_cache="" tmpdir="{home}" mail_check=0 wait_key=no sort=mailbox-order',
        "set delete=yes quit=yes move=no confirmappend=no pipe_decode=no imap_check_subscribed=no",
        *commands]) + "\n")


def mutt(drop, certificate, home, run, keys):
    rc = mutt_rc(drop, certificate, home, f'push "{keys}"')
    run("script", "--quiet", "--return", "--command", f"mutt -n -F {rc} -f =INBOX", home / "screen")


def test_mutt(drop, certificate, home, run):
    """Its keys are pressed by its configuration; its screen is a terminal that nobody sees."""
    file = home / "read"
    mutt(drop, certificate, home, run,
         f"<pipe-message>cat > {file}<enter><tag-pattern>~s two<enter>"
         "<tag-prefix><flag-message><untag-pattern>.<enter>"
         "<delete-pattern>~s three<enter><quit>")
    assert ends_with(file.read_bytes(), "one")
    assert subjects_in(drop) == ["one", "two"]
    assert rb"\Flagged" in flags_in(drop)[1]
    mutt(drop, certificate, home, run,
         "<save-message>=Archive<enter><quit>")
    assert subjects_in(drop, "Archive") == ["one"]
    assert subjects_in(drop) == ["two"]
