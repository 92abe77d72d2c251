"""The control socket, spoken to directly."""
import json
import socket

from .wait import PATIENCE_S


class Control:
    """One connection; `ask` sends a command, or `send` it; `line` takes the next line of its answer."""

    def __init__(self, relay):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(PATIENCE_S)
        self.socket.connect(str(relay.folder / relay.keys["control_socket"]))
        self._input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._input.close()
        self.socket.close()

    def line(self):
        """None at the end."""
        raw = self._input.readline()
        return json.loads(raw) if raw else None

    def send(self, command, **values):
        self.socket.sendall(json.dumps({"command": command, **values}).encode() + b"\n")

    def ask(self, command, **values):
        self.send(command, **values)
        return self.line()


class Trace(Control):
    """A trace that has begun when it is made."""

    def __init__(self, relay, network):
        super().__init__(relay)
        assert self.ask("trace", network=network) == {"ok": True}
        self.lost = 0

    def piece(self):
        """The texts of the next lines that come."""
        piece = self.line()
        assert piece is not None, "the trace has ended"
        self.lost += piece.get("lost", 0)
        return [line["text"] for line in piece["lines"]]

    def until(self, *ends):
        """All texts, to the first that begins with one of these; that one is the last of a piece."""
        texts = []
        while not (texts and texts[-1].startswith(ends)):
            texts += self.piece()
        return texts
