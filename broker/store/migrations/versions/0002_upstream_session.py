"""The tie to the upstream session, and the tombstones of logout events.

`upstream_session` holds what was reserved for: a row that ends makes an end of every session and grant that names it, so no other row
has to be written at that moment. `browser_session.identity` and `checked_at` stay for the version before, which reads them.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

DIALECTS = {
    "sqlite": {"bytes": "blob", "int": "integer", "keyed": "strict, without rowid", "plain": "strict"},
    "postgresql": {"bytes": "bytea", "int": "bigint", "keyed": "", "plain": ""},
}

SCHEMA = """
create table upstream_session (
  upstream_session_id text not null primary key,
  realm_id text not null,
  subject text not null,
  shared_key text,
  subject_key {bytes} not null,
  session_key {bytes} not null,
  identity text not null,
  sealed_tokens text,
  began_at {int} not null,
  checked_at {int} not null,
  known_at {int} not null,
  expires_at {int} not null,
  lease text,
  lease_until {int},
  ended_at {int},
  ended_reason text
) {plain};

create unique index upstream_session_shared on upstream_session (shared_key) where shared_key is not null and ended_at is null;

create index upstream_session_subject on upstream_session (subject);

create index upstream_session_subject_key on upstream_session (subject_key);

create index upstream_session_session_key on upstream_session (session_key);

create index upstream_session_expires on upstream_session (expires_at);

create index browser_session_upstream on browser_session (upstream_session_id) where upstream_session_id is not null;

create index oauth_grant_upstream on oauth_grant (upstream_session_id) where upstream_session_id is not null;

create table logout_tombstone (
  key {bytes} not null primary key,
  at {int} not null,
  expires_at {int} not null
) {keyed};

create index logout_tombstone_expires on logout_tombstone (expires_at)
"""


def upgrade() -> None:
    """Make both tables, one statement at a time."""
    types = DIALECTS[op.get_context().dialect.name]
    for statement in SCHEMA.format(**types).strip().split(";\n"):
        op.execute(statement)
