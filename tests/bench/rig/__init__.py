"""The parts of the relay benchmark: accounting, machine, servers, traffic, rows, report."""
