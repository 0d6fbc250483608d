"""Of the page of costs, what is about whole commands and runs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

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
    head = ["processes", "threads of each", "images per second [quartiles]", "of the first", "peak MiB of process 0"]
    return (
        f"{first['method']} on {first['dataset']}, {first['backbone']}, {first['image_size']} px, batch "
        f"{first['batch']} of all together, {first['precision']}; by the clock, {first['rounds']} rounds.\n\n"
        f"{markdown_table(head, table)}"
    )


def predictions(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    columns = ("predicted_seconds", "seconds", "predicted_pretraining", "pretraining")
    table = [[row["method"], *(number(row[column]) for column in columns), f"{row['ratio']:.2f}"] for row in rows]
    head = ["method", "seconds, predicted", "seconds, taken", "pretraining, predicted", "pretraining, taken", "ratio"]
    ratios = [row["ratio"] for row in rows]
    first = rows[0]
    return (
        f"{first['dataset']}, {first['backbone']}, {first['image_size']} px, batch {first['batch']}, "
        f"{first['precision']}, {first['epochs']} epochs; seconds of the clock, of a whole run and of its pretraining. "
        f"Ratio, predicted over taken seconds: median {statistics.median(ratios):.2f}, {min(ratios):.2f} to "
        f"{max(ratios):.2f}.\n\n{markdown_table(head, table)}"
    )
