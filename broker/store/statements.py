"""Every statement on people's data, for both databases: one per transition, with `returning` where something is decided.

`/*skip locked*/` and `/*settled*/` are for PostgreSQL, which fills them in; SQLite has one writer at a time and needs neither.
A grant's row is updated in place: the `purge_at` of a row is when it may go, and rotation moves no indexed column.
`realm_id || ''` keeps SQLite from the index of all clients where another one narrows.
Reads and changes of clients, logins and consents first, then codes, grants and tokens, then keys, audit and purge. Sessions and people
stand in `upstream_statements`.
"""

from __future__ import annotations

from broker.store.database import Change, Maybe, Query, Sweep
from broker.store.upstream_statements import FIRST_USED, LIVE_GRANTS_OF, LOGGED_OUT

# What follows from a change that caches must notice; `{}` is the deciding step.
_MOVED = "update counter set value = value + 1 where name = 'changes' and :{}.{} is not null"
CHANGES = Query("select value from counter where name = 'changes'")

# Clients
_CLIENT = """select c.record, c.expires_at, exists (
               select 1 from client_block b where b.realm_id = c.realm_id and b.client_id = c.client_id)
             from client c where c.realm_id = 'default' """
FIND_CLIENT = Query(_CLIENT + "and c.client_id = :client_id")
LIST_CLIENTS = Query(_CLIENT + "order by c.created_at, c.client_id", cold=True)
BLOCKED_CLIENTS = Query("select client_id from client_block where realm_id = 'default'")
SAVE_CLIENT = Change(
    saved="""insert into client (realm_id, client_id, source, record, created_at, expires_at)
             values ('default', :client_id, :source, :record, :created_at, :expires_at)
             on conflict (realm_id, client_id) do nothing returning client_id""",
    moved=_MOVED.format("saved", "client_id"),
)
REGISTER_CLIENT = Change(
    counted="""insert into registration_source (source, made, window_ends_at)
               select :registering, 1, :window_ends_at where :rate > 0
               on conflict (source) do update set
                 made = case when registration_source.window_ends_at <= :now then 1 else registration_source.made + 1 end,
                 window_ends_at = case when registration_source.window_ends_at <= :now
                                  then excluded.window_ends_at else registration_source.window_ends_at end
               where registration_source.window_ends_at <= :now or registration_source.made < :rate
               returning made""",
    # When full, the oldest goes that nobody used for a day: else one source fills the house for everybody (rule D13).
    evicted=Maybe(
        """delete from client where realm_id = 'default' and client_id in (
             select c.client_id from client c
             where :counted.made is not null
             and (select value from counter where name = 'unused_clients') >= :unused
             and c.used_at is null and c.source = 'registered' and c.created_at <= :idle_since
             and c.realm_id || '' = 'default'
             and not exists (
               select 1 from oauth_grant g where g.client_id = c.client_id and g.revoked_at is null and g.expires_at > :now)
             order by c.created_at limit 1)
           returning client_id"""
    ),
    admitted="""update counter set value = value + case when :evicted.client_id is null then 1 else 0 end
                where name = 'unused_clients' and (value < :unused or :evicted.client_id is not null)
                and :counted.made is not null returning value""",
    saved="""insert into client (realm_id, client_id, source, record, created_at, expires_at)
             select 'default', :client_id, :source, :record, :created_at, :expires_at
             where :admitted.value is not null returning client_id""",
)
REMOVE_CLIENT = Change(
    removed="""delete from client where realm_id = 'default' and client_id = :client_id
               returning client_id, source, used_at""",
    revoked="""update oauth_grant set revoked_at = :now, revoked_reason = 'client_removed'
               where client_id = :removed.client_id and realm_id = 'default' and revoked_at is null""",
    forgotten="delete from consent where client_id = :removed.client_id and realm_id = 'default'",
    counted="""update counter set value = value - 1
               where name = 'unused_clients' and :removed.source = 'registered' and :removed.used_at is null""",
    moved=_MOVED.format("removed", "client_id"),
)
BLOCK_CLIENT = Change(
    blocked="""insert into client_block (realm_id, client_id) values ('default', :client_id)
               on conflict (realm_id, client_id) do nothing returning client_id""",
    moved=_MOVED.format("blocked", "client_id"),
)
UNBLOCK_CLIENT = Change(
    unblocked="delete from client_block where realm_id = 'default' and client_id = :client_id returning client_id",
    moved=_MOVED.format("unblocked", "client_id"),
)

# Login. A finished login stays until it expires, so that its request cannot be approved again.
BEGIN_LOGIN = Change(
    begun="""insert into pending_login (request_id, state_hash, cookie_hash, provider, nonce, sealed_verifier, request,
               client, remember, source, created_at, expires_at)
             select :request_id, :state_hash, :cookie_hash, :provider, :nonce, :sealed_verifier, :request,
               :client, :remember, :source, :created_at, :expires_at
             where not exists (
               select 1 from authorization_code c where c.request_id = :request_id and c.redeemed_at is not null)
             on conflict (request_id) do update set
               state_hash = excluded.state_hash, cookie_hash = excluded.cookie_hash, provider = excluded.provider,
               nonce = excluded.nonce, sealed_verifier = excluded.sealed_verifier, request = excluded.request,
               client = excluded.client, remember = excluded.remember, source = excluded.source,
               created_at = excluded.created_at, expires_at = excluded.expires_at
             where pending_login.finished_at is null returning request_id"""
)
FINISH_LOGIN = Change(
    finished="""update pending_login set finished_at = :now
                where state_hash = :state_hash and finished_at is null and expires_at > :now
                returning request_id, state_hash, cookie_hash, provider, nonce, sealed_verifier, request, client,
                  remember, source, created_at, expires_at"""
)
SEE_PERSON = Change(
    known="""update person set seen_at = :now where realm_id = 'default' and upstream_issuer = :issuer
             and upstream_subject = :upstream_subject and namespace = :namespace returning subject"""
)
CREATE_PERSON = Change(
    created="""insert into person (realm_id, upstream_issuer, upstream_subject, namespace, subject, created_at, seen_at)
               values ('default', :issuer, :upstream_subject, :namespace, :candidate, :now, :now)
               on conflict (realm_id, upstream_issuer, upstream_subject, namespace) do nothing returning subject"""
)
# Consent
FIND_CONSENT = Query(
    """select key, subject, client_id, redirect_uri, resource, scopes, created_at, remembered from consent
       where realm_id = 'default' and key = :key"""
)
APPROVED_BEFORE = Query(
    """select 1 from consent where client_id = :client_id and subject = :subject and redirect_uri = :redirect_uri
       and realm_id = 'default' limit 1"""
)

# Codes and grants
_GRANT = """g.grant_id, g.realm_id, g.client_id, g.client_snapshot, g.subject, coalesce(u.identity, g.identity), g.session_hash,
            g.resource, g.scopes, g.handle, g.generation, g.mac_key_id, g.rotated_at, g.created_at, g.activated_at,
            g.idle_expires_at, g.expires_at, coalesce(g.revoked_at, u.ended_at), coalesce(g.revoked_reason, u.ended_reason),
            g.auth_method, g.sub_issued, g.actor, g.cnf, g.authorization_details, g.status_index, g.upstream_session_id,
            u.checked_at from oauth_grant g left join upstream_session u on u.upstream_session_id = g.upstream_session_id"""
# Nothing is done for a grant whose upstream session has ended, nor for a code whose login began before a logout.
_TIE = "exists (select 1 from upstream_session u where u.upstream_session_id = oauth_grant.upstream_session_id and {})"
_CUT_OFF = _TIE.format("u.ended_at is not null")
_LATE = _TIE.format("(u.ended_at is not null or " + LOGGED_OUT.format("u.") + ")")
SAVE_CODE = Change(
    # A later approval takes the place of the earlier one, and its grant, but only the same person's; a logout wins (rule B17).
    coded="""insert into authorization_code (request_id, code_hash, grant_id, subject, client_id, redirect_uri, code_challenge,
               resource, scopes, source, issued_at, expires_at, wrong_attempts, purge_at)
             select :code_request_id, :code_code_hash, :code_grant_id, :grant_subject, :code_client_id, :code_redirect_uri,
               :code_code_challenge, :code_resource, :code_scopes, :code_source, :code_issued_at, :code_expires_at, 0,
               :code_expires_at
             where not exists (select 1 from upstream_session where upstream_session_id = :grant_upstream_session_id
               and (ended_at is not null or """
    + LOGGED_OUT.format("upstream_session.")
    + """))
               and :sessions_needed <= (select count(*) from browser_session where session_hash = :grant_session_hash)
             on conflict (request_id) do update set
               code_hash = excluded.code_hash, client_id = excluded.client_id, redirect_uri = excluded.redirect_uri,
               code_challenge = excluded.code_challenge, resource = excluded.resource, scopes = excluded.scopes,
               source = excluded.source, issued_at = excluded.issued_at, expires_at = excluded.expires_at,
               wrong_attempts = 0, purge_at = excluded.purge_at
             where authorization_code.redeemed_at is null and authorization_code.subject = excluded.subject
             returning grant_id""",
    granted="""insert into oauth_grant (grant_id, realm_id, client_id, client_snapshot, subject, identity, session_hash,
                 upstream_session_id, resource, scopes, handle, generation, mac_key_id, rotated_at, created_at, activated_at,
                 idle_expires_at, expires_at,
                 revoked_at, revoked_reason, auth_method, sub_issued, actor, cnf, authorization_details, status_index, purge_at)
               select :coded.grant_id, :grant_realm_id, :grant_client_id, :grant_client_snapshot, :grant_subject,
                 :grant_identity, :grant_session_hash, :grant_upstream_session_id, :grant_resource, :grant_scopes,
                 :grant_handle, :grant_generation, :grant_mac_key_id, :grant_rotated_at, :grant_created_at, :grant_activated_at,
                 :grant_idle_expires_at,
                 :grant_expires_at, :grant_revoked_at, :grant_revoked_reason, :grant_auth_method, :grant_sub_issued,
                 :grant_actor, :grant_cnf, :grant_authorization_details, :grant_status_index, :code_expires_at
               where :coded.grant_id is not null
               on conflict (grant_id) do update set purge_at = excluded.purge_at returning grant_id""",
    consented="""insert into consent (realm_id, key, subject, client_id, redirect_uri, resource, scopes, created_at, remembered)
                 select 'default', :consent_key, :consent_subject, :consent_client_id, :consent_redirect_uri,
                   :consent_resource, :consent_scopes, :consent_created_at, :consent_remembered
                 where :granted.grant_id is not null
                 on conflict (realm_id, key) do update set remembered = excluded.remembered
                   where consent.remembered = 0 or :consent_forget = 1""",
)
FIND_CODE = Query(
    """select c.code_hash, c.request_id, c.grant_id, c.client_id, c.redirect_uri, c.code_challenge, c.resource, c.scopes, c.source,
       c.issued_at, c.expires_at, c.redeemed_at, c.wrong_attempts, """
    + _GRANT
    + " join authorization_code c on c.grant_id = g.grant_id where c.code_hash = :code_hash"
)
REDEEM_CODE = Change(
    spent="""update authorization_code set redeemed_at = :now, purge_at = :kept_until
             where code_hash = :code_hash and redeemed_at is null and expires_at > :now and wrong_attempts < 5
             returning grant_id, client_id""",
    activated="""update oauth_grant set activated_at = :now, generation = :generation, idle_expires_at = :idle_expires_at,
                   expires_at = :expires_at, purge_at = :expires_at
                 where grant_id = :spent.grant_id and revoked_at is null and not """
    + _LATE
    + " returning grant_id",
    # A registered client is used from its first grant on: it leaves the count of unused ones and lives as long as the grant.
    used=Maybe(
        """update client set used_at = :now, expires_at = :expires_at
           where realm_id = 'default' and client_id = :spent.client_id and source = 'registered' and used_at is null
           and :activated.grant_id is not null returning client_id"""
    ),
    counted="update counter set value = value - 1 where name = 'unused_clients' and :used.client_id is not null",
)
COUNT_WRONG_ATTEMPT = Change(
    counted="""update authorization_code set wrong_attempts = wrong_attempts + 1
               where code_hash = :code_hash and redeemed_at is null returning wrong_attempts"""
)
FIND_GRANT = Query("select " + _GRANT + " where g.grant_id = :grant_id")
FIND_GRANT_BY_HANDLE = Query("select " + _GRANT + " where g.handle = :handle")
LIVE_GRANTS = Query("select " + _GRANT + LIVE_GRANTS_OF, cold=True)
ROTATE = Change(
    rotated="""update oauth_grant set generation = generation + 1, rotated_at = :now, idle_expires_at = :idle_expires_at
               where handle = :handle and generation = :generation and activated_at is not null and revoked_at is null
               and idle_expires_at > :now and expires_at > :now and not """
    + _CUT_OFF
    + " returning grant_id"
)
REPEAT = Change(
    repeated="""update oauth_grant set rotated_at = rotated_at
                where handle = :handle and activated_at is not null and revoked_at is null
                and idle_expires_at > :now and expires_at > :now and not """
    + _CUT_OFF
    + " returning grant_id"
)
REVOKE_GRANT = Change(
    revoked="""update oauth_grant set revoked_at = :now, revoked_reason = :reason
               where grant_id = :grant_id and revoked_at is null returning grant_id""",
    moved=_MOVED.format("revoked", "grant_id"),
)
REVOKE_TOKEN = Change(
    revoked="""insert into revoked_token (jti, expires_at) values (:jti, :expires_at)
               on conflict (jti) do nothing returning jti""",
    moved=_MOVED.format("revoked", "jti"),
)
TOKEN_ENDED = Query(
    """select exists (select 1 from revoked_token where jti = :jti) or not exists (
       select 1 from oauth_grant where grant_id = :grant_id and revoked_at is null and expires_at > :now
       and not exists (
         select 1 from client_block b where b.realm_id = oauth_grant.realm_id and b.client_id = oauth_grant.client_id)
       and not """
    + _CUT_OFF
    + ")"
)
FIRST_USE = Change(used=FIRST_USED)

# Keys
LOAD_KEYS = Query("select version, keys from key_ring where realm_id = 'default'")
REPLACE_KEYS = Change(
    replaced="""update key_ring set version = version + 1, keys = :keys where realm_id = 'default' and version = :version
                returning version""",
    moved=_MOVED.format("replaced", "version"),
)

# Audit
APPEND_EVENTS = Change()
_EVENTS = "select sequence, at, name, request_id, subject, client_id, resource, grant_id, fields from audit_event "
READ_EVENTS = Query(
    _EVENTS + "where sequence > :after and name = coalesce(:name, name) /*settled*/ order by sequence limit :limit",
    cold=True,
)
READ_NEWEST_EVENTS = Query(
    _EVENTS + "where sequence > :after and name = coalesce(:name, name) order by sequence desc limit :limit",
    cold=True,
)

# Purge. A client's consents go with it; a client with a live grant is put off until that one ends.
POSTPONE_CLIENTS = Sweep(
    """update client set expires_at = (
         select max(g.expires_at) from oauth_grant g
         where g.client_id = client.client_id and g.revoked_at is null and g.expires_at > :now)
       where realm_id = 'default' and client_id in (
         select c.client_id from client c where c.expires_at <= :now and c.realm_id || '' = 'default' and exists (
           select 1 from oauth_grant g where g.client_id = c.client_id and g.revoked_at is null and g.expires_at > :now)
         limit :batch /*skip locked*/)"""
)
PURGE_CONSENTS = Sweep(
    """delete from consent where realm_id || '' = 'default' and client_id in (
         select c.client_id from client c where c.expires_at <= :now and c.realm_id || '' = 'default' and not exists (
           select 1 from oauth_grant g where g.client_id = c.client_id and g.revoked_at is null and g.expires_at > :now))"""
)
PURGE_CLIENTS = Sweep(
    """delete from client where realm_id = 'default' and client_id in (
         select c.client_id from client c where c.expires_at <= :now and c.realm_id || '' = 'default' and not exists (
           select 1 from oauth_grant g where g.client_id = c.client_id and g.revoked_at is null and g.expires_at > :now)
         limit :batch /*skip locked*/)"""
)
RECOUNT_CLIENTS = Sweep(
    """update counter set value = (select count(*) from client where used_at is null and source = 'registered')
       where name = 'unused_clients'
       and value <> (select count(*) from client where used_at is null and source = 'registered')"""
)
MOVE_CHANGES = Sweep("update counter set value = value + 1 where name = 'changes'")
_PURGE = "delete from {0} where {1} in (select {1} from {0} where {2} <= :now limit :batch /*skip locked*/)"
PURGES = tuple(
    Sweep(_PURGE.format(table, key, due))
    for table, key, due in (
        ("pending_login", "request_id", "expires_at"),
        ("authorization_code", "request_id", "purge_at"),
        ("oauth_grant", "grant_id", "purge_at"),
        ("browser_session", "session_hash", "expires_at"),
        ("revoked_token", "jti", "expires_at"),
        ("used_key", "key_hash", "expires_at"),
        ("registration_source", "source", "window_ends_at"),
        ("logout_tombstone", "key", "expires_at"),
    )
)
PURGE_EVENTS = Sweep(  # the trail grows at its end, so what is old stands at its beginning
    """delete from audit_event where sequence in (
         select sequence from (select sequence, at from audit_event order by sequence limit :batch /*skip locked*/) as oldest
         where at < :audit_before and sequence < (select max(sequence) from audit_event))"""
)
