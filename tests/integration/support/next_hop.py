"""A next hop that offers what it is told to, logs clients in, and can speak LMTP (RFC 2033)."""
import base64
import hashlib
import hmac
import os
import re
import secrets
import socket
import threading
from dataclasses import dataclass, field

from .port import own_port
from .sink import Received
from .wait import PATIENCE_S, wait_until

ITERATIONS = 4096
VERB = re.compile(rb"[A-Za-z]+")


def plain_text(text):
    return base64.b64decode(text, validate=True)


def encode(data):
    return base64.b64encode(data).decode()


class Gone(Exception):
    """The client has left, or is to be left."""


@dataclass
class Transaction:
    mail: str = ""
    rcpts: list = field(default_factory=list)
    content: bytes = b""


class NextHop:
    """
    Listens on a port of 127.0.0.1, or on the Unix socket `path`. With a `context` it offers
    STARTTLS, or where it is `implicit` speaks TLS from the first byte; `resumed` tells of each TLS
    session whether it was an earlier one's. `users` are those who can log in, by the mechanisms that `offers` names. `answer` gets
    each command's verb and line, "." for the end of a message, and for LMTP "." and each recipient;
    it returns a reply to give instead of the usual one, or "" to close the connection.
    """

    def __init__(self, *offers, context=None, users=None, lmtp=False, path=None, answer=None,
                 implicit=False):
        self.offers = offers
        self.context = context
        self.implicit = implicit
        self.resumed = []
        self.users = users or {}
        self.lmtp = lmtp
        self.answer = answer or (lambda verb, line: None)
        self.commands = []
        self.logins = []
        self.messages = []
        self.clients = []
        self._sockets = []
        family = socket.AF_UNIX if path else socket.AF_INET
        self._listener = socket.socket(family)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind(str(path) if path else ("127.0.0.1", own_port()))
        self._listener.listen(64)
        self.host, self.port = (None, None) if path else self._listener.getsockname()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        """May be called twice."""
        if self._listener.fileno() < 0:
            return
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in self._sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has gone by itself

    def wait(self, count):
        """All messages, once there are `count`."""
        return wait_until(lambda: len(self.messages) >= count and list(self.messages),
                          f"{count} messages at the next hop; it was told {self.commands}")

    def said(self, verb):
        return [line for line in list(self.commands) if line.split(" ")[0] == verb]

    def session(self, client):
        return Session(self, client)

    def _accept(self):
        while True:
            try:
                client, address = self._listener.accept()
            except OSError:
                return
            client.settimeout(PATIENCE_S)
            self._sockets.append(client)
            self.clients.append(address[0] if address else "")
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        try:
            self.session(client).run()
        except (Gone, OSError):
            pass
        client.close()


class Session:
    def __init__(self, server, client):
        self.server = server
        self.socket = client
        self.input = self.reader()
        self.secured = False
        if server.implicit:
            self.secure()
        self.transaction = Transaction()

    def greet(self):
        self.say("220 next-hop.test")

    def run(self):
        self.greet()
        while True:
            line = self.line()
            verb = VERB.match(line)[0].decode().upper()
            self.server.commands.append(line.decode())
            other = self.server.answer(verb, line.decode())
            if other is None:
                getattr(self, f"on_{verb.lower()}", self.on_other)(line.decode())
            else:
                self.say(other)

    def reader(self):
        return self.socket.makefile("rb")

    def say(self, *lines):
        if lines == ("",):
            raise Gone
        self.socket.sendall("".join(f"{line}\r\n" for line in lines).encode())

    def line(self):
        line = self.input.readline()
        if not line.endswith(b"\r\n"):
            raise Gone
        return line[:-2]

    # ---- commands ----

    def on_other(self, _):
        self.say("250 2.0.0 ok")

    def on_ehlo(self, _):
        offers = ["next-hop.test", *self.server.offers]
        if self.server.context is not None and not self.secured:
            offers.append("STARTTLS")
        self.say(*(f"250-{offer}" for offer in offers[:-1]), f"250 {offers[-1]}")

    def on_lhlo(self, line):
        assert self.server.lmtp
        self.on_ehlo(line)

    def on_starttls(self, _):
        self.say("220 2.0.0 go")
        self.secure()

    def secure(self):
        self.socket = self.server.context.wrap_socket(self.socket, server_side=True)
        self.input = self.reader()
        self.secured = True
        self.server.resumed.append(self.socket.session_reused)

    def on_mail(self, line):
        self.transaction = Transaction(mail=line.split(":", 1)[1])
        self.say("250 2.1.0 ok")

    def on_rcpt(self, line):
        self.transaction.rcpts.append(line.split(":", 1)[1])
        self.say("250 2.1.5 ok")

    def on_rset(self, _):
        self.transaction = Transaction()
        self.say("250 2.0.0 ok")

    def on_data(self, _):
        self.say("354 go")
        lines = []
        while (line := self.line()) != b".":
            lines.append((line[1:] if line.startswith(b".") else line) + b"\r\n")
        self.transaction.content = b"".join(lines)
        self.end()

    def on_bdat(self, line):
        _, size, *last = line.split(" ")
        self.transaction.content += self.input.read(int(size))
        if last:
            self.end()
        else:
            self.say("250 2.0.0 ok")

    def end(self):
        done, self.transaction = self.transaction, Transaction()
        received = Received(done.mail, done.rcpts, done.content)
        if self.server.lmtp:
            taken = [each for each in done.rcpts if self.answer_end(f". {each}")]
            received.rcpts = taken
        if not self.server.lmtp and not self.answer_end("."):
            return
        if received.rcpts:
            self.server.messages.append(received)

    def answer_end(self, line):
        reply = self.server.answer(".", line)
        self.say("250 2.0.0 taken" if reply is None else reply)
        return reply is None or reply.startswith("2")

    def on_quit(self, _):
        self.say("221 2.0.0 bye")
        raise Gone

    # ---- AUTH ----

    def on_auth(self, line):
        _, mechanism, *initial = line.split(" ")
        assert any(mechanism in offer.split() for offer in self.server.offers), mechanism
        user = getattr(self, mechanism.split("-")[0].lower())(mechanism, initial)
        self.server.logins.append((mechanism, user))
        self.say("235 2.7.0 in" if user else "535 5.7.8 who?")

    def ask(self, challenge=b""):
        self.say(f"334 {encode(challenge)}")
        return plain_text(self.line())

    def plain(self, _, initial):
        _, user, password = (plain_text(initial[0]) if initial else self.ask()).decode().split("\0")
        return user if self.server.users.get(user) == password else None

    def login(self, _, __):
        user, password = self.ask(b"User Name").decode(), self.ask(b"Password").decode()
        return user if self.server.users.get(user) == password else None

    def scram(self, mechanism, initial):
        """RFC 5802 with SHA-256; -PLUS binds by tls-unique."""
        first = plain_text(initial[0]).decode()
        header, bare = re.fullmatch(r"(.*?,.*?,)(n=.*)", first).groups()
        user, nonce = re.fullmatch(r"n=(.*),r=(.*)", bare).groups()
        binding = b""
        if mechanism.endswith("-PLUS"):
            assert header == "p=tls-unique,,", header
            binding = self.socket.get_channel_binding("tls-unique")
        salt = os.urandom(16)
        told = f"r={nonce}{secrets.token_hex(8)},s={encode(salt)},i={ITERATIONS}"
        final = self.ask(told.encode()).decode()
        without_proof, proof = final.rsplit(",p=", 1)
        expected = f"c={encode(header.encode() + binding)},r={told[2:].split(',')[0]}"
        password = self.server.users.get(user, secrets.token_hex())
        salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
        message = f"{bare},{told},{without_proof}".encode()
        key = hmac.digest(salted, b"Client Key", "sha256")
        signed = hmac.digest(hashlib.sha256(key).digest(), message, "sha256")
        if without_proof != expected or plain_text(proof) != bytes(
                a ^ b for a, b in zip(key, signed)):
            return None
        server_key = hmac.digest(salted, b"Server Key", "sha256")
        assert self.ask(b"v=" + encode(hmac.digest(server_key, message, "sha256")).encode()) == b""
        return user
