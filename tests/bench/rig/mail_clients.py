"""Clients that cost little beside the servers that they measure: POP3 and IMAP over TLS, read by lines
and counts, nothing parsed that need not be."""

import base64
import contextlib
import socket
import ssl

from .mail_servers import PASSWORD, USER

RECEIVE = 1 << 20
PATIENCE_S = 120


class Line:
    """A TLS connection with a buffer of what has come."""

    def __init__(self, port):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        plain = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket = context.wrap_socket(plain)
        self.buffer = bytearray()

    def send(self, data):
        self.socket.sendall(data)

    def _more(self):
        data = self.socket.recv(RECEIVE)
        if not data:
            raise RuntimeError(f"the server has closed the connection behind {bytes(self.buffer[-200:])!r}")
        self.buffer += data

    def forget(self):
        """What has come already."""
        self.buffer.clear()
        self.socket.setblocking(False)
        with contextlib.suppress(ssl.SSLWantReadError):
            while self.socket.recv(RECEIVE):
                pass
        self.socket.settimeout(PATIENCE_S)

    def line(self):
        return self.until(b"\r\n")

    def until(self, end, start=0):
        """All up to `end`, with it."""
        while (at := self.buffer.find(end, start)) < 0:
            start = max(start, len(self.buffer) - len(end) + 1)
            self._more()
        taken = bytes(self.buffer[: at + len(end)])
        del self.buffer[: at + len(end)]
        return taken

    def close(self):
        self.socket.close()


class Pop3(Line):
    def __init__(self, port):
        super().__init__(port)
        self.line()
        for command in (f"USER {USER}", f"PASS {PASSWORD}"):
            self.ask(command)

    def ask(self, command):
        self.send(command.encode() + b"\r\n")
        answer = self.line()
        if not answer.startswith(b"+OK"):
            raise RuntimeError(f"{command}: {answer!r}")
        return answer

    def count(self):
        return int(self.ask("STAT").split()[1])

    def retrieve(self, number):
        self.ask(f"RETR {number}")
        return self.until(b"\r\n.\r\n")

    def in_one_go(self, command, numbers, end):
        """Sends all commands, and reads until so many answers have ended."""
        self.send(b"".join(b"%s %d\r\n" % (command, number) for number in numbers))
        for _ in numbers:
            self.until(end)


class Imap(Line):
    def __init__(self, port):
        super().__init__(port)
        self.tags = 0
        self.line()
        token = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
        self.ask(f"AUTHENTICATE PLAIN {token}")

    def ask(self, command):
        """Returns all that came, to the tagged line."""
        self.tags += 1
        tag = b"t%d" % self.tags
        self.send(tag + b" " + command.encode() + b"\r\n")
        return self.answer_to(tag)

    def answer_to(self, tag):
        start = b"\r\n" + tag + b" "
        self.buffer[:0] = b"\r\n"  # so that a line begins everywhere behind one
        before = self.until(start)
        end = self.line()
        if not end.startswith(b"OK"):
            raise RuntimeError(f"the answer is {end!r}")
        return before[2:] + end

    def append_in_one_go(self, box, message, count):
        head = f"APPEND {box} {{{len(message)}+}}\r\n".encode()
        first = self.tags + 1
        self.tags += count
        self.send(b"".join(b"t%d %s%s\r\n" % (first + i, head, message) for i in range(count)))
        for i in range(count):
            self.answer_to(b"t%d" % (first + i))

    def idle(self):
        self.tags += 1
        self.send(b"t%d IDLE\r\n" % self.tags)
        while not self.line().startswith(b"+"):
            pass

    def await_exists(self):
        while b" EXISTS" not in self.line():
            pass
