"""A scripted SMTP server on a Unix socket, for what sendmail says to one."""
import socket
import threading
from dataclasses import dataclass, field

EXTENSIONS = ("PIPELINING", "SIZE 1000000", "8BITMIME", "SMTPUTF8", "DSN")


@dataclass
class Transaction:
    mail: str = ""
    rcpts: list = field(default_factory=list)
    content: bytes = b""  # without the stuffed dots and the end of data


class LocalServer:
    """
    `replies` maps the start of a command to what is answered in place of 250, or to a list of such
    answers; "" closes the connection. "CONNECT" stands for the greeting, "END" for the end of data.
    """

    def __init__(self, path, replies=None, extensions=EXTENSIONS):
        self.replies = dict(replies or {})
        self.extensions = extensions
        self.commands = []
        self.transactions = []
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(path))
        self._listener.listen()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def _serve(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            try:
                with connection, connection.makefile("rwb") as stream:
                    self._session(stream)
            except (BrokenPipeError, ConnectionResetError):
                pass  # sendmail does not stay for an answer that it gives up on

    def _answer(self, stream, command, standard):
        """The code; 0 where the connection is to be closed, or what was answered is no reply."""
        key = next((key for key in self.replies if command.startswith(key)), None)
        answer = standard if key is None else self.replies[key]
        if isinstance(answer, list):
            answer = answer.pop(0) if answer else standard
        stream.write(f"{answer}\r\n".encode() if answer else b"")
        stream.flush()
        return int(answer[:3]) if answer[:3].isdigit() else 0

    def _session(self, stream):
        going = self._answer(stream, "CONNECT", "220 relay.test ESMTP")
        transaction = Transaction()
        while going and (line := stream.readline()):
            assert line.endswith(b"\r\n"), line
            command = line[:-2].decode()
            self.commands.append(command)
            if command.startswith("EHLO"):
                going = self._answer(stream, command, "\r\n".join(
                    ["250-relay.test", *(f"250-{name}" for name in self.extensions), "250 HELP"]))
            elif command == "QUIT":
                self._answer(stream, command, "221 bye")
                return
            elif command == "DATA":
                going = self._data(stream, transaction)
                transaction = Transaction()
            else:
                going = self._answer(stream, command, "250 2.0.0 ok")
                if command.startswith("MAIL FROM:") and going == 250:
                    transaction.mail = command[len("MAIL FROM:"):]
                elif command.startswith("RCPT TO:") and going == 250:
                    transaction.rcpts.append(command[len("RCPT TO:"):])

    def _data(self, stream, transaction):
        code = self._answer(stream, "DATA", "354 go on")
        if code != 354:
            return code
        lines = []
        while (line := stream.readline()) != b".\r\n":
            assert line.endswith(b"\r\n"), line
            lines.append(line.removeprefix(b"."))
        transaction.content = b"".join(lines)
        code = self._answer(stream, "END", "250 2.0.0 queued")
        if code == 250:
            self.transactions.append(transaction)
        return code
