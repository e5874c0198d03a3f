"""Statements on browser sessions and the upstream sessions that carry them (rules B14 to B17).

An upstream session that has ended makes an end of all that names it: nothing else has to be written at that moment. A logout event
leaves its tombstone in a statement of its own BEFORE it ends what is there, and a code is saved in a statement after its session's: so
whichever comes first, one of the two sees the other, on any number of replicas.
"""

from __future__ import annotations

from broker.store.database import Change, Maybe, Query, Sweep

COLUMNS = """u.upstream_session_id, u.subject, u.identity, u.sealed_tokens, u.began_at, u.checked_at, u.known_at, u.expires_at,
             u.shared_key, u.ended_at, u.ended_reason"""
# `{0}` has a subject_key and a session_key, `{1}` is when its login began.
LOGGED_OUT = (
    "exists (select 1 from logout_tombstone t where t.key in ({0}subject_key, {0}session_key) and t.at >= {0}began_at)"
)

SAVE_SESSION = Change(
    # Whoever was ended since the login began stays out. The look is an insertion, so that this and that end wait for one another.
    admitted="""insert into logout_tombstone (key, at, expires_at) values (:person_key, 0, :expires_at)
                on conflict (key) do update set at = logout_tombstone.at where logout_tombstone.at < :began_at
                returning key""",
    # A person's shared one takes the newest tokens, whoever holds its lease: what that one brings is older.
    tied="""insert into upstream_session (upstream_session_id, realm_id, subject, shared_key, subject_key, session_key, identity,
              sealed_tokens, began_at, checked_at, known_at, expires_at)
            select :upstream_session_id, 'default', :subject, :shared_key, :subject_key, :session_key, :identity,
              :sealed_tokens, :began_at, :checked_at, :known_at, :upstream_expires_at
            where :admitted.key is not null and not """
    + LOGGED_OUT.format(":")
    + """
            on conflict (shared_key) where shared_key is not null and ended_at is null do update set
              session_key = excluded.session_key, identity = excluded.identity, sealed_tokens = excluded.sealed_tokens,
              began_at = excluded.began_at, checked_at = excluded.checked_at, known_at = excluded.known_at,
              expires_at = case when excluded.expires_at > upstream_session.expires_at
                           then excluded.expires_at else upstream_session.expires_at end,
              lease = null, lease_until = null
            returning upstream_session_id""",
    saved="""insert into browser_session (session_hash, realm_id, subject, identity, upstream_session_id, created_at, checked_at,
               expires_at)
             select :session_hash, 'default', :subject, :identity, :tied.upstream_session_id, :created_at, :checked_at, :expires_at
             where :tied.upstream_session_id is not null
             on conflict (session_hash) do nothing returning upstream_session_id, session_hash""",
    replaced="delete from browser_session where session_hash = :replaces and session_hash <> :saved.session_hash",
)
_SESSION = f"""select s.session_hash, s.created_at, s.expires_at, {COLUMNS}
               from browser_session s join upstream_session u on u.upstream_session_id = s.upstream_session_id """
FIND_SESSION = Query(
    _SESSION
    + "where s.session_hash = :session_hash and s.expires_at > :now and u.ended_at is null and not "
    + LOGGED_OUT.format("u.")
)
END_SESSION = Change(
    ended="""delete from browser_session where session_hash = :session_hash and expires_at > :now
             returning session_hash, upstream_session_id""",
    forgotten="""update upstream_session set sealed_tokens = null, lease = null, lease_until = null
                 where upstream_session_id = :ended.upstream_session_id and shared_key is null and not exists (
                   select 1 from oauth_grant g where g.upstream_session_id = upstream_session.upstream_session_id
                   and g.revoked_at is null and g.expires_at > :now)""",
)

# The re-check: whoever has the lease asks the provider, everybody else waits and reads.
FIND = Query(f"select {COLUMNS} from upstream_session u where u.upstream_session_id = :upstream_session_id")
LEASE = Change(
    leased="""update upstream_session set lease = :lease, lease_until = :until
              where upstream_session_id = :upstream_session_id and ended_at is null
              and (checked_at <= :due or checked_at > :ahead)
              and (lease is null or lease_until <= :now or lease_until > :absurd)
              returning upstream_session_id, subject, identity, sealed_tokens, began_at, checked_at, known_at, expires_at,
                shared_key, ended_at, ended_reason"""
)
# A `sid` that only the answer brought may have been logged out while it was on its way. The look at it is an insertion: it waits for a
# logout that is leaving the very tombstone, and the logout waits for it, and then finds the session by its new key (rule B17).
RENEW = Change(
    known=Maybe(
        """insert into logout_tombstone (key, at, expires_at)
           select :session_key, 0, :now where exists (select 1 from upstream_session
             where upstream_session_id = :upstream_session_id and session_key <> :session_key)
           on conflict (key) do update set at = logout_tombstone.at returning at"""
    ),
    renewed="""update upstream_session set identity = :identity, session_key = :session_key, sealed_tokens = :sealed_tokens,
                 checked_at = :now, known_at = :known_at, lease = null, lease_until = null
               where upstream_session_id = :upstream_session_id and lease = :lease and ended_at is null
               and (:ends_grants = 0 or coalesce(:known.at, 0) < began_at)
               returning upstream_session_id""",
)
RELEASE = Change(
    released="""update upstream_session set sealed_tokens = coalesce(:sealed_tokens, sealed_tokens), lease = null,
                  lease_until = null
                where upstream_session_id = :upstream_session_id and lease = :lease and ended_at is null
                returning upstream_session_id"""
)
_END = "set ended_at = :now, ended_reason = :reason, sealed_tokens = null, lease = null, lease_until = null"
_MOVED = "update counter set value = value + 1 where name = 'changes'"
END = Change(
    ended=f"""update upstream_session {_END}
              where upstream_session_id = :upstream_session_id and lease = :lease and ended_at is null
              returning upstream_session_id""",
    closed="delete from browser_session where upstream_session_id = :ended.upstream_session_id",
    moved=_MOVED + " and :ended.upstream_session_id is not null",
)

# Logout events. Two keys each, perhaps the same: the session, and the person's sessions of which no `sid` is known.
_MARK = """insert into logout_tombstone (key, at, expires_at)
           select {0}, :now, :tombstone_until
           where not exists (select 1 from used_key where key_hash = :key_hash and expires_at > :now)
           on conflict (key) do update set expires_at = excluded.expires_at,
             at = case when excluded.at > logout_tombstone.at then excluded.at else logout_tombstone.at end"""
MARK_LOGOUT = Change(one=_MARK.format(":first_key"))
MARK_LOGOUT_TOO = Change(other=_MARK.format(":second_key"))
FIRST_USED = """insert into used_key (key_hash, expires_at) values (:key_hash, :expires_at)
                on conflict (key_hash) do update set expires_at = excluded.expires_at where used_key.expires_at <= :now
                returning key_hash"""
_MATCHES = (
    """(subject_key in (:first_key, :second_key) or session_key in (:first_key, :second_key)) and ended_at is null"""
)
_CLOSED = f"""delete from browser_session where :used.key_hash is not null and upstream_session_id in (
                select upstream_session_id from upstream_session where {_MATCHES})"""
LOG_OUT_SESSIONS = Change(used=FIRST_USED, closed=_CLOSED, moved=_MOVED + " and :used.key_hash is not null")
LOG_OUT_GRANTS = Change(
    used=FIRST_USED,
    closed=_CLOSED,
    ended=f"update upstream_session {_END} where :used.key_hash is not null and {_MATCHES}",
    moved=_MOVED + " and :used.key_hash is not null",
)

# People
FIND_PERSON = Query("select 1 from person where realm_id = 'default' and subject = :subject", cold=True)
END_PERSON = Change(
    ended=f"update upstream_session {_END} where realm_id = 'default' and subject = :subject and ended_at is null",
    revoked="""update oauth_grant set revoked_at = :now, revoked_reason = :reason
               where realm_id = 'default' and subject = :subject and revoked_at is null""",
    closed="delete from browser_session where realm_id = 'default' and subject = :subject",
    moved=_MOVED,
)
# Who is meant by a subject of ours, an upstream subject or an e-mail address; the address stands inside the record.
FIND_PEOPLE = Query(
    """with known as (
         select identity, subject, checked_at as known_at from upstream_session where realm_id = 'default'
         union all select identity, subject, created_at as known_at from oauth_grant where realm_id = 'default')
       select identity, subject from (
         select identity, subject, known_at, row_number() over (partition by subject order by known_at desc) as place
         from known
         where subject = :named
           or subject in (select p.subject from person p where p.realm_id = 'default' and p.upstream_subject = :named)
           or subject in (select k.subject from known k where lower(k.identity) like :email escape '!')) newest
       where place = 1 order by known_at desc""",
    cold=True,
)
_LIVE_GRANT = """g.realm_id = 'default' and g.revoked_at is null and g.activated_at is not null and g.idle_expires_at > :now
                 and g.expires_at > :now and not exists (
                   select 1 from upstream_session e where e.upstream_session_id = g.upstream_session_id
                   and e.ended_at is not null)"""
_LIVE_SESSION = "s.realm_id = 'default' and s.expires_at > :now and u.ended_at is null and not " + LOGGED_OUT.format(
    "u."
)
LIST_PEOPLE = Query(
    f"""select p.subject, p.seen_at,
          coalesce(
            (select u.identity from upstream_session u where u.subject = p.subject order by u.checked_at desc limit 1),
            (select g.identity from oauth_grant g where g.subject = p.subject order by g.created_at desc limit 1)),
          (select count(*) from browser_session s join upstream_session u on u.upstream_session_id = s.upstream_session_id
           where s.subject = p.subject and {_LIVE_SESSION}),
          (select count(*) from oauth_grant g where g.subject = p.subject and {_LIVE_GRANT})
        from person p where p.realm_id = 'default' order by p.seen_at desc, p.subject""",
    cold=True,
)
SESSIONS_OF = Query(_SESSION + f"where s.subject = :subject and {_LIVE_SESSION} order by s.created_at", cold=True)
LIVE_GRANTS_OF = f" where g.subject = :subject and {_LIVE_GRANT} order by g.created_at, g.grant_id"

# Seals under an older master key, and the purge. A row goes when no grant names it any more, alive or not.
SEALED_TOKENS = Query(
    """select upstream_session_id, sealed_tokens from upstream_session
       where upstream_session_id > :after and sealed_tokens is not null order by upstream_session_id limit :limit""",
    cold=True,
)
RESEAL_TOKENS = Change(
    resealed="""update upstream_session set sealed_tokens = :resealed
                where upstream_session_id = :upstream_session_id and sealed_tokens = :sealed returning upstream_session_id"""
)
_DUE = "select u.upstream_session_id from upstream_session u where u.expires_at <= :now and {0} limit :batch /*skip locked*/"
_NAMED = "exists (select 1 from oauth_grant g where g.upstream_session_id = u.upstream_session_id {0})"
# A session whose login ended at the very moment of a logout: its tombstone is looked at as long as it lives, and this before it goes.
CLOSE_LOGGED_OUT = Sweep(
    """delete from browser_session where session_hash in (
         select s.session_hash from logout_tombstone t
         join upstream_session u on (u.subject_key = t.key or u.session_key = t.key) and t.at >= u.began_at
         join browser_session s on s.upstream_session_id = u.upstream_session_id limit :batch)"""
)
FORGET_TOKENS = Sweep(
    "update upstream_session set sealed_tokens = null where upstream_session_id in ("
    + _DUE.format(
        "u.sealed_tokens is not null and not "
        + _NAMED.format("and g.revoked_at is null and g.idle_expires_at > :now and g.expires_at > :now")
    )
    + ")"
)
POSTPONE = Sweep(  # looked at again in a day: by then its grants may have ended before their time
    "update upstream_session set expires_at = :now + 86400 where upstream_session_id in ("
    + _DUE.format(_NAMED.format(""))
    + ")"
)
PURGE = Sweep(
    "delete from upstream_session where upstream_session_id in (" + _DUE.format("not " + _NAMED.format("")) + ")"
)
