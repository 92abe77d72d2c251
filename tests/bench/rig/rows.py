"""The rows of the benchmark: what is sent, what is measured, and the bar for each figure."""

import time
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median

from .accounting import CallCount, PeakMemory
from .servers import free_port
from .tables import DOMAINS, Tables
from .traffic import Generator, Sink

KIB = 1024
WARM_UP_ID = 10**12
WARM_UP_MESSAGES = 200
SETTLE_S = 0.3
NOTHING_CAME_S = 30
FEW_SESSIONS = 10
ACCEPT_P99_VOID_MS = 200
SESSIONS = 50


@dataclass(frozen=True)
class Traffic:
    """A row in which mail flows. `messages` is for the slowest peer; fast ones get more."""

    messages: int
    arguments: tuple
    recipients: int = 1
    tls: bool = False
    paced: bool = False
    counted: bool = True


TRAFFIC = {
    "small": Traffic(4000, ("--per-session", 1)),
    "keepalive": Traffic(5000, ("--per-session", 100)),
    "fanout": Traffic(800, ("--per-session", 1, "--recipients", 50), recipients=50),
    "large": Traffic(800, ("--per-session", 1, "--size", KIB * KIB)),
    "tls": Traffic(1500, ("--per-session", 1, "--tls", "starttls"), tls=True),
    "trickle": Traffic(200, ("--per-session", 1, "--rate", 20), paced=True, counted=False),
}
# Next hops that take their time for each reply, with enough mail for all of them to outlast the
# trickle to the fast one.
SLOW_HOPS = 10
SLOW_REPLY_MS = 200
SLOW_DOMAIN = "slow.test"
SLOW_BACKLOG = 8000
DEPTH_ROWS = ("enqueue", "list", "restart", "drain")
# As small, but that each message has a recipient of its own, which one of the tables has.
TABLES = 10
TABLE_ENTRIES = 1_000_000
TABLES_TRAFFIC = Traffic(4000, ("--per-session", 1, "--domains", DOMAINS))
ALL_ROWS = (*TRAFFIC, "slow-hops", "tables", "idle", *DEPTH_ROWS)


@dataclass(frozen=True)
class Figure:
    """One line of the table. `bar` is what PERFORMANCE asks of Smarthop."""

    row: str
    key: str
    label: str
    more_is_better: bool
    bar: float = None


FIGURES = (
    Figure("small", "delivered_per_s", "messages/s end to end", True, 4000),
    Figure("small", "accepted_per_s", "messages/s accepted", True),
    Figure("small", "end_to_end_ratio", "end to end / accepted", True, 0.95),
    Figure("small", "cpu_ms", "CPU ms a message", False, 0.15),
    Figure("small", "accept_p50_ms", "accept p50 ms, connect to 250", False, 12),
    Figure("small", "accept_p99_ms", "accept p99 ms, connect to 250", False, 25),
    Figure("small", "end_to_end_p50_ms", "end to end p50 ms", False),
    Figure("small", "bytes", "bytes written a message", False, 9000),
    Figure("small", "syncs", "syncs a message", False, 0.1),
    Figure("small", "system_calls", "system calls a message", False, 60),
    Figure("small", "peak_mib", "peak memory MiB", False),
    Figure("keepalive", "delivered_per_s", "messages/s end to end", True, 6000),
    Figure("keepalive", "accepted_per_s", "messages/s accepted", True),
    Figure("keepalive", "cpu_ms", "CPU ms a message", False, 0.18),
    Figure("keepalive", "accept_p99_ms", "accept p99 ms", False),
    Figure("keepalive", "system_calls", "system calls a message", False),
    Figure("fanout", "delivered_recipients_per_s", "recipients/s end to end", True, 60000),
    Figure("fanout", "cpu_ms", "CPU ms a message", False, 1.2),
    Figure("fanout", "bytes", "bytes written a message", False),
    Figure("fanout", "system_calls", "system calls a message", False),
    Figure("large", "delivered_per_s", "messages/s end to end", True, 350),
    Figure("large", "cpu_ms", "CPU ms a message", False, 2.5),
    Figure("large", "peak_mib", "peak memory MiB", False),
    Figure("tls", "delivered_per_s", "messages/s end to end", True, 700),
    Figure("tls", "cpu_ms", "CPU ms a message", False, 0.9),
    Figure("tls", "outbound_tls_share", "share of outbound connections in TLS", True),
    Figure("trickle", "end_to_end_p50_ms", "MAIL to the sink's 250, p50 ms", False, 5),
    Figure("trickle", "end_to_end_p99_ms", "MAIL to the sink's 250, p99 ms", False),
    Figure("trickle", "cpu_ms", "CPU ms a message", False),
    Figure("slow-hops", "to_alone", "p50 to a fast hop / alone", False, 1.2),
    Figure("slow-hops", "p50_ms", "MAIL to the fast sink's 250, p50 ms", False),
    Figure("slow-hops", "p99_ms", "MAIL to the fast sink's 250, p99 ms", False),
    Figure("tables", "to_without", "messages/s, ten tables / none", True, 0.9),
    Figure("tables", "cpu_to_without", "CPU a message, ten tables / none", False, 1.1),
    Figure("tables", "delivered_per_s", "messages/s end to end, ten tables", True),
    Figure("tables", "cpu_ms", "CPU ms a message, ten tables", False),
    Figure("idle", "plain_kib", "KiB a session", False, 4),
    Figure("idle", "tls_kib", "KiB a TLS session", False, 22),
    Figure("idle", "flood_s", "5,000 sessions opened in, s", False, 0.3),
    Figure("enqueue", "accepted_per_s", "messages/s, next hop down", True, 4000),
    Figure("enqueue", "last_to_first_tenth", "last tenth / first tenth", True, 0.95),
    Figure("enqueue", "cpu_ms", "CPU ms a message", False),
    Figure("enqueue", "memory_mib", "memory with all queued, MiB", False),
    Figure("list", "seconds", "listing all, s", False, 0.5),
    Figure("restart", "seconds", "start to banner, s", False, 0.3),
    Figure("drain", "delivered_per_s", "messages/s once the hop is back", True, 5000),
    Figure("drain", "cpu_ms", "CPU ms a message", False, 0.2),
)


class Rig:
    """The programs at both ends, and how long they may take."""

    def __init__(self, load, sink, certificate, file_system, deadline_s):
        self.load = load
        self.sink = sink
        self.certificate = certificate
        self.file_system = file_system
        self.deadline_s = deadline_s

    def generator(self, server):
        return Generator(self.load, server.port, self.deadline_s)

    def open_sink(self, server, tls=False):
        certificate = self.certificate if tls else None
        return Sink(self.sink, server.directory, server.hop_port, certificate)


class Cost:
    """CPU and bytes of a server between two moments."""

    def __init__(self, group):
        self.group = group
        self.cpu_ms = group.cpu_ms()
        self.bytes = group.bytes_written()

    def since(self, messages):
        """What each of these messages cost."""
        return {
            "cpu_ms": (self.group.cpu_ms() - self.cpu_ms) / messages,
            "bytes": (self.group.bytes_written() - self.bytes) / messages,
        }


@contextmanager
def running(server, hops=None):
    """The server with an empty queue, for the length of a block."""
    server.prepare(hops)
    try:
        server.start()
        yield server.group
    finally:
        server.stop()


def send(rig, server, sink, traffic, messages, first_id=1):
    arguments = ["--messages", messages, "--sessions", SESSIONS, "--first-id", first_id]
    load = rig.generator(server).run(*arguments, *traffic.arguments)
    wanted = load["accepted"] * traffic.recipients
    return load, sink.wait_for(wanted, NOTHING_CAME_S)


def warm_up(rig, server, sink, traffic):
    """Postfix starts its processes with the first mail; nobody's start is measured."""
    messages = min(WARM_UP_MESSAGES, max(traffic.messages // 5, SESSIONS))
    if traffic.paced:
        messages = FEW_SESSIONS
    send(rig, server, sink, traffic, messages, WARM_UP_ID)
    sink.forget()


def seconds(later_ns, earlier_ns):
    return max(later_ns - earlier_ns, 1) / 1e9


def share(part, whole):
    return part / whole if whole else None


def flow_figures(load, stats, traffic):
    duration_s = seconds(stats["last_ns"], load["start_ns"])
    delivered_per_s = stats["recipients"] / traffic.recipients / duration_s
    return {
        "accepted_per_s": load["accepted_per_s"],
        "delivered_per_s": delivered_per_s,
        "delivered_recipients_per_s": stats["recipients"] / duration_s,
        "end_to_end_ratio": share(delivered_per_s, load["accepted_per_s"]),
        "accept_p50_ms": load["connect_to_ok_ms"]["p50"],
        "accept_p99_ms": load["connect_to_ok_ms"]["p99"],
        "mail_to_ok_p50_ms": load["mail_to_ok_ms"]["p50"],
        "mail_to_ok_p99_ms": load["mail_to_ok_ms"]["p99"],
        "end_to_end_p50_ms": stats["latency_ms"]["p50"],
        "end_to_end_p99_ms": stats["latency_ms"]["p99"],
        "outbound_connections": stats["connections"],
        "outbound_tls_share": share(stats["tls_sessions"], stats["connections"]),
        "failed": load["failed"],
        "duplicates": stats["duplicates"],
        "missing": load["accepted"] * traffic.recipients - stats["unique_deliveries"],
    }


def measure_traffic(rig, server, traffic, messages):
    """A timed run on a fresh queue."""
    with running(server) as group, rig.open_sink(server, traffic.tls) as sink:
        warm_up(rig, server, sink, traffic)
        cost = Cost(group)
        load, stats = send(rig, server, sink, traffic, messages)
        time.sleep(SETTLE_S)
        return flow_figures(load, stats, traffic) | cost.since(messages)


def count_traffic(rig, server, traffic, messages):
    """A run of its own for what would disturb the clock: tracing and looking at memory."""
    with running(server) as group, rig.open_sink(server, traffic.tls) as sink:
        warm_up(rig, server, sink, traffic)
        with PeakMemory(group) as memory, CallCount(group, rig.file_system) as calls:
            send(rig, server, sink, traffic, messages)
            time.sleep(SETTLE_S)
    figures = {
        "peak_mib": memory.peak_kib / KIB,
        "peak_anonymous_mib": memory.peak_anonymous_kib / KIB,
    }
    if calls.system_calls is not None:
        figures["system_calls"] = calls.system_calls / messages
        figures["syncs"] = calls.syncs / messages
    return figures


def open_slow_hops(rig, server, ports):
    arguments = ["--delay-ms", SLOW_REPLY_MS]
    for port in ports[1:]:
        arguments += ["--listen", f"127.0.0.1:{port}"]
    return Sink(rig.sink, server.directory, ports[0], arguments=arguments)


def measure_slow_hops(rig, server, part):
    """A trickle to a fast hop, alone and then beside slow hops with backlogs; `part` of all."""
    ports = [free_port() for _ in range(SLOW_HOPS)]
    hops = {f"d{i}.{SLOW_DOMAIN}": port for i, port in enumerate(ports)}
    trickle = TRAFFIC["trickle"]
    messages = trickle.messages // part
    slow = ("--rcpt-domain", SLOW_DOMAIN, "--domains", SLOW_HOPS, "--sessions", SESSIONS)
    with (
        running(server, hops),
        rig.open_sink(server) as fast_sink,
        open_slow_hops(rig, server, ports) as slow_sink,
    ):
        warm_up(rig, server, fast_sink, trickle)
        load, alone = send(rig, server, fast_sink, trickle, messages)
        fast_sink.forget()
        backlog = rig.generator(server).run("--messages", SLOW_BACKLOG // part, *slow)
        time.sleep(SETTLE_S)
        beside_load, beside = send(rig, server, fast_sink, trickle, messages, messages + 1)
        left = backlog["accepted"] - slow_sink.stats()["messages"]
    p50_ms = beside["latency_ms"]["p50"]
    return {
        "alone_p50_ms": alone["latency_ms"]["p50"],
        "p50_ms": p50_ms,
        "p99_ms": beside["latency_ms"]["p99"],
        "to_alone": share(p50_ms, alone["latency_ms"]["p50"]),
        "left": left,
        "failed": load["failed"] + backlog["failed"] + beside_load["failed"],
        "missing": beside_load["accepted"] - beside["unique_messages"],
    }


def measure_tables(rig, server, directory, plugin, messages, pairs):
    """Runs with a chain of tables and without, by turns; the ratios are of neighbours, since the
    machine may change its pace from one minute to the next."""
    tables = Tables(directory, plugin, TABLES, TABLE_ENTRIES, server.hop_port)

    def run(sections):
        server.sections = sections
        return measure_traffic(rig, server, TABLES_TRAFFIC, messages)

    run(tables.sections())  # compiles them
    without, beside = [], []
    for number in range(pairs):
        for kind in (without, beside) if number % 2 == 0 else (beside, without):
            kind.append(run(tables.sections() if kind is beside else ""))
    server.sections = ""

    def ratio(key):
        return median(share(a[key], b[key]) for a, b in zip(beside, without))

    return {key: median(run[key] for run in beside) for key in beside[0]} | {
        "without_per_s": median(run["delivered_per_s"] for run in without),
        "without_cpu_ms": median(run["cpu_ms"] for run in without),
        "to_without": ratio("delivered_per_s"),
        "cpu_to_without": ratio("cpu_ms"),
    }


def session_kib(rig, server, tls):
    """Memory of one more idle session, from a few to many."""
    looks = []
    with running(server) as group:
        for wanted in (FEW_SESSIONS, server.idle_sessions):
            with rig.generator(server).hold_idle(wanted, tls) as idle:
                time.sleep(SETTLE_S)
                looks.append((idle.count, group.memory_kib()[0]))
    (few, few_kib), (many, many_kib) = looks
    return share(many_kib - few_kib, many - few)


def flood_s(rig, server):
    """The time to open very many sessions, where the server can hold them."""
    if not server.idle_flood:
        return None
    with running(server), rig.generator(server).hold_idle(server.idle_flood) as idle:
        return idle.opened_s if idle.count == server.idle_flood else None


def measure_idle(rig, server):
    return {
        "plain_kib": session_kib(rig, server, None),
        "tls_kib": session_kib(rig, server, "starttls"),
        "flood_s": flood_s(rig, server),
    }


def measure_enqueue(rig, server, depth):
    generator = rig.generator(server)
    many = ("--sessions", SESSIONS)
    early = generator.run("--messages", WARM_UP_MESSAGES, "--first-id", WARM_UP_ID, *many)
    cost = Cost(server.group)
    load = generator.run("--messages", depth, *many)
    ends = load["portion_end_s"]
    first_s, last_s = ends[0], ends[-1] - ends[-2]
    return {
        "accepted_per_s": load["accepted_per_s"],
        "last_to_first_tenth": share(first_s, last_s),
        "failed": load["failed"],
        "queued": early["accepted"] + load["accepted"],
        "memory_mib": server.group.memory_kib()[0] / KIB,
    } | cost.since(depth)


def timed(action):
    started = time.monotonic()
    action()
    return {"seconds": time.monotonic() - started}


def measure_restart(server):
    server.stop()
    return {"seconds": server.start()}


def measure_drain(rig, server, depth):
    """From the order to retry to the last delivery."""
    with rig.open_sink(server) as sink:
        cost = Cost(server.group)
        started_ns = time.monotonic_ns()
        server.retry_all()
        stats = sink.wait_for(depth, NOTHING_CAME_S)
        time.sleep(SETTLE_S)
        return {
            "delivered_per_s": stats["messages"] / seconds(stats["last_ns"], started_ns),
            "missing": depth - stats["unique_messages"],
            "duplicates": stats["duplicates"],
        } | cost.since(depth)


def measure_depth(rig, server, depth):
    """A deep queue: filled while nothing listens at the next hop, then looked at and emptied."""
    with running(server):
        figures = {"enqueue": measure_enqueue(rig, server, depth)}
        figures["list"] = timed(server.list_queue)
        figures["restart"] = measure_restart(server)
        figures["drain"] = measure_drain(rig, server, figures["enqueue"]["queued"])
        return figures


def void_reasons(row, figures):
    """Why the figures of a run do not count."""
    reasons = []
    if figures.get("duplicates"):
        reasons.append(f"{figures['duplicates']} duplicates")
    if figures.get("missing", 0) > 0:
        reasons.append(f"{figures['missing']} accepted but not delivered")
    if figures.get("failed"):
        reasons.append(f"{figures['failed']} not accepted")
    if figures.get("left") is not None and figures["left"] <= 0:
        reasons.append("the slow hops' backlogs were gone before the end")
    if row == "small" and figures.get("accept_p99_ms", 0) > ACCEPT_P99_VOID_MS:
        reasons.append(f"accept p99 over {ACCEPT_P99_VOID_MS} ms")
    if figures.get("syncs") is not None and figures["syncs"] == 0:
        reasons.append("durability is off: no syncs seen")
    return reasons
