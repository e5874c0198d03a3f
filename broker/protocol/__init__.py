"""Pure decisions: no I/O, no clock, no Starlette; one rule a file, the RFC section on line 1."""
