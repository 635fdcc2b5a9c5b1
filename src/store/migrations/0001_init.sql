-- Times are milliseconds since the epoch, UTC. Words in `state`, `status`, `origin` and `lane` are
-- those of the domain types.

CREATE TABLE meta (
  key   TEXT PRIMARY KEY,
  value BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE boots (
  id         INTEGER PRIMARY KEY AUTOINCREMENT,
  started_at INTEGER NOT NULL,
  ended_at   INTEGER
);

-- One row per (source, duplicate key); `dedupe` is their hash, 16 bytes, so that the index stays
-- small whatever ids a sender makes up.
CREATE TABLE deliveries (
  id             INTEGER PRIMARY KEY,
  dedupe         BLOB    NOT NULL UNIQUE,
  source         TEXT    NOT NULL,
  key_id         TEXT    NOT NULL,
  event_id       TEXT,
  event_type     TEXT    NOT NULL,
  organization   TEXT,
  status         TEXT    NOT NULL,
  detail         TEXT,
  received_at    INTEGER NOT NULL,
  repeats        INTEGER NOT NULL DEFAULT 0,
  last_repeat_at INTEGER,
  replays        INTEGER NOT NULL DEFAULT 0,
  last_replay_at INTEGER,
  body           BLOB    NOT NULL
);
CREATE INDEX deliveries_event ON deliveries(event_id) WHERE event_id IS NOT NULL;

CREATE TABLE rejections (
  id     INTEGER PRIMARY KEY,
  at     INTEGER NOT NULL,
  source TEXT    NOT NULL,
  status INTEGER NOT NULL,
  kind   TEXT    NOT NULL,
  detail TEXT    NOT NULL
);
CREATE TABLE counters (
  name  TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) WITHOUT ROWID;

-- Where to look again: one row per organization and CRM user, however many deliveries said so.
-- `version` grows with each of them; only the version that was read may be closed.
CREATE TABLE hints (
  organization TEXT    NOT NULL,
  crm_user_id  TEXT    NOT NULL,
  kind         TEXT    NOT NULL,
  version      INTEGER NOT NULL DEFAULT 1,
  first_at     INTEGER NOT NULL,
  last_at      INTEGER NOT NULL,
  next_at      INTEGER NOT NULL,
  boot         INTEGER,
  failures     INTEGER NOT NULL DEFAULT 0,
  looks        INTEGER NOT NULL DEFAULT 0,
  delivery_id  INTEGER,
  last_error   TEXT,
  PRIMARY KEY (organization, crm_user_id)
) WITHOUT ROWID;

CREATE TABLE memberships (
  id                   INTEGER PRIMARY KEY AUTOINCREMENT,
  organization         TEXT    NOT NULL,
  crm_user_id          TEXT    NOT NULL,
  zuid                 TEXT,
  cliq_id              TEXT,
  email                TEXT    NOT NULL,
  invited_as           TEXT,
  first_name           TEXT    NOT NULL,
  last_name            TEXT    NOT NULL,
  invited_by           TEXT    NOT NULL,
  language             TEXT    NOT NULL,
  time_zone            TEXT    NOT NULL,
  state                TEXT    NOT NULL,
  origin               TEXT    NOT NULL,
  external             INTEGER NOT NULL,
  generation           INTEGER NOT NULL,
  sends                INTEGER NOT NULL,
  since                INTEGER NOT NULL,
  invited_at           INTEGER,
  join_url             TEXT,
  suspected_at         INTEGER,
  absent_since         INTEGER,
  seen                 INTEGER NOT NULL,
  unseen_since         INTEGER,
  reminded             INTEGER NOT NULL,
  overdue_told         INTEGER NOT NULL,
  licence              TEXT,
  licence_given        INTEGER NOT NULL,
  restricted_by_bridge INTEGER NOT NULL,
  parked               TEXT,
  UNIQUE (organization, crm_user_id)
);
-- A person is looked for in one organization, and across all.
CREATE INDEX memberships_email ON memberships(email, organization);
CREATE INDEX memberships_zuid ON memberships(zuid, organization) WHERE zuid IS NOT NULL;
CREATE INDEX memberships_cliq ON memberships(cliq_id, organization) WHERE cliq_id IS NOT NULL;
CREATE INDEX memberships_crm ON memberships(crm_user_id);
-- Whose open invitation went to an address.
CREATE INDEX memberships_invited_as ON memberships(invited_as, organization)
  WHERE state = 'invited';
-- Who vanished within the guard's window.
CREATE INDEX memberships_vanished ON memberships(organization, since)
  WHERE unseen_since IS NOT NULL;
-- What the invitation clock looks at.
CREATE INDEX memberships_clock ON memberships(organization) WHERE state IN ('wanted', 'invited');

-- One person and one mapped channel. `membership_id` is absent for the organization's own people.
CREATE TABLE guests (
  id            INTEGER PRIMARY KEY AUTOINCREMENT,
  organization  TEXT    NOT NULL,
  channel       TEXT    NOT NULL,
  crm_user_id   TEXT    NOT NULL,
  membership_id INTEGER REFERENCES memberships(id),
  state         TEXT    NOT NULL,
  since         INTEGER NOT NULL,
  invited_as    TEXT,
  invited_at    INTEGER,
  sends         INTEGER NOT NULL,
  unanswered    INTEGER NOT NULL,
  has_account   INTEGER NOT NULL,
  generation    INTEGER NOT NULL,
  cliq_id       TEXT,
  unseen_since  INTEGER,
  parked        TEXT,
  -- Which part of a refused call the person is tried with next.
  part          INTEGER,
  UNIQUE (organization, channel, crm_user_id)
);
CREATE INDEX guests_user ON guests(organization, crm_user_id);
CREATE INDEX guests_membership ON guests(membership_id) WHERE membership_id IS NOT NULL;
-- Invitations that are out: how many more people a channel has room for.
CREATE INDEX guests_open ON guests(organization, channel)
  WHERE state IN ('invited', 'awaiting_signup', 'signed_up');
-- Channels that somebody waits for.
CREATE INDEX guests_wanted ON guests(organization, channel) WHERE state = 'wanted';

-- What was last read of each mapped channel; `channel_id` is absent for one that Cliq does not show.
-- `refused` is what Cliq said to everybody alike, until an operator asks again; `problem` is what the
-- administrators were told last.
CREATE TABLE channels (
  organization      TEXT NOT NULL,
  channel           TEXT NOT NULL,
  channel_id        TEXT,
  level             TEXT,
  name              TEXT NOT NULL DEFAULT '',
  alive             INTEGER NOT NULL DEFAULT 0,
  add_participants  TEXT NOT NULL DEFAULT '[]',
  may_add           INTEGER,
  participants      INTEGER,
  external_channels INTEGER,
  read_at           INTEGER NOT NULL,
  refused           TEXT,
  -- When Cliq said so to the last call; stays while that is tried again, until somebody gets in.
  refused_at        INTEGER,
  problem           TEXT,
  PRIMARY KEY (organization, channel)
) WITHOUT ROWID;

-- Members of mapped channels whom the bridge did not bring in: reported, never touched (R57, R58).
CREATE TABLE strangers (
  organization TEXT    NOT NULL,
  channel      TEXT    NOT NULL,
  cliq_id      TEXT    NOT NULL,
  email        TEXT,
  first_at     INTEGER NOT NULL,
  PRIMARY KEY (organization, channel, cliq_id)
) WITHOUT ROWID;

-- External rows of each organization's Cliq that no ledger row stands for, as the last run over
-- everybody saw them: listed, never touched. The first ones; `organizations.foreign_count` has them all.
CREATE TABLE foreigners (
  id           INTEGER PRIMARY KEY,
  organization TEXT    NOT NULL,
  cliq_id      TEXT    NOT NULL,
  zuid         TEXT,
  email        TEXT,
  status       TEXT    NOT NULL,
  first_at     INTEGER NOT NULL,
  UNIQUE (organization, cliq_id)
);

-- Internal rows of each organization's Cliq, as last listed: where people are at home (R3).
CREATE TABLE internals (
  organization TEXT NOT NULL,
  cliq_id      TEXT NOT NULL,
  zuid         TEXT,
  email        TEXT,
  PRIMARY KEY (organization, cliq_id)
) WITHOUT ROWID;
CREATE INDEX internals_zuid ON internals(zuid) WHERE zuid IS NOT NULL;
CREATE INDEX internals_email ON internals(email) WHERE email IS NOT NULL;

-- The home last accepted of each person whose home is in sight, by zuid, else by address (G6).
-- `seen`: an account was listed there, not only a domain matched; `confirmed`: an operator said so.
CREATE TABLE homes (
  person    TEXT PRIMARY KEY,
  home      TEXT NOT NULL,
  seen      INTEGER NOT NULL,
  confirmed INTEGER NOT NULL,
  since     INTEGER NOT NULL
) WITHOUT ROWID;

-- What forbids every write for a person (R3, G6, G9). `one` is the person, or the lesser of two
-- 'organization/CRM user'; `other` the organizations, or the greater. Told once, then kept until
-- the facts agree again. `shared` is what two CRM users of one organization have in common.
CREATE TABLE conflicts (
  id      INTEGER PRIMARY KEY,
  kind    TEXT    NOT NULL,
  one     TEXT    NOT NULL,
  other   TEXT    NOT NULL,
  since   INTEGER NOT NULL,
  told_at INTEGER,
  shared  TEXT,
  UNIQUE (one, other, kind)
);
CREATE INDEX conflicts_other ON conflicts(other);
CREATE INDEX conflicts_told ON conflicts(told_at) WHERE told_at IS NOT NULL;

-- Join links by the SHA-256 of their token.
CREATE TABLE joins (
  hash          BLOB    PRIMARY KEY,
  membership_id INTEGER NOT NULL REFERENCES memberships(id),
  generation    INTEGER NOT NULL,
  send          INTEGER NOT NULL,
  created_at    INTEGER NOT NULL
) WITHOUT ROWID;

-- Addresses that asked for no more letters.
CREATE TABLE suppressed (
  email TEXT    PRIMARY KEY,
  since INTEGER NOT NULL
) WITHOUT ROWID;

-- Up to when the ticks of each scheduled job of each organization (or of all, '') had their turn.
CREATE TABLE ticks (
  organization TEXT    NOT NULL,
  job          TEXT    NOT NULL,
  last_at      INTEGER NOT NULL,
  skipped      INTEGER NOT NULL DEFAULT 0,
  PRIMARY KEY (organization, job)
) WITHOUT ROWID;

-- The CRM watch of each organization (contract section 3.3). Channel and token are not here: they
-- follow from the store's key. `next_at` is NULL in a row that only notes a listing asked for.
CREATE TABLE watches (
  organization TEXT    PRIMARY KEY,
  terms        TEXT,
  expires_at   INTEGER,
  next_at      INTEGER,
  failing      INTEGER NOT NULL DEFAULT 0,
  told         INTEGER NOT NULL DEFAULT 0,
  -- When a notification last asked for a complete listing, and when one was last begun for it.
  asked_at     INTEGER,
  listed_at    INTEGER
) WITHOUT ROWID;

CREATE TABLE actions (
  id              INTEGER PRIMARY KEY AUTOINCREMENT,
  organization    TEXT    NOT NULL,
  membership_id   INTEGER REFERENCES memberships(id),
  guest_id        INTEGER REFERENCES guests(id),
  lane            TEXT    NOT NULL,
  operation       TEXT    NOT NULL,
  payload         TEXT,
  reason          TEXT    NOT NULL,
  delivery_id     INTEGER,
  run_id          INTEGER,
  idempotency_key TEXT    NOT NULL,
  guarded         INTEGER NOT NULL DEFAULT 0,
  by_operator     INTEGER NOT NULL DEFAULT 0,
  state           TEXT    NOT NULL DEFAULT 'waiting',
  boot            INTEGER,
  claims          INTEGER NOT NULL DEFAULT 0,
  next_at         INTEGER NOT NULL,
  failures        INTEGER NOT NULL DEFAULT 0,
  created_at      INTEGER NOT NULL,
  finished_at     INTEGER,
  last_code       TEXT,
  last_error      TEXT
);
CREATE INDEX actions_due ON actions(lane, organization, next_at) WHERE state = 'waiting';
CREATE INDEX actions_letters ON actions(next_at, id) WHERE state = 'waiting' AND lane = 'letter';
CREATE INDEX actions_subject ON actions(membership_id, lane) WHERE state = 'waiting';
CREATE INDEX actions_open ON actions(state, failures) WHERE state IN ('waiting', 'parked', 'dead');
CREATE INDEX actions_guest ON actions(guest_id) WHERE guest_id IS NOT NULL;
-- What the removal guard counts.
CREATE INDEX actions_guarded ON actions(organization, finished_at) WHERE guarded = 1;
CREATE INDEX actions_membership ON actions(membership_id) WHERE membership_id IS NOT NULL;
CREATE INDEX actions_run ON actions(run_id) WHERE run_id IS NOT NULL;
CREATE INDEX actions_run_waiting ON actions(run_id, lane) WHERE state = 'waiting';
-- Whom the invitation cap counts.
CREATE INDEX actions_invited ON actions(organization, finished_at)
  WHERE operation IN ('add_external', 'letter');
CREATE INDEX actions_finished ON actions(finished_at) WHERE finished_at IS NOT NULL;

CREATE TABLE audit (
  id            INTEGER PRIMARY KEY,
  at            INTEGER NOT NULL,
  organization  TEXT    NOT NULL,
  membership_id INTEGER,
  actor         TEXT    NOT NULL,
  event         TEXT    NOT NULL,
  reason        TEXT    NOT NULL,
  before        TEXT,
  after         TEXT,
  delivery_id   INTEGER,
  run_id        INTEGER,
  action_id     INTEGER
);
CREATE INDEX audit_membership ON audit(membership_id);
CREATE INDEX audit_organization ON audit(organization);
CREATE INDEX audit_at ON audit(at);

-- Who may use the admin API, beside the configuration's bootstrap token: SHA-256 of the token only.
-- A name is free again once its token is revoked.
CREATE TABLE api_tokens (
  id           INTEGER PRIMARY KEY,
  name         TEXT    NOT NULL,
  hash         BLOB    NOT NULL UNIQUE,
  role         TEXT    NOT NULL,
  created_at   INTEGER NOT NULL,
  created_by   TEXT    NOT NULL,
  expires_at   INTEGER,
  last_used_at INTEGER,
  revoked_at   INTEGER
);
CREATE UNIQUE INDEX api_tokens_name ON api_tokens(name) WHERE revoked_at IS NULL;

-- Where an operator lets nothing be written; organization '' is everywhere.
CREATE TABLE pauses (
  organization TEXT    PRIMARY KEY,
  since        INTEGER NOT NULL,
  by           TEXT    NOT NULL
) WITHOUT ROWID;

CREATE TABLE organizations (
  id                TEXT PRIMARY KEY,
  subscription      TEXT NOT NULL DEFAULT 'unknown',
  -- Time of the newest evidence, and of the last change.
  subscription_at   INTEGER,
  subscription_since INTEGER,
  -- The `paid_type` first seen in CRM's licence details, and what the last reads of them said.
  first_paid_type   TEXT,
  plan_read         TEXT,
  plan_reads        INTEGER NOT NULL DEFAULT 0,
  downgrade_approved INTEGER NOT NULL DEFAULT 0,
  paid_type         TEXT,
  crm_licences      INTEGER,
  plan_read_at      INTEGER,
  -- Whether they are to be read now, and not at the next poll.
  -- When the licence details are to be read before their schedule; a new organization's at once.
  plan_asked_for    INTEGER DEFAULT 0,
  -- Paid Cliq seats as last listed and given since, and the number at which the portal said that
  -- none is left, with the pool that was configured then.
  seats_used        INTEGER,
  seats_learnt      INTEGER,
  seats_configured  INTEGER,
  own_zuid          TEXT,
  first_snapshot_at INTEGER,
  first_run_at      INTEGER,
  -- Checksum of the settings that say who is meant by what, as last approved.
  approved_scope    TEXT,
  crm_pages         INTEGER,
  cliq_pages        INTEGER,
  quarantined_at    INTEGER,
  quarantine_cause  TEXT,
  -- Since a quarantine, and until a run has seen who has joined meanwhile: nobody is reminded.
  clock_waits       INTEGER NOT NULL DEFAULT 0,
  wants_listing     INTEGER NOT NULL DEFAULT 0,  -- only a listing ends the quarantine
  probe_at          INTEGER,
  last_good_read_at INTEGER,
  -- Reads that failed since the last good one, and since when.
  failed_reads      INTEGER NOT NULL DEFAULT 0,
  failing_since     INTEGER,
  -- External rows that no ledger row stands for.
  foreign_count     INTEGER NOT NULL DEFAULT 0,
  -- When the newest complete listing was begun.
  listed_at         INTEGER,
  -- When the daemon first had the organization in its configuration.
  known_at          INTEGER,
  -- When a run over everybody last came to its plan, and how long it took, in milliseconds.
  good_run_at       INTEGER,
  good_run_took     INTEGER
) WITHOUT ROWID;

-- Whom a hint looked at while a run was reading, and when that look was begun: what the run has read
-- of them is older (I31). Emptied when a run begins.
CREATE TABLE looks (
  organization TEXT    NOT NULL,
  crm_user_id  TEXT    NOT NULL,
  read_at      INTEGER NOT NULL,
  PRIMARY KEY (organization, crm_user_id)
) WITHOUT ROWID;

-- What administrators were told of a lasting state, so that it is said once and not daily.
CREATE TABLE told (
  organization TEXT NOT NULL,
  what         TEXT NOT NULL,
  about        TEXT NOT NULL,
  PRIMARY KEY (organization, what)
) WITHOUT ROWID;

-- CRM ids of the first complete snapshot: who was there before the bridge.
CREATE TABLE baseline (
  organization TEXT NOT NULL,
  crm_user_id  TEXT NOT NULL,
  PRIMARY KEY (organization, crm_user_id)
) WITHOUT ROWID;

-- A request over everything has one row without organization, and stands for one run of each
-- organization (`run_parts`).
CREATE TABLE runs (
  id           INTEGER PRIMARY KEY AUTOINCREMENT,
  organization TEXT,
  person       TEXT,
  trigger_word TEXT    NOT NULL,
  state        TEXT    NOT NULL,
  boot         INTEGER,
  queued_at    INTEGER NOT NULL,
  started_at   INTEGER,
  finished_at  INTEGER,
  counts       TEXT    NOT NULL DEFAULT '{}',
  held         TEXT    NOT NULL DEFAULT '[]',
  error        TEXT,
  -- The plan's checksum over all of its lines; what is shown above them, where it has lines; what was
  -- read for it; the guard's verdict.
  checksum     TEXT,
  plan         TEXT,
  read         TEXT,
  guard        TEXT,
  -- Checksum of the settings that the plan was made under, as `organizations.approved_scope`.
  scope        TEXT,
  -- Of a held run: what holds it, and a print of each line that waits and of each that does not.
  hold         TEXT,
  waiting      BLOB,
  free         BLOB,
  approved_at  INTEGER,
  approved_by  TEXT
);

-- Lines of a run's plan, as shown, so many to a page that one is read fast and all are kept.
CREATE TABLE plan_pages (
  run_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  page   INTEGER NOT NULL,
  lines  TEXT    NOT NULL,
  PRIMARY KEY (run_id, page)
);
CREATE INDEX runs_held ON runs(organization, id) WHERE state = 'held';
CREATE INDEX runs_open ON runs(state) WHERE state IN ('queued', 'reading', 'applying');
CREATE INDEX runs_begun ON runs(organization, person) WHERE state IN ('queued', 'reading');

-- Which runs a request stands for. A run may belong to several requests: a later one joins it.
CREATE TABLE run_parts (
  parent_id INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  run_id    INTEGER NOT NULL REFERENCES runs(id) ON DELETE CASCADE,
  PRIMARY KEY (parent_id, run_id)
) WITHOUT ROWID;
CREATE INDEX run_parts_run ON run_parts(run_id);

-- Zoho's side of our manners: every budgeted call before it is sent, locks, and the one token.
CREATE TABLE budget_calls (
  credential TEXT    NOT NULL,
  group_word TEXT    NOT NULL,
  at         INTEGER NOT NULL
);
CREATE INDEX budget_calls_at ON budget_calls(credential, group_word, at);
CREATE TABLE budget_locks (
  credential TEXT    NOT NULL,
  group_word TEXT    NOT NULL,
  until      INTEGER NOT NULL,
  PRIMARY KEY (credential, group_word)
) WITHOUT ROWID;
CREATE TABLE tokens (
  credential   TEXT PRIMARY KEY,
  access_token BLOB    NOT NULL,
  expires_at   INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX actions_notices ON actions(organization, created_at)
  WHERE operation IN ('admin_mail', 'admin_post');
