"""The table and the JSON: medians of rounds, ratios of neighbours, targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tests.load.figures import Sample, Summary, cost_ratio, rate_ratio, summarise
from tests.load.goals import Goal
from tests.load.plan import LIMIT, OURS, Compared, Plan

WAITED = 0.8  # of a core
HEAD = ("operation", "ours/s", "CPU us", "against", "theirs/s", "CPU us", "ratio", "by CPU", "target", "met")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Ours against one peer."""

    operation: str
    peer: str
    ours: Summary
    theirs: Summary
    ratio: float
    by_cpu: float
    goal: Goal | None

    @property
    def met(self) -> str:
        """Whether the goal is reached by the servers' CPU time: the machine is shared, and rates are also of whoever else computes."""
        return "" if self.goal is None else self.goal.target.verdict(self.by_cpu)

    def sides(self) -> tuple[tuple[str, Summary], tuple[str, Summary]]:
        """Return both cells with their names."""
        return (f"{self.operation}: ours", self.ours), (f"{self.operation}: {self.peer}", self.theirs)

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        return (
            self.operation,
            f"{self.ours.rate:,.0f}",
            f"{self.ours.cost * 1e6:,.0f}",
            self.peer,
            f"{self.theirs.rate:,.0f}",
            f"{self.theirs.cost * 1e6:,.0f}",
            f"{self.ratio:.2f}",
            f"{self.by_cpu:.2f}",
            "" if self.goal is None else str(self.goal.target),
            self.met,
        )

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "operation": self.operation,
            "against": self.peer,
            "ours": self.ours.as_json(),
            "theirs": self.theirs.as_json(),
            "ratio": self.ratio,
            "ratio_by_cpu": self.by_cpu,
            "target": None if self.goal is None else str(self.goal.target),
            "met": self.met,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something measured that is no ratio of two servers; None: not measured, and `note` says why."""

    name: str
    value: float | None
    unit: str
    goal: Goal | None = None
    note: str = ""
    by_rate: float | None = None  # where `value` is by CPU: what the clock said

    @property
    def met(self) -> str:
        """Whether the goal is reached."""
        return "" if self.goal is None or self.value is None else self.goal.target.verdict(self.value)

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        target = "" if self.goal is None else str(self.goal.target)
        return self.name, number(self.value), self.unit, target, self.met, self.note

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "name": self.name,
            "value": self.value,
            "by_rate": self.by_rate,
            "unit": self.unit,
            "target": None if self.goal is None else str(self.goal.target),
            "met": self.met,
            "note": self.note,
        }


def number(value: float | None) -> str:
    """Return a number as a table shows it."""
    if value is None:
        return "not measured"
    return f"{value:,.3g}" if value < 1000 else f"{value:,.0f}"


def lines(plan: Plan) -> list[Line]:
    """Return a line for each comparison that was measured."""
    samples = {name: {system: cell.samples for system, cell in cells.items()} for name, cells in plan.cells.items()}
    return [line for compared in plan.compared for line in compare(compared, samples[compared.name])]


def compare(compared: Compared, samples: Mapping[str, Sequence[Sample]]) -> list[Line]:
    """Return a line for each system that was measured in the rounds of ours."""
    ours = samples[OURS]
    costs = {name: summarise(samples[name]).cost for name in LIMIT if name in samples}
    limit = min(costs, key=lambda name: costs[name], default="")
    return [
        Line(
            operation=compared.words,
            peer=peer,
            ours=summarise(ours),
            theirs=summarise(samples[peer]),
            ratio=rate_ratio(ours, samples[peer]),
            by_cpu=cost_ratio(ours, samples[peer]),
            goal=None if peer in LIMIT and peer != limit else goal,
        )
        for peer, goal in compared.peers.items()
        if peer in samples
    ]


def table(rows: list[tuple[str, ...]], *, right: set[int]) -> str:
    """Return rows as aligned text; the columns in `right` are numbers."""
    widths = [max(len(row[n]) for row in rows) for n in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            cell.rjust(w) if n in right else cell.ljust(w) for n, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def text(compared: list[Line], figures: list[Figure], notes: list[str]) -> str:
    """Return the whole report."""
    parts = []
    if compared:
        parts.append(table([HEAD, *(line.row() for line in compared)], right={1, 2, 4, 5, 6, 7}))
    if figures:
        head = ("figure", "value", "unit", "target", "met", "note")
        parts.append(table([head, *(figure.row() for figure in figures)], right={1}))
    parts.append("\n".join(f"- {note}" for note in (*notes, *_remarks(compared))))
    return "\n\n".join(part for part in parts if part)


def _remarks(compared: list[Line]) -> list[str]:
    """Say which cells need a word: where the generator was the limit, and where the server waited."""
    cells = {name: summary for line in compared for name, summary in line.sides()}
    said = [
        f"the generator was the limit in {name}: the server was busy for {summary.server_busy:.0%}, the generator for "
        f"{summary.client_busy:.0%}; the server can do more"
        for name, summary in cells.items()
        if summary.generator_bound
    ]
    waited = [f"{name} {summary.server_busy:.0%}" for name, summary in cells.items() if summary.server_busy < WAITED]
    if waited:
        said.append(
            f"servers that waited, for the disk or their turn on their core, and how busy they were: {', '.join(waited)}"
        )
    return said
