"""The table and the JSON: medians of rounds, ratios of neighbours, targets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.load.figures import Summary, Target, cost_ratio, rate_ratio, summarise
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
    target: Target | None

    @property
    def met(self) -> str:
        """Whether the target is reached by the ratio of rates."""
        return "" if self.target is None else self.target.verdict(self.ratio)

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
            "" if self.target is None else str(self.target),
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
            "target": None if self.target is None else str(self.target),
            "met": self.met,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something measured that is no ratio of two servers; None: not measured, and `note` says why."""

    name: str
    value: float | None
    unit: str
    target: Target | None = None
    note: str = ""

    @property
    def met(self) -> str:
        """Whether the target is reached."""
        return "" if self.target is None or self.value is None else self.target.verdict(self.value)

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        value = (
            "not measured"
            if self.value is None
            else f"{self.value:,.3g}"
            if self.value < 1000
            else f"{self.value:,.0f}"
        )
        return self.name, value, self.unit, "" if self.target is None else str(self.target), self.met, self.note

    def as_json(self) -> dict[str, Any]:
        """Return everything."""
        return {
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "target": None if self.target is None else str(self.target),
            "met": self.met,
            "note": self.note,
        }


def lines(plan: Plan) -> list[Line]:
    """Return a line for each comparison that was measured."""
    return [line for compared in plan.compared for line in _lines(plan, compared)]


def _lines(plan: Plan, compared: Compared) -> list[Line]:
    cells = plan.cells[compared.name]
    ours = cells[OURS].samples
    rates = {name: summarise(cells[name].samples).rate for name in LIMIT if name in cells}
    limit = max(rates, key=lambda name: rates[name], default="")
    made = []
    for peer, target in compared.peers.items():
        if peer not in cells:
            continue
        theirs = cells[peer].samples
        made.append(
            Line(
                operation=compared.words,
                peer=peer,
                ours=summarise(ours),
                theirs=summarise(theirs),
                ratio=rate_ratio(ours, theirs),
                by_cpu=cost_ratio(ours, theirs),
                target=None if peer in LIMIT and peer != limit else target,
            )
        )
    return made


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
