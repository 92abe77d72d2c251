"""Ports that nobody else gets."""
import socket

_kept = []  # to the end of the run


def own_port(host="127.0.0.1"):
    """
    A TCP port on which nobody listens yet. A socket that is bound and does not listen keeps it
    until the run ends: a server that was stopped finds its port again, and what still tries one
    that is gone is refused, instead of reaching the server of another test beside this one.
    """
    keeper = socket.socket()
    keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    keeper.bind((host, 0))
    _kept.append(keeper)
    return keeper.getsockname()[1]
