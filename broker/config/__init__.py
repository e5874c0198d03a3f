"""The settings as they are written: read from every place, checked, and turned into `broker.settings.Settings`."""

from broker.config.faults import SettingsError
from broker.config.loading import DEFAULT_FILE, Examined, examine, load
from broker.config.reader import Entry

__all__ = ["DEFAULT_FILE", "Entry", "Examined", "SettingsError", "examine", "load"]
