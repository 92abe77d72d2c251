"""Certificates for the tests, made with openssl(1)."""
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from .process import run


@dataclass
class Pair:
    """A self-signed certificate, to be trusted as its own authority, with its key."""
    certificate: Path
    key: Path


def make(folder, name, *alternatives):
    """For these subjectAltNames, e.g. "DNS:relay.test", "IP:127.0.0.1"."""
    pair = Pair(Path(folder) / f"{name}.pem", Path(folder) / f"{name}.key")
    run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
        "-nodes", "-days", "2", "-subj", f"/CN={name}", "-keyout", pair.key,
        "-out", pair.certificate, "-addext", f"subjectAltName={','.join(alternatives)}")
    return pair


def fingerprint(pair):
    """As users files and listeners name it."""
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    return f"sha256:{hashlib.sha256(der).hexdigest()}"
