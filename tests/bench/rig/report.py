"""Figures of many runs as one table and as JSON."""

import json
import statistics

from .rows import FIGURES, void_reasons

HEADINGS = ("row", "figure", "bar", "reached")


def medians(runs):
    """The median of each figure over repetitions; a figure may lack in some."""
    keys = {key for run in runs for key in run}
    values = {key: [run[key] for run in runs if run.get(key) is not None] for key in keys}
    return {key: statistics.median(found) for key, found in sorted(values.items()) if found}


def number(value):
    if value is None:
        return "-"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def ratio(value, reference, more_is_better):
    """Above one is better, whichever way the figure counts."""
    if not value or not reference:
        return None
    return value / reference if more_is_better else reference / value


def times(value):
    return "-" if value is None else f"{value:.2f}x"


def table_lines(results, peers):
    versus = set(peers) == {"smarthop", "postfix"}
    yield (*HEADINGS[:2], *peers, *HEADINGS[2:], *(["to postfix"] if versus else []))
    for figure in FIGURES:
        found = {peer: results[peer].get(figure.row, {}).get(figure.key) for peer in peers}
        if all(value is None for value in found.values()):
            continue
        ours = found.get("smarthop")
        line = [figure.row, figure.label, *(number(found[peer]) for peer in peers)]
        line += [number(figure.bar), times(ratio(ours, figure.bar, figure.more_is_better))]
        if versus:
            line.append(times(ratio(ours, found["postfix"], figure.more_is_better)))
        yield tuple(line)


def print_table(results, peers):
    lines = list(table_lines(results, peers))
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        names = [text.ljust(width) for text, width in zip(line[:2], widths[:2])]
        values = [text.rjust(width) for text, width in zip(line[2:], widths[2:])]
        print("  ".join(names + values))


def print_facts(facts):
    print("; ".join(f"{key} {value}" for key, value in facts.items()))
    if facts["load_before"] > facts["cores"]:
        print("the machine is busy with other things: rates tell little, ratios and costs more")
    if facts["file_system"] in ("tmpfs", "ramfs"):
        print("DURABILITY IS OFF: the queues are in memory; no figure counts")


def print_floors(floors):
    for name, floor in floors.items():
        rate, cpu = floor["per_s"], floor["cpu_ms"]
        print(f"floor, generator straight to sink, {name}: {rate:,.0f}/s, {cpu:.3f} ms a side")


def print_failures(failures):
    for peer, row, reason in failures:
        print(f"FAILED: {peer} {row}: {reason}")


def print_void(results, peers):
    for peer in peers:
        for row, figures in results[peer].items():
            for reason in void_reasons(row, figures):
                print(f"VOID: {peer} {row}: {reason}")


def write_json(path, facts, floors, results, runs):
    document = {"machine": facts, "floors": floors, "medians": results, "runs": runs}
    with open(path, "w") as out:
        json.dump(document, out, indent=1)
        out.write("\n")
