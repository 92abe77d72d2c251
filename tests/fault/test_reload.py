"""Reloads and stops under load: a reload cuts nobody off and has nothing sent twice; a stop tells
each client, and leaves no message of which its client cannot know what became of it."""

import threading

import pytest

from rig import Load, await_nothing_left, elapse, scaled, simple_message, subject_of, transact
from support.dialogue import Dialogue
from support.wait import wait_until

RELOADS = scaled(10, 50)
STOPS = scaled(3, 10)
SESSIONS = 16
LOAD = ("--messages", 500000, "--rate", 600, "--sessions", SESSIONS, "--per-session", 50, "--size",
        6000, "--deadline", 1800)
DRAIN_S = 60


def test_reload_cuts_nobody_off(make_sink, make_relay, tmp_path, hold):
    sink = make_sink()
    relay = make_relay(sink.port).start()
    resting = [Dialogue(relay.port).hello() for _ in range(10)]
    sending = [Dialogue(relay.port).hello() for _ in range(10)]
    for client in sending:
        client.begin("to@example.test")
        assert client.command("DATA").code == 354
    load = Load(tmp_path, relay.port, *LOAD)
    for number in range(RELOADS):
        relay.keys["retry_first"] = f"{200 + number}ms"
        relay.write_conf()
        assert relay.reload()["event"] == "reloaded"
        load.await_acked(20)
    report = load.cut()
    for client in sending:
        client.send(simple_message("over all reloads") + b".\r\n")
    replies = [client.reply() for client in sending]
    replies += [transact(client, simple_message("after all reloads")) for client in resting]
    ended = sum(reply is None or reply.code != 250 for reply in replies)
    hold(13, "reload: connections cut", report["lost_connections"] + ended, 0)
    hold(13, "reload: messages refused", report["failed"], 0)
    relay.drain(DRAIN_S)
    hold(13, "reload: messages lost", len(load.acked() - sink.load_ids()), 0)
    hold(2, "reload: messages sent twice", sink.stats()["duplicates"], 0)
    relay.stop()


class Client(threading.Thread):
    """Sends until it is told 421; knows of each message whether it was taken."""

    def __init__(self, relay, name):
        super().__init__()
        self.port, self.name = relay.port, name
        self.acked, self.refused, self.in_doubt = [], [], []
        self.farewell = None

    def run(self):
        number = 0
        try:
            with Dialogue(self.port).hello() as client:
                while self.farewell is None:
                    number += 1
                    self.send(client, f"{self.name}.{number}")
        except OSError:
            self.farewell = "reset"

    def send(self, client, subject):
        for line in ("MAIL FROM:<sender@client.test>", "RCPT TO:<to@example.test>", "DATA"):
            reply = client.command(line)
            if reply is None or reply.code >= 400:
                self.farewell = reply.code if reply else "silence"
                return
        self.in_doubt.append(subject)
        client.send(simple_message(subject) + b".\r\n")
        reply = client.reply()
        if reply is None:
            self.farewell = "silence"
            return
        self.in_doubt.remove(subject)
        (self.acked if reply.code == 250 else self.refused).append(subject)
        self.farewell = None if reply.code == 250 else reply.code


@pytest.mark.parametrize("stop", range(STOPS))
def test_stop_leaves_nothing_in_doubt(make_sink, make_relay, rng, hold, stop):
    sink = make_sink()
    relay = make_relay(sink.port).start()
    clients = [Client(relay, f"c{number}") for number in range(SESSIONS)]
    for client in clients:
        client.start()
    wait_until(lambda: sum(len(client.acked) for client in clients) > 50, "mail to come")
    elapse(rng.uniform(0, 0.2))
    relay.stop()
    for client in clients:
        client.join()
    hold(13, "stop: messages in doubt", sum(len(client.in_doubt) for client in clients), 0)
    hold(13, "stop: clients that were not told 421",
         sum(client.farewell != 421 for client in clients), 0)
    relay.start()
    relay.drain(DRAIN_S)
    await_nothing_left(relay)
    acked = {subject for client in clients for subject in client.acked}
    got = [subject_of(message.content) for message in sink.messages()]
    hold(13, "stop: messages lost", len(acked - set(got)), 0)
    hold(2, "stop: messages sent twice", len(got) - len(set(got)), 0)
    relay.stop()
