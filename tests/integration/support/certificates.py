"""Certificates for the tests, made with openssl(1)."""
import hashlib
import ssl
from dataclasses import dataclass
from pathlib import Path

from .process import run

NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")

AUTHORITY = """
[ca]
default_ca = default
[default]
database = {folder}/index
new_certs_dir = {folder}
certificate = {authority.certificate}
private_key = {authority.key}
rand_serial = yes
default_md = sha256
default_days = 2
default_crl_days = 2
policy = policy
copy_extensions = copy
unique_subject = no
email_in_dn = no
[policy]
commonName = optional
"""


@dataclass
class Pair:
    """A certificate with its key."""
    certificate: Path
    key: Path


def make(folder, name, *alternatives):
    """Self-signed, to be trusted as its own authority, for these subjectAltNames, e.g.
    "DNS:relay.test", "IP:127.0.0.1"."""
    pair = Pair(Path(folder) / f"{name}.pem", Path(folder) / f"{name}.key")
    run("openssl", "req", "-x509", *NEW_KEY, "-days", "2", "-subj", f"/CN={name}",
        "-keyout", pair.key, "-out", pair.certificate,
        "-addext", f"subjectAltName={','.join(alternatives)}")
    return pair


class Authority:
    """One that signs certificates, and revokes them."""

    def __init__(self, folder, name="authority"):
        self.folder = Path(folder)
        self.name = name
        self.pair = make(folder, name, f"DNS:{name}.test")
        self._conf = self.folder / f"{name}.cnf"
        inner = self.folder / f"{name}-issued"
        inner.mkdir()
        (inner / "index").touch()
        self._conf.write_text(AUTHORITY.format(folder=inner, authority=self.pair))

    @property
    def certificate(self):
        return self.pair.certificate

    def issue(self, name, *alternatives, common_name=None, extensions=(), options=()):
        """`extensions` are further ones of the certificate, `options` those of openssl-ca(1)."""
        pair = Pair(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        request = self.folder / f"{name}.csr"
        if alternatives:
            extensions = (*extensions, f"subjectAltName={','.join(alternatives)}")
        added = [word for extension in extensions for word in ("-addext", extension)]
        subject = (common_name or name).replace("\\", "\\\\").replace("/", "\\/")
        run("openssl", "req", "-new", *NEW_KEY, "-utf8", "-subj", f"/CN={subject}", "-keyout", pair.key,
            "-out", request, *added)
        self._run("-in", request, "-out", pair.certificate, "-notext", *options)
        return pair

    def revoke(self, *pairs):
        """The authority's certificate with the list of all that it has revoked, in one file."""
        for pair in pairs:
            self._run("-revoke", pair.certificate)
        crl = self.folder / f"{self.name}.crl"
        self._run("-gencrl", "-out", crl)
        bundle = self.folder / f"{self.name}-bundle.pem"
        bundle.write_text(self.certificate.read_text() + crl.read_text())
        return bundle

    def _run(self, *options):
        run("openssl", "ca", "-batch", "-config", self._conf, *options)


def fingerprint(pair):
    """As users files and listeners name it."""
    der = ssl.PEM_cert_to_DER_cert(pair.certificate.read_text())
    return f"sha256:{hashlib.sha256(der).hexdigest()}"
