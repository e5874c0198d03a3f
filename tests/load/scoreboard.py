"""The last table of a report: every goal, what was measured of it, and whether it is met. Pure.

A goal is measured by a line of the comparisons or by a figure; one that neither measured is there all the same, with the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.load.goals import GOALS, Goal
from tests.load.report import Figure, Line, number, table

HEAD = ("row", "of", "measured", "by", "by rate", "target", "met")
NOT_MEASURED = "not measured"


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """A goal and what became of it. `by_rate` is the clock's word beside a ratio of CPU time; `why` says why nothing was measured."""

    goal: Goal
    value: float | None
    by_rate: float | None = None
    why: str = ""

    @property
    def met(self) -> str:
        """`yes`, `aim` (the aim, too), `no`, or that nothing was measured: never an empty word."""
        return NOT_MEASURED if self.value is None else self.goal.target.verdict(self.value)

    def row(self) -> tuple[str, ...]:
        """Return the cells of the table."""
        measured = ("", "", "") if self.value is None else (number(self.value), self.goal.by, _rate(self.by_rate))
        met = f"{self.met}: {self.why}" if self.value is None else self.met
        return self.goal.what, self.goal.of, *measured, str(self.goal.target), met

    def as_json(self) -> dict[str, object]:
        """Return everything."""
        return {
            "row": self.goal.row,
            "what": self.goal.what,
            "of": self.goal.of,
            "by": self.goal.by,
            "value": self.value,
            "by_rate": self.by_rate,
            "target": str(self.goal.target),
            "met": self.met,
            "why": self.why,
        }


def scores(compared: Sequence[Line], figures: Sequence[Figure], missing: Mapping[str, str]) -> list[Score]:
    """Return a score for every goal. `missing` says of a peer why it was not there."""
    made = []
    for goal in GOALS:
        line = next((line for line in compared if line.goal is goal), None)
        figure = next((figure for figure in figures if figure.goal is goal), None)
        if line is not None:
            made.append(Score(goal=goal, value=line.by_cpu, by_rate=line.ratio))
        elif figure is not None:
            made.append(Score(goal=goal, value=figure.value, by_rate=figure.by_rate, why=figure.note))
        else:
            why = missing.get(goal.of, f"not asked for (--only {goal.part})")
            made.append(Score(goal=goal, value=None, why=why))
    return made


def scoreboard(made: Sequence[Score]) -> str:
    """Return the table, and how many goals are met."""
    met = sum(score.met in ("yes", "aim") for score in made)
    missed = sum(score.met == "no" for score in made)
    closing = f"{met} met, {missed} missed, {len(made) - met - missed} not measured, of {len(made)}"
    return f"{table([HEAD, *(score.row() for score in made)], right={2, 4})}\n{closing}"


def _rate(value: float | None) -> str:
    return "" if value is None else number(value)
