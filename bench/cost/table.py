"""What was measured, as Markdown."""

from __future__ import annotations

import math
from collections.abc import Sequence

from bench.cost import growth, objective, table_runs
from bench.cost.cells import markdown_table, number
from bench.cost.record import Record, Row

STAGES = ("gather", "views", "encoder", "heads, objective", "optimiser", "rest")


def render(record: Record) -> str:
    """The whole page."""
    known = record.environment
    versions = {"torch": known["torch"], "Python": known["python"], **known.get("packages", {})}
    named = ", ".join(f"{name} {version}" for name, version in versions.items())
    where = f"{known['hardware']}, {named}, {known['threads']} thread(s)"
    kind = clock(record)
    commits = dict.fromkeys(row["commit"] for row in record.rows)
    about = (
        f"{where}; commit {', '.join(commits)}. Times are medians of "
        f"{'wall milliseconds' if kind == 'wall_ms' else 'CPU milliseconds (wall-clock time where a column says so)'} "
        "over rounds in which all contenders take turns; "
        "cost.json has both clocks, quartiles and numbers of rounds."
    )
    sections = ["# Cost", about]
    for title, section in (
        ("Step", _steps(record.of("step"), kind)),
        ("Steps of all methods in the same rounds", _turns(record.of("turns"), kind)),
        ("Beside the steps", _rest(record.of("rest"), kind)),
        ("Views", _views(record.of("views"))),
        ("Pictures decoded in every epoch", _stream(record.of("stream"))),
        ("End to end beside other libraries", _peers(record.of("peers"), kind)),
        ("Objectives", _objectives(record.of("objective"), kind)),
        ("Growth", _growth(record.of("growth"), kind)),
        ("Harness", table_runs.harness(record.of("harness"))),
        ("Processes", table_runs.processes(record.of("processes"))),
        ("Predicted by --dry-run, and taken", table_runs.predictions(record.of("predictions"))),
    ):
        if section:
            sections += [f"## {title}", section]
    return "\n\n".join(sections) + "\n"


def clock(record: Record) -> str:
    """The time that counts: of the processor, or on a GPU of the wall clock."""
    return "wall_ms" if record.environment["device"] == "cuda" else "cpu_ms"


def shares(rows: Sequence[Row], kind: str) -> dict[str, float]:
    """Milliseconds of one method's step by STAGES; what the stages do not explain is the rest.

    It is negative where a stage alone takes longer than in a step, as on a GPU that waits for its launches.
    """
    times = {"gather": 0.0} | {row["stage"]: row[kind] for row in rows}
    parts = {name: times[name] for name in ("gather", "views", "encoder", "optimiser")}
    parts["heads, objective"] = times["method"] - times["encoder"]
    parts["rest"] = times["step"] - sum(parts.values())
    return {name: parts[name] for name in STAGES}


def by_method(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Rows by method, in the order in which they came."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row["method"], []).append(row)
    return found


def _steps(rows: Sequence[Row], kind: str) -> str:
    table = []
    for method, own in by_method(rows).items():
        stages = {row["stage"]: row for row in own}
        step, floor = stages["step"], stages["floor"]
        share = f"{100 / step['ratio']:.0f}"
        if step["rounds"] > 2:
            share += f" [{100 / step['ratio_high']:.0f}, {100 / step['ratio_low']:.0f}]"
        parts = [number(part) for part in shares(own, kind).values()]
        work = f"{floor['gflop'] / floor[kind] / (stages['matmul']['gflop'] / stages['matmul'][kind]):.0%}"
        table.append([method, step["rounds"], number(step[kind]), number(floor[kind]), share, *parts, work])
    if not table:
        return ""
    first = rows[0]
    shown = ["rounds", "step", "floor", "floor / step (%) [quartiles]", *STAGES, "floor's FLOP rate / matrix product's"]
    return (
        f"{first['dataset']}, {first['backbone']}, {first['image_size']} px, batch {first['batch']}, "
        f"{first['precision']}. The floor is encoder and projection head forward, backward and optimiser on ready "
        f"tensors.\n\n{markdown_table(['method', *shown], table)}"
    )


_MEMORY = {"memory_mib": "tensors (MiB)", "total_mib": "with weights and state (MiB)"}
"""Columns of a step's memory, as far as a record has them, and what its table calls them."""


def _turns(rows: Sequence[Row], kind: str) -> str:
    table = []
    for method, own in by_method(rows).items():
        stages = {row["stage"]: row for row in own}
        step = stages["step"]
        cells = [f"{number(step[kind])} [{number(step[f'{kind}_low'])}, {number(step[f'{kind}_high'])}]"]
        cells += [f"{step['ratio']:.3f} [{step['ratio_low']:.3f}, {step['ratio_high']:.3f}]"]
        alone = stages.get("objective")
        cells += [number(alone[kind]), f"{100 * alone['ratio']:.2g}"] if alone else ["", ""]
        cells += [number(step[column]) for column in _MEMORY if column in step]
        table.append([method, *cells])
    if not table:
        return ""
    first = rows[0]
    whose = f"{first['method']}'s"
    head = ["method", "step [quartiles]", f"x {whose} [quartiles]", "objective alone", f"% of {whose} step"]
    head += [title for column, title in _MEMORY.items() if column in first]
    return (
        f"{first['dataset']}, {first['backbone']}, {first['image_size']} px, batch {first['batch']}, embeddings of "
        f"{first['width']}, {first['precision']}; {first['rounds']} rounds. Ratios are medians over rounds.\n\n"
        f"{markdown_table(head, table)}"
    )


def _rest(rows: Sequence[Row], kind: str) -> str:
    return (
        markdown_table(["stage", "seconds"], [[row["stage"], number(row[kind] / 1e3)] for row in rows]) if rows else ""
    )


def _views(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    reference = {row["name"]: row for row in rows}["torchvision"]
    table = [
        [
            row["name"],
            f"{row['views_per_second']:,.0f}",
            f"{row['views_per_cpu_second']:,.0f}",
            f"{row['views_per_second'] / reference['views_per_second']:.1f}",
            f"{row['views_per_cpu_second'] / reference['views_per_cpu_second']:.1f}",
        ]
        for row in rows
    ]
    head = ["", "views/s", "views per CPU second", "x torchvision, wall", "x torchvision, CPU"]
    return f"{rows[0]['image_size']} px, batch {rows[0]['batch']}.\n\n{markdown_table(head, table)}"


def _stream(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    first = rows[0]
    table = [[row["name"], row["rounds"], number(row["pictures_per_second"])] for row in rows]
    return (
        f"{first['dataset']}, batch {first['batch']}; steps are {first['method']}'s, {first['backbone']}, "
        f"{first['image_size']} px, {first['precision']}. Stored: by index from the decoded store; decoded: from their "
        "files, in this process; ahead: from their files, by processes of their own, one for each thread.\n\n"
        f"{markdown_table(['', 'rounds', 'pictures per second of the clock'], table)}"
    )


def _peers(rows: Sequence[Row], kind: str) -> str:
    if not rows:
        return ""
    rate = "images_per_second" if kind == "wall_ms" else "images_per_cpu_second"
    others = [row for row in rows if not row["name"].startswith(("bench", "floor"))]

    def against(row: Row, precision: str) -> str:
        """`row` over the fastest other library in that precision."""
        rates = [other[rate] for other in others if other["name"].endswith(precision)]
        return f"{row[rate] / max(rates):.2f}" if rates else ""

    table = [
        [
            row["name"],
            f"{row[rate]:,.1f}",
            against(row, row["name"].split()[-1]),
            against(row, "float32"),
            f"{100 / row['ratio']:.0f} [{100 / row['ratio_high']:.0f}, {100 / row['ratio_low']:.0f}]",
        ]
        for row in rows
    ]
    first = rows[0]
    head = [
        "",
        f"images per {'second' if kind == 'wall_ms' else 'CPU second'}",
        "x fastest other library, same precision",
        "x fastest other library in float32",
        "% of the first floor [quartiles]",
    ]
    return (
        f"Barlow Twins on {first['dataset']}, {first['backbone']}, {first['image_size']} px, "
        f"batch {first['batch']}.\n\n{markdown_table(head, table)}"
    )


def _objectives(rows: Sequence[Row], kind: str) -> str:
    if not rows:
        return ""
    cells = sorted({(row["width"], row["batch"]) for row in rows})
    head = ["method", *(f"B {batch}, D {width}" for width, batch in cells), "B exponent", "D exponent"]
    grids = [
        f"{title}, forward and backward, on ready embeddings:\n\n{markdown_table(head, _grid(rows, cells, column))}"
        for column, title in ((kind, "Milliseconds"), ("memory_mib", "Peak MiB of tensors"), ("gflop", "GFLOP"))
    ]
    return "\n\n".join([*grids, *_crossovers(rows, kind)])


def _crossovers(rows: Sequence[Row], kind: str) -> list[str]:
    """Where the first method is as fast as each of the others."""
    first, *others = by_method(rows)
    cells = sorted({(row["width"], row["batch"]) for row in rows})
    widths = sorted({width for width, _ in cells})
    times = {(row["method"], row["width"], row["batch"]): row[kind] for row in rows}
    table = []
    for other in others:
        ratios = [
            number(times[other, *cell] / times[first, *cell])
            if (other, *cell) in times and (first, *cell) in times
            else ""
            for cell in cells
        ]
        found = objective.crossings(rows, kind, first, other)
        table.append([other, *ratios, *(", ".join(map(number, found[width])) for width in widths)])
    if not table:
        return []
    head = ["", *(f"B {batch}, D {width}" for width, batch in cells), *(f"equal at B, D {width}" for width in widths)]
    about = (
        f"Times of the others over those of {first}: above 1 {first} is faster. Equal at B: interpolated between the "
        "batch sizes measured; empty where one is faster at all of them."
    )
    return [f"{about}\n\n{markdown_table(head, table)}"]


def _grid(rows: Sequence[Row], cells: Sequence[tuple[int, int]], column: str) -> list[list[str]]:
    slopes = objective.exponents(rows, column)
    table = []
    for method, own in by_method(rows).items():
        values = {(row["width"], row["batch"]): row[column] for row in own}
        numbers = [number(values[cell]) if cell in values else "" for cell in cells]
        table.append([method, *numbers, *(f"{slope:.2f}" if math.isfinite(slope) else "" for slope in slopes[method])])
    return table


def _growth(rows: Sequence[Row], kind: str) -> str:
    parts = []
    for quantity in (kind, "memory_mib"):
        if len(rows) <= len(growth.CAUSES[quantity]):
            return ""
        model = growth.fit(rows, quantity)
        formula = " + ".join(f"{value:.3g} {cause}" for cause, value in model.coefficients.items())
        parts.append(
            f"`{quantity}` of a step = {formula}. Error for a setting left out of the fit: median "
            f"{model.median_error:.1%}, largest {model.largest_error:.1%} over {len(rows)} settings."
        )
        powers = [f"{power:.2f} of {growth.AXES[axis]}" for axis, power in growth.exponents(rows, quantity).items()]
        parts.append(f"`{quantity}` grows with the power {', '.join(powers)}.")
    return "\n\n".join(parts)
