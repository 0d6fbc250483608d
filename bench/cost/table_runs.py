"""Of the page of costs, what is about whole commands and runs."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

from bench.cost.cells import markdown_table, number
from bench.cost.record import Row


def harness(rows: Sequence[Row]) -> str:
    table = [
        [
            row["stage"],
            number(row["wall_ms"] / 1e3),
            number(row["cpu_ms"] / 1e3),
            number(row["memory_mib"]) if "memory_mib" in row else "",
        ]
        for row in rows
    ]
    head = ["", "seconds", "CPU seconds of this process", "peak MiB of Python's objects"]
    return markdown_table(head, table) if rows else ""


def processes(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    first = rows[0]
    table = [
        [
            row["processes"],
            row["threads"],
            f"{row['images_per_second']:,.0f} [{row['images_per_second_low']:,.0f}, "
            f"{row['images_per_second_high']:,.0f}]",
            f"{row['images_per_second'] / first['images_per_second']:.2f}",
            number(row["memory_mib"]),
        ]
        for row in rows
    ]
    head = [
        "processes",
        "threads of each",
        "images per second [quartiles]",
        "times the first row's",
        "peak MiB of process 0",
    ]
    return (
        f"{first['method']} on {first['dataset']}, {first['backbone']}, {first['image_size']} px, batch "
        f"{first['batch']} of all together, {first['precision']}; by the clock, {first['rounds']} rounds.\n\n"
        f"{markdown_table(head, table)}"
    )


def predictions(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    columns = {"seconds": "seconds", "pretraining": "pretraining", "memory_mib": "MiB"}  # each as predicted and taken
    pairs = [name for column in columns for name in (f"predicted_{column}", column)]
    head = ["method", *(f"{title}, {how}" for title in columns.values() for how in ("predicted", "taken"))]
    table = [
        [row["method"], *(number(row[name]) for name in pairs), f"{row['ratio']:.2f}", f"{row['memory_ratio']:.2f}"]
        for row in rows
    ]
    first = rows[0]
    return (
        f"{first['dataset']}, {first['backbone']}, {first['image_size']} px, batch {first['batch']}, "
        f"{first['precision']}, {first['epochs']} epochs; seconds of the clock, of a whole run and of its pretraining, "
        "and the peak of memory, as predicted of a step and as taken until the last epoch. Predicted over taken: "
        f"{_spread(row['ratio'] for row in rows)} of seconds, {_spread(row['memory_ratio'] for row in rows)} of "
        f"memory.\n\n{markdown_table([*head, 'ratio of seconds', 'of memory'], table)}"
    )


def _spread(ratios: Iterable[float]) -> str:
    values = list(ratios)
    return f"median {statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
