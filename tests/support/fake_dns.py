#!/usr/bin/env python3
"""A scripted name server on 127.0.0.1, over UDP and TCP, for the integration tests.

The zone has one rule a line; tests/support/dns_server.h describes them. In a test:

    with FakeDns() as dns:
        dns.records["example.test"] = ["MX 60 10 mx.test"]
        dns.records["mx.test"] = ["A 60 127.0.0.1", "AAAA !nodata 60"]
        ... dns.port, dns.queries ...

`records` may be changed at any time. As a program it prints the port it listens on:

    python3 fake_dns.py --port 0 --zone FILE
"""
import argparse
import ipaddress
import signal
import socket
import struct
import threading
import time

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "SOA": 6, "PTR": 12, "MX": 15, "TXT": 16, "AAAA": 28,
         "TLSA": 52}
TYPE_NAMES = {number: name for name, number in TYPES.items()}
NOERROR, SERVFAIL, NXDOMAIN, REFUSED = 0, 2, 3, 5
SOA_MINIMUM = 300
FOLLOW_MAX = 16
PORT_TRIES = 50


def parse_zone(text):
    """NAME -> rules without the name, as `records` holds them."""
    records = {}
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if line:
            name, rule = line.split(None, 1)
            records.setdefault(name.lower().rstrip("."), []).append(rule)
    return records


def encode_name(name):
    labels = [label for label in name.rstrip(".").split(".") if label]
    return b"".join(bytes([len(label)]) + label.encode() for label in labels) + b"\0"


def encode_data(kind, text):
    if kind in ("A", "AAAA"):
        return ipaddress.ip_address(text).packed
    if kind == "MX":
        preference, host = text.split()
        return struct.pack("!H", int(preference)) + encode_name(host)
    if kind == "TXT":
        chunks = [one[at:at + 255] for one in text.encode().split(b"|")
                  for at in range(0, max(len(one), 1), 255)]
        return b"".join(bytes([len(chunk)]) + chunk for chunk in chunks)
    if kind == "TLSA":
        usage, selector, matching, digest = text.split()
        return bytes([int(usage), int(selector), int(matching)]) + bytes.fromhex(digest)
    return encode_name(text)


def encode_record(name, kind, ttl, data):
    return encode_name(name) + struct.pack("!HHIH", TYPES[kind], 1, ttl, len(data)) + data


def encode_soa(minimum):
    data = encode_name("ns.test") + encode_name("hostmaster.test")
    data += struct.pack("!5I", 1, 3600, 600, 86400, minimum)
    return encode_record("test", "SOA", 86400, data)


class Query:
    def __init__(self, packet, over_tcp):
        self.id = packet[:2]
        self.over_tcp = over_tcp
        labels, at = [], 12
        while packet[at]:
            size = packet[at]
            labels.append(packet[at + 1:at + 1 + size].decode("latin-1"))
            at += size + 1
        self.name = ".".join(labels).lower()
        number, = struct.unpack_from("!H", packet, at + 1)
        self.type = TYPE_NAMES.get(number, str(number))
        self.question = packet[12:at + 5]


class Reply:
    def __init__(self):
        self.rcode = NOERROR
        self.truncated = False
        self.answers = []
        self.authority = []

    def encode(self, query):
        flags = 0x8180 | self.rcode | (0x0200 if self.truncated else 0)
        counts = struct.pack("!HHHHH", flags, 1, len(self.answers), len(self.authority), 0)
        return query.id + counts + query.question + b"".join(self.answers + self.authority)


class FakeDns:
    def __init__(self, records=None, port=0, host="127.0.0.1"):
        self.records = records if records is not None else {}
        self.queries = []  # (name, type, "udp" or "tcp")
        self.host = host
        self.port = port
        self._lock = threading.Lock()
        self._threads = []
        self._udp = self._tcp = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self):
        self._bind()
        for serve in (self._serve_udp, self._serve_tcp):
            thread = threading.Thread(target=serve, daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def stop(self):
        """Ends both transports; another server may be started on the port."""
        for end in (self._udp, self._tcp):
            try:
                end.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            except OSError:
                pass
        for thread in self._threads:
            thread.join()
        self._threads.clear()
        self._udp.close()
        self._tcp.close()

    @property
    def address(self):
        return f"{self.host}:{self.port}"

    def count(self, name=None, kind=None):
        with self._lock:
            return sum(1 for seen_name, seen_kind, _ in self.queries
                       if name in (None, seen_name) and kind in (None, seen_kind))

    def _bind(self):
        for attempt in range(PORT_TRIES):
            self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            self._tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                self._udp.bind((self.host, self.port))
                chosen = self._udp.getsockname()[1]
                self._tcp.bind((self.host, chosen))
                self._tcp.listen(16)
                self.port = chosen
                return
            except OSError:
                self._udp.close()
                self._tcp.close()
                # A free UDP port may be taken for TCP; a port that was asked for must do.
                if self.port != 0 or attempt == PORT_TRIES - 1:
                    raise

    # ---- what the zone says ----

    def _rules(self, name):
        """(type, number, data or !action) of every rule of the name."""
        for line in list(self.records.get(name.rstrip(".").lower(), ())):
            kind, third, *rest = line.split(None, 2)
            text = rest[0] if rest else ""
            if third.startswith("!"):
                yield kind, int(text) if text else SOA_MINIMUM, third
            else:
                yield kind, int(third), text

    def _action(self, name, kind, action):
        for rule_kind, number, text in self._rules(name):
            if rule_kind in (kind, "*") and text == action:
                return number
        return None

    def _put_records(self, reply, name, kind):
        last = None
        for rule_kind, ttl, text in self._rules(name):
            if rule_kind == kind and not text.startswith("!"):
                reply.answers.append(encode_record(name, kind, ttl, encode_data(kind, text)))
                last = text
        return last

    def _deny(self, reply, rcode, minimum):
        reply.rcode = rcode
        reply.authority.append(encode_soa(minimum))

    def _answer_from_zone(self, reply, name, kind):
        for _ in range(FOLLOW_MAX):
            minimum = self._action(name, kind, "!nodata")
            if minimum is not None:
                return self._deny(reply, NOERROR, minimum)
            minimum = self._action(name, kind, "!nxdomain")
            if minimum is not None or name.rstrip(".").lower() not in self.records:
                return self._deny(reply, NXDOMAIN, SOA_MINIMUM if minimum is None else minimum)
            if self._put_records(reply, name, kind) is not None:
                return None
            if self._action(name, kind, "!empty") is not None:
                return None
            alias = self._put_records(reply, name, "CNAME")
            if alias is None:
                return self._deny(reply, NOERROR, SOA_MINIMUM)
            if self._action(name, kind, "!no-follow") is not None:
                return None
            name = alias
        return None

    def _answer(self, packet, over_tcp):
        """(the reply or None, seconds to wait)"""
        try:
            query = Query(packet, over_tcp)
        except (IndexError, struct.error):
            return None, 0
        with self._lock:
            self.queries.append((query.name, query.type, "tcp" if over_tcp else "udp"))

        def has(action):
            return self._action(query.name, query.type, action) is not None

        if has("!silent"):
            return None, 0
        reply = Reply()
        if has("!wrong-id"):
            query.id = bytes([query.id[0] ^ 0xff, query.id[1]])
        if has("!truncated") and not over_tcp:
            reply.truncated = True
        elif has("!servfail"):
            reply.rcode = SERVFAIL
        elif has("!refused"):
            reply.rcode = REFUSED
        elif has("!referral"):
            there = encode_name("ns.elsewhere.test")
            reply.authority.append(encode_record("test", "NS", 3600, there))
        else:
            self._answer_from_zone(reply, query.name, query.type)
        data = reply.encode(query)
        if has("!malformed"):
            data = data[:-3]
        return data, (self._action(query.name, query.type, "!delay") or 0) / 1000

    # ---- the sockets ----

    def _send_udp(self, data, peer):
        try:
            self._udp.sendto(data, peer)
        except OSError:
            pass  # stopped in the meantime

    def _serve_udp(self):
        while True:
            try:
                packet, peer = self._udp.recvfrom(65535)
            except OSError:
                return
            if not packet and peer is None:
                return  # shut down
            data, delay = self._answer(packet, over_tcp=False)
            if data is None:
                continue
            if delay:
                timer = threading.Timer(delay, self._send_udp, (data, peer))
                timer.daemon = True
                timer.start()
            else:
                self._send_udp(data, peer)

    def _serve_tcp(self):
        while True:
            try:
                connection, _ = self._tcp.accept()
            except OSError:
                return
            threading.Thread(target=self._serve_connection, args=(connection,),
                             daemon=True).start()

    def _serve_connection(self, connection):
        with connection, connection.makefile("rb") as stream:
            connection.settimeout(10)
            try:
                while len(prefix := stream.read(2)) == 2:
                    packet = stream.read(struct.unpack("!H", prefix)[0])
                    data, delay = self._answer(packet, over_tcp=True)
                    if data is not None:
                        time.sleep(delay)
                        connection.sendall(struct.pack("!H", len(data)) + data)
            except OSError:
                pass


def main():
    parser = argparse.ArgumentParser(description="a scripted name server")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--zone", required=True, help="file of rules; read again on SIGHUP")
    args = parser.parse_args()

    def read_zone():
        with open(args.zone, encoding="ascii") as file:
            return parse_zone(file.read())

    wanted = {signal.SIGHUP, signal.SIGINT, signal.SIGTERM}
    # Before there are threads, so that only sigwait gets them.
    signal.pthread_sigmask(signal.SIG_BLOCK, wanted)
    dns = FakeDns(read_zone(), args.port).start()
    print(dns.port, flush=True)
    while signal.sigwait(wanted) == signal.SIGHUP:
        dns.records = read_zone()
    dns.stop()


if __name__ == "__main__":
    main()
