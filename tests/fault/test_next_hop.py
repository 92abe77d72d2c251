"""Next hops that go wrong, at each stage of the dialogue and at random: nothing is lost, each
recipient has its own outcome, and nobody gets anything twice but where the connection went down
between the end of data and its reply."""

import itertools
import os
import re
import ssl
from collections import Counter

import pytest

from faulty_hop import KINDS, Account, FaultyHop
from rig import simple_message
from support import certificates, content
from support.dialogue import Dialogue
from support.wait import wait_until

MESSAGES = 5000 if os.environ.get("SMARTHOP_FULL") == "1" else 300
RESET_EVERY = 10  # connections
FUSES = (1500, 8000)  # bytes, at most; a message has about 2,000
DRAIN_S = 120

NAMES = ("a", "b", "c")
# In the order of the dialogue; what comes before the end of data cannot have been taken.
STAGES = ("CONNECT", "EHLO", "MAIL", "RCPT", "DATA", "BODY", ".", "RSET", "QUIT")
FOR_ALL = ("MAIL", "DATA", "BODY", ".")  # a refusal there is that of the message
ONCE = ("STARTTLS", "HANDSHAKE", "RSET", "QUIT")
TROUBLE = re.compile("connection (lost|failed)|timed out|no SMTP reply")
VARIANTS = {
    "plain": {},
    "pipelining": {"offers": ["PIPELINING"]},
    "chunking": {"offers": ["PIPELINING", "CHUNKING"]},
    "tls": {"offers": ["PIPELINING"], "tls": "opportunistic"},
    "lmtp": {"offers": ["PIPELINING"], "protocol": "lmtp"},
    "lmtp, chunking": {"offers": ["PIPELINING", "CHUNKING"], "protocol": "lmtp"},
}
QUICK = {"retry_first": "20ms", "retry_max": "100ms", "host_retry_first": "20ms",
         "host_retry_max": "100ms"}


DEADLINES = ("connect_timeout", "greeting_timeout", "hello_timeout", "mail_timeout", "rcpt_timeout",
             "data_init_timeout", "data_block_timeout", "data_final_timeout", "quit_timeout")


def at_once(variant):
    """Whether small messages leave with their envelope: any trouble leaves them in doubt."""
    return "CHUNKING" in variant.get("offers", [])


def stages_of(variant):
    stages = [stage for stage in STAGES if stage != "DATA" or not at_once(variant)]
    if variant.get("protocol") == "lmtp":
        stages[stages.index("EHLO")] = "LHLO"
    if "tls" in variant:
        stages[2:2] = ["STARTTLS", "HANDSHAKE"]
    return stages


def plan_of(stage, kind):
    """Once for a refusal that is final and for what does not come again, twice for the others."""
    plan = {stage: [kind] if kind == "5xx" or stage in ONCE else [kind, kind]}
    return {"MAIL": ["4xx"], **plan} if stage == "RSET" else plan


class Case:
    """A next hop with its fault, and a message to three recipients there."""

    def __init__(self, number, stage, kind, variant, context):
        self.stage, self.kind = stage, kind
        self.is_lmtp = variant.get("protocol") == "lmtp"
        self.hop = FaultyHop(*variant.get("offers", []), plan=plan_of(stage, kind),
                             lmtp=self.is_lmtp, context=context)
        self.name = f"{number}-{kind}.test"
        self.sender = f"{number}-{kind}@client.test"
        self.message = simple_message(f"{stage} {kind}", lines=20)
        self.recipients = [f"{name}-{number}@{self.name}" for name in NAMES]
        self.route = {"hosts": f"[127.0.0.1]:{self.hop.port}", "tls": variant.get("tls", "none"),
                      "protocol": variant.get("protocol", "smtp")}

    def refused(self):
        """Those who are to be returned."""
        if self.kind != "5xx":
            return set()
        if self.stage == "RCPT" or (self.is_lmtp and self.stage == "."):
            return {self.recipients[NAMES.index("b")]}
        return set(self.recipients if self.stage in FOR_ALL else [])

    def submit(self, relay):
        with Dialogue(relay.port).hello() as client:
            client.begin(*self.recipients, sender=self.sender)
            assert client.data(content.stuffed(self.message)).code == 250


class Books:
    """What the relay's log says of each recipient."""

    def __init__(self, relay, variant):
        self.outcomes = {}
        self.doubted = Counter()
        for event in ("delivered", "failed", "expired"):
            for record in relay.log(event):
                self.outcomes.setdefault(record["to"], []).append(event)
        for record in relay.log("deferred"):
            behind_data = at_once(variant) or "end of data" in record["text"]
            if TROUBLE.match(record["text"]) and behind_data:
                self.doubted[record["to"]] += 1

    def check(self, account, recipients, refused):
        """Of one next hop, or several: each recipient has one outcome, and was taken as often as
        that and the doubts explain."""
        takes = account.takes()
        outcomes = {to: self.outcomes.get(to) for to in recipients}
        assert outcomes == {to: ["failed" if to in refused else "delivered"] for to in recipients}
        for to in recipients:
            least = 0 if to in refused else 1
            assert least <= takes[to] <= least + self.doubted[to], (to, takes[to])

    def check_doubts(self, account, recipients):
        """Where no deadline passes by itself, every doubt is the next hop's doing."""
        for to in recipients:
            assert self.doubted[to] <= account.doubted[to], to


@pytest.fixture
def run_cases(make_relay, make_sink, tmp_path):
    """run_cases(variant, kinds, **keys): for each stage and kind a message to a next hop of its
    own, until none is left. Returns the relay's books, the cases, and who got reports of whom."""
    cases = []

    def run(variant, kinds, **keys):
        context = server_context(tmp_path) if "tls" in variant else None
        faults = [(stage, kind) for stage in stages_of(variant) for kind in kinds]
        cases.extend(Case(number, *fault, variant, context)
                     for number, fault in enumerate(faults))
        reports = make_sink()
        relay = make_relay(reports.port, routes={case.name: case.route for case in cases},
                           **QUICK, **keys).start()
        for case in cases:
            case.submit(relay)
        relay.drain(DRAIN_S)
        relay.stop()
        return Books(relay, variant), cases, Counter(reported(reports.messages()))

    yield run
    for case in cases:
        case.hop.stop()


def server_context(folder):
    pair = certificates.make(folder, "hop", "IP:127.0.0.1")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.certificate, pair.key)
    return context


def reported(messages):
    """(sender, recipient) of each notification."""
    for message in messages:
        for field in re.findall(rb"Final-Recipient: rfc822; *(\S+)", message.content):
            yield message.recipients[0], field.decode()


def check_cases(books, cases, reports):
    expected = Counter()
    for case in cases:
        books.check(case.hop.account, case.recipients, case.refused())
        wait_until(lambda: not any(case.hop.plan.values()), f"{case.stage} {case.kind}")
        for _, arrived in case.hop.account.taken:
            content.assert_relayed(arrived, case.message)
        expected.update((case.sender, to) for to in case.refused())
    assert reports == expected


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_each_fault_at_each_stage(variant, run_cases):
    books, cases, reports = run_cases(variant, KINDS)
    check_cases(books, cases, reports)
    for case in cases if not at_once(variant) else []:
        books.check_doubts(case.hop.account, case.recipients)


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_next_hop_that_stalls(variant, run_cases):
    """Deadlines are as short as a test wants them: where a busy machine lets another one pass, that
    is one more try."""
    check_cases(*run_cases(variant, ["stall"], **dict.fromkeys(DEADLINES, "500ms")))


# ---- at random ----------------------------------------------------------------------------------

def send_many(relay, count):
    """One message after the other to two recipients of its own; returns all of them."""
    everybody = []
    with Dialogue(relay.port).hello() as client:
        for number in range(count):
            recipients = [f"{name}-{number}@example.test" for name in NAMES[:2]]
            client.begin(*recipients)
            message = simple_message(f"number {number}", lines=60)
            assert client.data(content.stuffed(message)).code == 250
            everybody += recipients
    return everybody


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_resets_at_random(variant, make_relay, rng, tmp_path, figure):
    account = Account()
    context = server_context(tmp_path) if "tls" in variant else None
    numbers = itertools.count(rng.randrange(RESET_EVERY))

    def fuse():
        wave, place = divmod(next(numbers), RESET_EVERY)
        return None if place else rng.randrange(FUSES[wave % len(FUSES)])

    with FaultyHop(*variant.get("offers", []), fuse=fuse, account=account, context=context,
                   lmtp=variant.get("protocol") == "lmtp") as hop:
        route = {"hosts": f"[127.0.0.1]:{hop.port}", "tls": variant.get("tls", "none"),
                 "protocol": variant.get("protocol", "smtp")}
        relay = make_relay(routes={"*": route}, messages_per_connection=4,
                           connections_per_destination=8, **QUICK).start()
        everybody = send_many(relay, MESSAGES)
        relay.drain(DRAIN_S)
        relay.stop()
    books = Books(relay, variant)
    books.check(account, everybody, refused=set())
    twice = sum(count - 1 for count in account.takes().values())
    figure("connections; resets; doubts; twice",
           (len(hop.clients), account.resets, sum(books.doubted.values()), twice))
    assert account.resets > 0
    assert sum(books.doubted.values()) <= 2 * account.resets  # of one message on each
    for to, arrived in account.taken:
        content.assert_relayed(arrived, simple_message(f"number {to[2:to.index('@')]}", lines=60))
