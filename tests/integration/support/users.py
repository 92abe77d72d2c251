"""Users files, made as an operator makes them."""
from .process import BIN, run


def edit(file, action, name, password=None, options=()):
    """smarthopctl user ACTION NAME"""
    arguments = [] if password is None else ["--password-stdin"]
    run(BIN / "smarthopctl", "--users", file, "user", action, name, *arguments, *options,
        stdin=f"{password}\n".encode())


def make(file, passwords):
    """passwords: name -> password"""
    for name, password in passwords.items():
        edit(file, "add", name, password)
    return file


def add_fields(file, name, *fields):
    """Adds KEY=VALUE to this user's line."""
    lines = file.read_text().splitlines(keepends=True)
    added = "".join(f",{field}" for field in fields)
    file.write_text("".join(line.replace("\n", f"{added}\n") if line.startswith(f"{name}:")
                            else line for line in lines))


def allow(file, name, *senders):
    add_fields(file, name, *(f"send_as={sender}" for sender in senders))
