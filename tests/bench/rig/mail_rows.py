"""What is measured of servers that keep mailboxes."""

import selectors
import smtplib
import threading
import time
from dataclasses import dataclass

from .mail_clients import PATIENCE_S, Imap, Pop3
from .mail_servers import DOMAIN, USER
from .traffic import Generator

SIZE = 2000
LINE = b"x" * 78 + b"\r\n"
DEADLINE_S = 600
POP3_MESSAGES = 5000
BOX_MESSAGES = 10_000
APPENDS = 1000
FEW, MANY = 10, 200  # idle sessions
PUSHES = 5
TENFOLD, HALF_MORE = 10, 1.5


@dataclass
class Figure:
    """`better` is how many times better than Dovecot it has to be; `bar` what it has to be at all."""

    key: str
    label: str
    more_is_better: bool
    better: float = None
    bar: float = None


FIGURES = (
    Figure("deliver_1", "LMTP, 1 connection, messages/s", True, TENFOLD),
    Figure("deliver_1_cpu", "  CPU ms a message", False, TENFOLD),
    Figure("deliver_8", "LMTP, 8 connections, messages/s", True, TENFOLD),
    Figure("deliver_8_cpu", "  CPU ms a message", False, TENFOLD),
    Figure("pop3_each", f"POP3S, {POP3_MESSAGES} one by one, s", False, HALF_MORE),
    Figure("pop3_pipelined", "POP3S, pipelined, s", False, HALF_MORE),
    Figure("pop3_quit", f"QUIT behind {POP3_MESSAGES} DELE, s", False, TENFOLD),
    Figure("append", "APPEND pipelined, messages/s", True, TENFOLD),
    Figure("append_cpu", "  CPU ms a message", False, TENFOLD),
    Figure("select", f"SELECT of {BOX_MESSAGES}, s", False, HALF_MORE),
    Figure("fetch_first", "FETCH 1:* (FLAGS ENVELOPE), s", False, HALF_MORE),
    Figure("fetch_again", "  again, s", False, HALF_MORE),
    Figure("search_body", "SEARCH BODY, s", False, HALF_MORE),
    Figure("store", "STORE 1:*, s", False, HALF_MORE),
    Figure("expunge", "EXPUNGE of all, s", False, TENFOLD),
    Figure("idle_kib", "KiB an idle IMAPS session", False, None, 30),
    Figure("push_ms", f"IDLE: delivery to the last of {MANY}, ms", False, None, 10),
)


def generator(rig, server):
    return Generator(rig.load, server.port, DEADLINE_S)


def deliver(rig, server, messages, sessions):
    """(messages a second, CPU ms each)"""
    cpu = server.group.cpu_ms()
    load = generator(rig, server).run(
        "--lmtp", "--messages", messages, "--sessions", sessions, "--per-session", 0,
        "--size", SIZE, "--rcpt-domain", DOMAIN,
    )
    if load["accepted"] != messages:
        raise RuntimeError(f"{load['accepted']} of {messages} messages were taken")
    return load["accepted_per_s"], (server.group.cpu_ms() - cpu) / messages


def timed(action, *arguments):
    began = time.monotonic()
    action(*arguments)
    return time.monotonic() - began


def measure_delivery(rig, server, part):
    messages = (40_000 if server.name == "smarthop" else 4000) // part
    deliver(rig, server, 50, 1)
    one, one_cpu = deliver(rig, server, messages // 2, 1)
    eight, eight_cpu = deliver(rig, server, messages, 8)
    return {"deliver_1": one, "deliver_1_cpu": one_cpu, "deliver_8": eight, "deliver_8_cpu": eight_cpu}


def measure_pop3(rig, server, part):
    messages = POP3_MESSAGES // part
    numbers = range(1, messages + 1)
    deliver(rig, server, messages, 8)
    figures = {}
    client = Pop3(server.pop3_port)
    if client.count() != messages:
        raise RuntimeError("the mailbox does not have what was delivered")
    figures["pop3_each"] = timed(lambda: [client.retrieve(number) for number in numbers])
    figures["pop3_pipelined"] = timed(client.in_one_go, b"RETR", numbers, b"\r\n.\r\n")
    client.in_one_go(b"DELE", numbers, b"\r\n")
    figures["pop3_quit"] = timed(client.ask, "QUIT")
    client.close()
    return figures


def measure_append(rig, server, part):
    message = b"From: a@b.example\r\nSubject: appended\r\n\r\n" + b"0123456789 " * 170 + b"\r\n"
    client = Imap(server.imap_port)
    client.ask("SELECT INBOX")
    client.append_in_one_go("INBOX", message, 20)
    cpu = server.group.cpu_ms()
    count = APPENDS // part
    seconds = timed(client.append_in_one_go, "INBOX", message, count)
    figures = {"append": count / seconds, "append_cpu": (server.group.cpu_ms() - cpu) / count}
    client.ask("STORE 1:* +FLAGS.SILENT (\\Deleted)")
    client.ask("EXPUNGE")
    client.close()
    return figures


def measure_box(rig, server, part):
    deliver(rig, server, BOX_MESSAGES // part, 8)
    client = Imap(server.imap_port)
    figures = {
        "select": timed(client.ask, "SELECT INBOX"),
        "fetch_first": timed(client.ask, "FETCH 1:* (FLAGS ENVELOPE)"),
        "fetch_again": timed(client.ask, "FETCH 1:* (FLAGS ENVELOPE)"),
        "search_body": timed(client.ask, 'SEARCH BODY "is not in any of them"'),
        "store": timed(client.ask, "STORE 1:* +FLAGS (\\Deleted)"),
        "expunge": timed(client.ask, "EXPUNGE"),
    }
    client.close()
    return figures


def idling(server, count):
    clients = [Imap(server.imap_port) for _ in range(count)]
    for client in clients:
        client.ask("SELECT INBOX")
        client.idle()
    return clients


def push(server, clients):
    """Milliseconds from the 250 of a delivery until the last client is told of it. A client that is
    told before the 250 was read counts as told at once. One thread looks at all sockets, and what
    they have got is read afterwards: many would be told of themselves."""
    time.sleep(0.2)
    sockets = selectors.DefaultSelector()
    for client in clients:
        client.forget()
        sockets.register(client.socket, selectors.EVENT_READ)
    told = []

    def wait():
        while sockets.get_map() and (ready := sockets.select(PATIENCE_S)):
            told.append(time.monotonic())
            for key, _ in ready:
                sockets.unregister(key.fileobj)

    thread = threading.Thread(target=wait)
    with smtplib.LMTP("127.0.0.1", server.port) as lmtp:
        thread.start()
        lmtp.sendmail("sender@example.org", f"{USER}@{DOMAIN}", b"\r\n" + LINE * (SIZE // len(LINE)))
        taken = time.monotonic()
    thread.join()
    sockets.close()
    for client in clients:
        client.await_exists()
    return max(0.0, (told[-1] - taken) * 1000)


def measure_idle(rig, server, _part):
    few = idling(server, FEW)
    time.sleep(1)
    before = server.group.memory_kib()[1]
    more = idling(server, MANY - FEW)
    time.sleep(1)
    each = (server.group.memory_kib()[1] - before) / (MANY - FEW)
    pushes = sorted(push(server, few + more) for _ in range(PUSHES))
    for client in few + more:
        client.close()
    return {"idle_kib": each, "push_ms": pushes[PUSHES // 2]}


ROWS = {
    "delivery": measure_delivery,
    "pop3": measure_pop3,
    "append": measure_append,
    "box": measure_box,
    "idle": measure_idle,
}
