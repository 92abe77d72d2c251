"""COMPRESS=DEFLATE (RFC 4978) over IMAP, in plain text and inside TLS."""
import socket
import zlib

import pytest
from support import content
from support.drop import ALICE, PASSWORDS

MESSAGES = 30
MESSAGE = content.message(b"".join(b"line %d of it\r\n" % n for n in range(200)))


class Client:
    """Lines, and once it is asked for, compressed ones."""

    def __init__(self, connection):
        self.socket = connection
        self.buffer = b""
        self.packer = self.unpacker = None
        self.received = 0

    def compress(self):
        self.packer = zlib.compressobj(wbits=-15)
        self.unpacker = zlib.decompressobj(wbits=-15)

    def send(self, data):
        if self.packer:
            data = self.packer.compress(data) + self.packer.flush(zlib.Z_SYNC_FLUSH)
        self.socket.sendall(data)

    def line(self):
        while b"\r\n" not in self.buffer:
            data = self.socket.recv(65536)
            assert data, "the connection is closed"
            self.received += len(data)
            self.buffer += self.unpacker.decompress(data) if self.unpacker else data
        line, _, self.buffer = self.buffer.partition(b"\r\n")
        return line

    def ask(self, command):
        """All lines up to the tagged one."""
        self.send(b"t " + command + b"\r\n")
        lines = [self.line()]
        while not lines[-1].startswith(b"t "):
            lines.append(self.line())
        return lines


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_all_is_compressed(start_drop, trusting, tls):
    drop = start_drop()
    for _ in range(MESSAGES):
        drop.deliver(MESSAGE)
    port = drop.ports["imaps" if tls else "imap"]
    connection = socket.create_connection(("localhost" if tls else "127.0.0.1", port), timeout=20)
    if tls:
        connection = trusting.wrap_socket(connection, server_hostname="localhost")
    client = Client(connection)
    client.line()
    client.ask(f'LOGIN {ALICE} "{PASSWORDS[ALICE]}"'.encode())
    assert any(b" COMPRESS=DEFLATE" in line for line in client.ask(b"CAPABILITY"))
    assert client.ask(b"COMPRESS DEFLATE")[-1].startswith(b"t OK")
    client.compress()
    assert client.ask(b"COMPRESS DEFLATE")[-1].startswith(b"t NO [COMPRESSIONACTIVE]")
    assert not any(b"COMPRESS" in line for line in client.ask(b"CAPABILITY"))
    assert client.ask(b"SELECT INBOX")[-1].startswith(b"t OK")
    before = client.received
    lines = client.ask(b"FETCH 1:* BODY.PEEK[TEXT]")
    assert lines.count(b"line 199 of it") == MESSAGES
    assert client.received - before < MESSAGES * len(MESSAGE) / 4
    assert client.ask(b"NOOP")[-1].startswith(b"t OK")
    connection.close()
