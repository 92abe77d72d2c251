"""What RELIABILITY promises of the queue and of delivery, and what shows each. The numbers are those
that tests give to `hold`."""

from typing import NamedTuple


class Promise(NamedTuple):
    number: int
    text: str
    tests: tuple  # files of pytest
    programs: tuple = ()  # of the build, run as root


PROMISES = (
    Promise(1, "no acknowledged message is ever lost, stuck or altered",
            ("test_kill.py", "test_kill_steps.py", "test_power_cut.py", "test_every_call.py",
             "test_next_hop.py"),
            ("queue_kill", "queue_io")),
    Promise(2, "duplicates only of deliveries in flight at the cut",
            ("test_kill.py", "test_kill_steps.py", "test_reload.py")),
    Promise(3, "service back soon after a kill or a power cut", ("test_restart.py",)),
    Promise(4, "full disk or inodes: 452 at once, the queue drains, mail is taken again",
            ("test_disk_full.py", "test_drop_full_disk.py"), ("queue_full",)),
    Promise(5, "a failing flush: no 250 afterwards, a clear log, a restart loses nothing",
            ("test_io_errors.py", "test_every_call.py")),
    Promise(6, "2,000 slow clients harm nobody else", ("test_rude_clients.py",)),
    Promise(7, "stalled next hops delay no other mail", ("test_neighbours.py",)),
    Promise(8, "dead or lying DNS of some domains delays no other mail", ("test_name_servers.py",)),
    Promise(9, "descriptors used up: later clients are told, and nothing spins",
            ("test_rude_clients.py",)),
    Promise(10, "40 x 8 MiB at once in bounded memory", ("test_rude_clients.py",)),
    Promise(11, "a million resets, deaf readers, endless lines and headers",
            ("test_rude_clients.py",)),
    Promise(12, "a wall clock set back moves no retry", ("test_clock.py",)),
    Promise(13, "a reload cuts nobody off, a stop leaves nothing in doubt", ("test_reload.py",)),
    Promise(14, "a flipped bit is never delivered as good; all other mail flows",
            ("test_damage.py",)),
    Promise(15, "the store does not grow from wave to wave", ("test_store_size.py",)),
    Promise(16, "a million messages for 10,000 next hops: memory, restart, commands, enqueueing",
            ("test_deep_queue.py",)),
    Promise(17, "rates and connections as configured, over reloads, restarts and workers",
            ("test_pace.py",)),
    Promise(18, "the drop: what LMTP or IMAP acknowledged is there, and no UID is given twice",
            ("test_drop_kill.py", "test_drop_power_cut.py"), ("mailstore_kill",)),
)
