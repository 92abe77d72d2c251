"""SCRAM-SHA-256 and -PLUS as a client, straight from RFC 5802 and RFC 7677, over a Dialogue."""
import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass


class NotTheServer(Exception):
    """The other side does not know the user's keys."""


def encode(text):
    """base64 of text or bytes, as text."""
    return base64.b64encode(text.encode() if isinstance(text, str) else text).decode()


def decode(text):
    return base64.b64decode(text, validate=True).decode()


def _hmac(key, text):
    return hmac.digest(key, text, "sha256")


def _attributes(message):
    return dict(part.split("=", 1) for part in message.split(","))


@dataclass
class Scram:
    """`header` is the GS2 header, `binding` the channel's data behind "p=...,,"."""
    user: str
    password: str
    header: str = "n,,"
    binding: bytes = b""

    def __post_init__(self):
        name = self.user.replace("=", "=3D").replace(",", "=2C")
        self.nonce = secrets.token_urlsafe(18)
        self.bare = f"n={name},r={self.nonce}"
        self.signature = None

    def first(self):
        return self.header + self.bare

    def final(self, challenge):
        told = _attributes(challenge)
        assert told["r"].startswith(self.nonce) and len(told["r"]) > len(self.nonce)
        without_proof = f"c={encode(self.header.encode() + self.binding)},r={told['r']}"
        message = f"{self.bare},{challenge},{without_proof}".encode()
        salted = hashlib.pbkdf2_hmac("sha256", self.password.encode(),
                                     base64.b64decode(told["s"]), int(told["i"]))
        client = _hmac(salted, b"Client Key")
        signed = _hmac(hashlib.sha256(client).digest(), message)
        proof = bytes(a ^ b for a, b in zip(client, signed))
        self.signature = encode(_hmac(_hmac(salted, b"Server Key"), message))
        return f"{without_proof},p={encode(proof)}"

    def check(self, outcome):
        if outcome != f"v={self.signature}":
            raise NotTheServer(outcome)


def log_in(client, scram, mechanism="SCRAM-SHA-256"):
    """The status that the whole exchange ends with."""
    reply = client.command(f"AUTH {mechanism} {encode(scram.first())}")
    if reply.code != 334:
        return reply.status
    reply = client.command(encode(scram.final(decode(reply.text))))
    if reply.code != 334:
        return reply.status
    scram.check(decode(reply.text))
    return client.command("").status


def _expand_label(name, secret, label, context, length):
    """HKDF-Expand-Label of RFC 8446 7.1, as far as one block of the hash reaches."""
    label = b"tls13 " + label
    info = length.to_bytes(2, "big") + bytes([len(label)]) + label + bytes([len(context)]) + context
    return hmac.digest(secret, info + b"\x01", name)[:length]


def tls_exporter(socket):
    """RFC 9266, of a TLS 1.3 socket whose context has logged its secrets (keylog_filename)."""
    with open(socket.context.keylog_filename, encoding="ascii") as keylog:
        secrets_of = dict(line.split()[::2] for line in keylog if not line.startswith("#"))
    name = socket.cipher()[0].rpartition("_")[2].lower()
    empty = hashlib.new(name).digest()
    derived = _expand_label(name, bytes.fromhex(secrets_of["EXPORTER_SECRET"]),
                            b"EXPORTER-Channel-Binding", empty, len(empty))
    return _expand_label(name, derived, b"exporter", empty, 32)
