"""SCRAM of relay/auth against an implementation straight from RFC 5802 and RFC 7677, with hashlib
and hmac; and smarthopctl's users against both."""

import base64
import hashlib
import hmac
import json
import os
import pty
import secrets
import subprocess
import termios
from pathlib import Path

import pytest
from support import certificates

BIN = Path(os.environ.get("SMARTHOP_BIN", "build/release/bin")).resolve()
DEADLINE = 60
EXPORTER = ("tls-exporter", "exported keying material")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def attributes(message: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in message.split(","))


def xor(a: bytes, b: bytes) -> bytes:
    return bytes(x ^ y for x, y in zip(a, b, strict=True))


class Keys:
    """RFC 5802 section 3, with SHA-256."""

    def __init__(self, password: str, salt: bytes, iterations: int):
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, iterations)
        self.client = hmac.digest(salted, b"Client Key", "sha256")
        self.stored = hashlib.sha256(self.client).digest()
        self.server = hmac.digest(salted, b"Server Key", "sha256")

    def proof(self, message: str) -> bytes:
        return xor(self.client, hmac.digest(self.stored, message.encode(), "sha256"))

    def signature(self, message: str) -> bytes:
        return hmac.digest(self.server, message.encode(), "sha256")


class ReferenceClient:
    def __init__(self, user: str, password: str, header="n,,", data=b"", nonce=None):
        self.password, self.header, self.data = password, header, data
        self.nonce = nonce or secrets.token_urlsafe(18)
        name = user.replace("=", "=3D").replace(",", "=2C")
        self.bare = f"n={name},r={self.nonce}"
        self.first = header + self.bare

    def final(self, challenge: str) -> str:
        told = attributes(challenge)
        assert told["r"].startswith(self.nonce) and len(told["r"]) > len(self.nonce)
        binding = b64(self.header.encode() + self.data)
        without_proof = f"c={binding},r={told['r']}"
        message = f"{self.bare},{challenge},{without_proof}"
        keys = Keys(self.password, base64.b64decode(told["s"]), int(told["i"]))
        self.expected = "v=" + b64(keys.signature(message))
        return f"{without_proof},p={b64(keys.proof(message))}"


class Peer:
    """sasl_peer on the other side."""

    def __init__(self, *arguments):
        self.process = subprocess.Popen(
            [BIN / "sasl_peer", *arguments],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate(timeout=DEADLINE)

    def hear(self) -> str:
        verb, _, text = self.process.stdout.readline().rstrip("\n").partition(" ")
        return base64.b64decode(text).decode() if verb == "say" else f"{verb} {text}".strip()

    def say(self, text: str) -> None:
        self.process.stdin.write(b64(text.encode()) + "\n")
        self.process.stdin.flush()


def smarthopctl(users: Path, *words: str, password: str = "") -> subprocess.CompletedProcess:
    command = [BIN / "smarthopctl", "--users", users, "user", *words]
    return subprocess.run(command, input=password + "\n", capture_output=True, text=True,
                          timeout=DEADLINE, check=False)


@pytest.fixture
def users(tmp_path):
    """A users file as smarthopctl writes it."""
    file = tmp_path / "users"
    for name, password in (("alice", "wonder land"), ("b,ü=", "pässwörd")):
        done = smarthopctl(file, "add", name, "--password-stdin", password=password)
        assert done.returncode == 0, done.stderr
    return file


def login(server: Peer, client: ReferenceClient) -> str:
    assert server.hear() == ""
    server.say(client.first)
    challenge = server.hear()
    if challenge == "failed":
        return challenge
    server.say(client.final(challenge))
    answer = server.hear()
    if answer == "failed":
        return answer
    assert answer == client.expected
    server.say("")
    return server.hear()


def test_reference_does_the_vector():
    """RFC 7677 section 3: the reference itself."""
    client = ReferenceClient("user", "pencil", nonce="rOprNGfwEbeRWgbNEkqO")
    assert client.first == "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
    final = client.final("r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                         "s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096")
    assert final == ("c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,"
                     "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
    assert client.expected == "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


@pytest.mark.parametrize("name, password, answer", [
    ("alice", "wonder land", "done alice"),
    ("Alice", "wonder land", "done alice"),
    ("b,ü=", "pässwörd", "done b,ü="),
    ("alice", "wonderland", "failed"),
    ("nobody", "wonder land", "failed"),
])
def test_server(users, name, password, answer):
    with Peer("server", "SCRAM-SHA-256", users) as server:
        assert login(server, ReferenceClient(name, password)) == answer


@pytest.mark.parametrize("header, data, answer", [
    ("p=tls-exporter,,", EXPORTER[1].encode(), "done alice"),
    ("p=tls-exporter,,", b"of another channel", "failed"),
    ("p=tls-unique,,", EXPORTER[1].encode(), "failed"),
    ("n,,", b"", "failed"),
    ("y,,", b"", "failed"),
])
def test_server_plus(users, header, data, answer):
    with Peer("server", "SCRAM-SHA-256-PLUS", users, *EXPORTER) as server:
        assert login(server, ReferenceClient("alice", "wonder land", header, data)) == answer


@pytest.mark.parametrize("binding", [(), EXPORTER])
def test_client(binding):
    mechanism = "SCRAM-SHA-256-PLUS" if binding else "SCRAM-SHA-256"
    salt = secrets.token_bytes(24)
    keys = Keys("pencil", salt, 5000)
    with Peer("client", mechanism, "us,er", "pencil", *binding) as client:
        first = client.hear()
        header = "p=tls-exporter,," if binding else "n,,"
        assert first.startswith(header + "n=us=2Cer,r=")
        bare = first.removeprefix(header)
        challenge = f"r={attributes(bare)['r']}ours,s={b64(salt)},i=5000"
        client.say(challenge)
        without_proof, _, proof = client.hear().rpartition(",p=")
        data = "".join(binding[1:])
        assert base64.b64decode(attributes(without_proof)["c"]).decode() == header + data
        message = f"{bare},{challenge},{without_proof}"
        assert base64.b64decode(proof) == keys.proof(message)
        client.say("v=" + b64(keys.signature(message)))
        assert client.hear() == ""
        assert client.hear() == "done us,er"


def test_stored_keys_are_the_reference_s(users):
    line = next(line for line in users.read_text().splitlines() if line.startswith("alice:"))
    scheme, cost, stored = line.partition("scram=")[2].split("$")
    iterations, salt = cost.split(":")
    keys = Keys("wonder land", base64.b64decode(salt), int(iterations))
    assert (scheme, stored) == ("SCRAM-SHA-256", f"{b64(keys.stored)}:{b64(keys.server)}")


@pytest.mark.parametrize("mechanism, messages, answer", [
    ("PLAIN", ["\0alice\0wonder land"], "done alice"),
    ("PLAIN", ["\0alice\0wonder"], "failed"),
    ("LOGIN", ["alice", "wonder land"], "done alice"),
    ("LOGIN", ["alice", "wonder"], "failed"),
])
def test_plain_and_login(users, mechanism, messages, answer):
    with Peer("server", mechanism, users) as server:
        for message in messages:
            assert server.hear() in ("", "Username:", "Password:")
            server.say(message)
        assert server.hear() == answer


def test_user_commands(users):
    before = users.read_text()
    assert smarthopctl(users, "add", "alice", "--password-stdin", password="x").returncode == 1
    assert smarthopctl(users, "test", "alice", "--password-stdin", password="x").returncode == 1
    assert users.read_text() == before
    assert smarthopctl(users, "passwd", "alice", "--password-stdin", password="x").returncode == 0
    done = smarthopctl(users, "test", "ALICE", "--password-stdin", password="x")
    assert (done.returncode, done.stdout) == (0, "plain: good\nscram: good\n")
    assert smarthopctl(users, "list").stdout == "alice plain scram\nb,ü= plain scram\n"
    assert smarthopctl(users, "remove", "alice").returncode == 0
    assert smarthopctl(users, "remove", "alice").returncode == 1
    assert smarthopctl(users, "list").stdout == "b,ü= plain scram\n"
    assert oct(users.stat().st_mode & 0o777) == "0o600"
    assert smarthopctl(users, "passwd").returncode == 2


def test_user_grants(users, tmp_path):
    """Senders and certificates: with a new user, with a new password, and alone."""
    pairs = [certificates.make(tmp_path, name, f"DNS:{name}.test") for name in ("one", "two")]
    one, two = (certificates.fingerprint(pair) for pair in pairs)
    options = ("--send-as", "@a.example", "--send-as", "x@b.example",
               "--certificate", pairs[0].certificate)
    done = smarthopctl(users, "add", "web", "--no-password", *options)
    assert (done.returncode, done.stderr) == (0, "")
    listed = f"web no-password send_as=@a.example,x@b.example certificate={one}"
    assert smarthopctl(users, "list").stdout.splitlines()[-1] == listed
    done = smarthopctl(users, "allow", "web", "--certificate", pairs[1].certificate)
    assert (done.returncode, done.stderr) == (0, "")
    assert smarthopctl(users, "list").stdout.splitlines()[-1] == f"{listed},{two}"
    done = smarthopctl(users, "passwd", "web", "--password-stdin", "--send-as", "*", password="x")
    assert (done.returncode, done.stderr) == (0, "")
    (web,) = [user for user in json.loads(smarthopctl(users, "list", "--json").stdout)
              if user["name"] == "web"]
    assert web == {"name": "web", "plain": True, "scram": True, "certificates": [one, two],
                   "send_as": ["@a.example", "x@b.example", "*"],
                   "messages_per_hour": None, "recipients_per_hour": None}


def test_user_grants_refused(users, tmp_path):
    pair = certificates.make(tmp_path, "one", "DNS:one.test")
    smarthopctl(users, "allow", "alice", "--certificate", pair.certificate)
    before = users.read_text()
    for words, why in {
        ("--certificate", pair.certificate): "this certificate is already in line 2",
        ("--certificate", pair.key): "there is no certificate (PEM) in it",
        ("--certificate", tmp_path / "none"): "No such file",
        ("--send-as", "nobody"): "send_as: expected an address",
        (): "nothing is to be allowed",
    }.items():
        done = smarthopctl(users, "allow", "b,ü=", *words)
        assert done.returncode != 0
        assert why in done.stderr
    assert smarthopctl(users, "remove", "alice", "--send-as", "a@b").returncode == 2
    assert users.read_text() == before


class Terminal:
    """smarthopctl at a terminal of its own."""

    def __init__(self, users: Path, *words: str):
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execv(BIN / "smarthopctl", ["smarthopctl", "--users", str(users), "user", *words])

    def expect(self, text: str) -> None:
        while text not in self.seen:
            self.seen += os.read(self.fd, 4096).decode()
        self.seen = self.seen.partition(text)[2]

    def type(self, text: str) -> None:
        assert not termios.tcgetattr(self.fd)[3] & termios.ECHO
        os.write(self.fd, text.encode())

    def end(self) -> int:
        try:
            while more := os.read(self.fd, 4096):
                self.seen += more.decode()
        except OSError:  # how Linux tells that the other end is closed
            pass
        _, status = os.waitpid(self.pid, 0)
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("first, second, code", [
    ("new one\n", "new one\n", 0),
    ("new one\n", "new 0ne\n", 1),
    ("new one\n", "\x03", -2),
])
def test_asking_twice_without_echo(users, first, second, code):
    terminal = Terminal(users, "passwd", "alice")
    terminal.expect("Password of alice: ")
    terminal.type(first)
    terminal.expect("Once more, password of alice: ")
    terminal.type(second)
    assert terminal.end() == code
    assert "new" not in terminal.seen
    done = smarthopctl(users, "test", "alice", "--password-stdin", password="new one")
    assert (done.returncode == 0) == (code == 0)
