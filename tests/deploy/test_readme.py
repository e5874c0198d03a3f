"""What deploy/README.md and the files beside it name exists: commands, options, settings, metrics, files, events."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main
from typer.core import TyperGroup

from broker.audit import Event
from broker.cli import app
from broker.config.table import BROKER, GROUPS, provider_table
from broker.metrics import Metrics
from providers.registry import provider_types

FOLDER = Path(__file__).parents[2] / "deploy"
README = (FOLDER / "README.md").read_text()
WRITTEN = {str(p.relative_to(FOLDER)): p.read_text() for p in FOLDER.rglob("*") if p.is_file()}
EVERYTHING = "\n".join(WRITTEN.values())


def test_every_command_that_is_named_exists_with_its_options() -> None:
    root = typer.main.get_command(app)
    assert isinstance(root, TyperGroup)
    named = set(re.findall(r"(?:`|# |bin/)mcp-broker ([a-z][^`\n]*)", EVERYTHING))
    assert len(named) > 8
    for line in named:
        first, *more = re.split(r"\s+", line)
        command = root.commands.get(first)
        assert command is not None, line
        if isinstance(command, TyperGroup):
            assert more[0] in command.commands, line
            command = command.commands[more[0]]
        known = {name for parameter in command.params for name in parameter.opts}
        assert set(re.findall(r"--[a-z-]+", line)) <= known, line


def test_every_setting_that_is_named_exists() -> None:
    groups = {**GROUPS, "providers": provider_table(provider_types())}
    for name in set(re.findall(r"\bBROKER_[A-Z0-9_]*[A-Z0-9]", EVERYTHING)):
        group, *rest = name.removeprefix("BROKER_").lower().split("__")
        table = groups[group] if rest else BROKER
        assert (rest[-1] if rest else group) in table, name
    for file in set(re.findall(r"\b(?<!mcp_)broker_[a-z_]+[a-z]\b", EVERYTHING)):
        group, *rest = file.removeprefix("broker_").split("__")
        setting = groups[group][rest[-1]] if rest else BROKER[group]
        assert setting.secret, file


def test_every_metric_and_label_in_an_alert_exists() -> None:
    metrics = Metrics()
    metrics.request("/token", "POST", 200, 0.1)
    metrics.upstream("corp")("token", 0.1)
    metrics.store("read", 0.1)
    metrics.key_age("RS256", 1)
    exposed = metrics.exposition().decode()
    named = set(re.findall(r"\bmcp_broker_\w+", README))
    assert len(named) > 5
    for name in named:
        assert re.search(rf"^(# TYPE )?{name.removesuffix('_total')}", exposed, re.MULTILINE), name
    for event in re.findall(r'event="([^"]+)"', README):
        assert event in set(Event)
    outcomes = set(re.findall(r'outcome="([^"]+)"', README))
    assert outcomes <= {"signed_in", "failed", "refused"}


@pytest.mark.parametrize(
    "event", sorted(set(re.findall(r"`([a-z]+\.[a-z_]+)`", README)) - {"broker.toml", "company.toml"})
)
def test_every_event_that_is_named_exists(event: str) -> None:
    assert event in set(Event)


def test_every_file_that_is_named_exists() -> None:
    named = set(re.findall(r"(?:(?<![/\w])|(?<=deploy/))(?:examples|nginx|systemd)/[\w.-]*\w", README))
    assert len(named) > 4
    assert not [n for n in named if not (FOLDER / n).exists()]
    for part in ("examples", "nginx", "systemd"):
        assert f"`{part}/`" in README
