//! Runs: a resync or a scheduled reconciliation, one row per organization, and a parent row where
//! one request meant several.

use std::collections::BTreeSet;

use rusqlite::{OptionalExtension, Row, params};

use super::orgs::NOT_FROZEN;
use super::outbox::BEHIND_CHANNELS;
use super::pauses::NOT_PAUSED;
use super::{StoreError, Tx, counters};
use crate::domain::run::{RunState, Trigger};
use crate::domain::{BootId, OrgId, RunId, Timestamp};

/// A run as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Row id.
    pub id: RunId,
    /// The request that first asked for it, if that meant several organizations.
    pub parent: Option<RunId>,
    /// The organization; `None` for a parent.
    pub organization: Option<OrgId>,
    /// CRM id, zuid or address of the one person, if it is about one.
    pub person: Option<String>,
    /// Who started it.
    pub trigger: String,
    /// How far it is.
    pub state: RunState,
    /// When it was asked for.
    pub queued_at: Timestamp,
    /// When it began to read.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Counts, a JSON object.
    pub counts: String,
    /// Rows held back with their reasons, a JSON array.
    pub held: String,
    /// Why it failed.
    pub error: Option<String>,
    /// The plan's checksum; `None` before there is one.
    pub checksum: Option<String>,
    /// The guard's verdict, a JSON object.
    pub guard: Option<String>,
    /// Checksum of the settings that its plan was made under.
    pub scope: Option<String>,
    /// What was read for the plan, a JSON object.
    pub read: Option<String>,
    /// What holds it, in a word.
    pub hold: Option<String>,
    /// When an operator approved it, and who.
    pub approved: Option<(Timestamp, String)>,
}

const COLUMNS: &str = "id, (SELECT min(parent_id) FROM run_parts WHERE run_id = runs.id), \
                       organization, person, trigger_word, state, queued_at, \
                       started_at, finished_at, counts, held, error, checksum, guard, hold, \
                       approved_at, approved_by, scope, read";

fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    Ok(Run {
        id: RunId(row.get(0)?),
        parent: row.get::<_, Option<i64>>(1)?.map(RunId),
        organization: row.get::<_, Option<String>>(2)?.map(OrgId::new),
        person: row.get(3)?,
        trigger: row.get(4)?,
        state: RunState::from_word(&row.get::<_, String>(5)?).unwrap_or(RunState::Failed),
        queued_at: Timestamp(row.get(6)?),
        started_at: row.get::<_, Option<i64>>(7)?.map(Timestamp),
        finished_at: row.get::<_, Option<i64>>(8)?.map(Timestamp),
        counts: row.get(9)?,
        held: row.get(10)?,
        error: row.get(11)?,
        checksum: row.get(12)?,
        guard: row.get(13)?,
        hold: row.get(14)?,
        approved: row
            .get::<_, Option<i64>>(15)?
            .map(Timestamp)
            .zip(row.get::<_, Option<String>>(16)?),
        scope: row.get(17)?,
        read: row.get(18)?,
    })
}

/// Opens a parent row for a request that means several organizations.
pub fn open_parent(tx: &Tx<'_>, trigger: Trigger, now: Timestamp) -> Result<RunId, StoreError> {
    tx.sql().execute(
        "INSERT INTO runs(trigger_word, state, queued_at) VALUES (?1, 'queued', ?2)",
        params![trigger.as_str(), now.millis()],
    )?;
    Ok(RunId(tx.sql().last_insert_rowid()))
}

/// The newest request that stands for exactly these runs: a further one that would is that one.
pub fn request_over(tx: &Tx<'_>, runs: &[RunId]) -> Result<Option<RunId>, StoreError> {
    let Some(first) = runs.first() else { return Ok(None) };
    let mut parents = tx
        .sql()
        .prepare_cached("SELECT parent_id FROM run_parts WHERE run_id = ?1 ORDER BY 1 DESC")?;
    let parents = parents.query_map([first.0], |row| row.get(0).map(RunId))?;
    for parent in parents {
        let parent = parent?;
        let parts: BTreeSet<i64> = children(tx, parent)?.iter().map(|run| run.id.0).collect();
        if parts == runs.iter().map(|run| run.0).collect() {
            return Ok(Some(parent));
        }
    }
    Ok(None)
}

/// Makes a request over several organizations stand for this run too.
pub fn add_part(tx: &Tx<'_>, parent: RunId, run: RunId) -> Result<(), StoreError> {
    tx.sql()
        .prepare_cached("INSERT INTO run_parts(parent_id, run_id) VALUES (?1, ?2)")?
        .execute([parent.0, run.0])?;
    Ok(())
}

/// Opens a run, or joins the one of the same scope that waits for its turn or is still reading: of one
/// scope there are never two. True if it is a new one.
pub fn open(
    tx: &Tx<'_>,
    organization: &OrgId,
    person: Option<&str>,
    trigger: Trigger,
    now: Timestamp,
) -> Result<(RunId, bool), StoreError> {
    let waiting = tx
        .sql()
        .query_row(
            "SELECT id FROM runs WHERE organization = ?1 AND person IS ?2
               AND state IN ('queued', 'reading') ORDER BY id DESC LIMIT 1",
            params![organization.as_str(), person],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = waiting {
        return Ok((RunId(id), false));
    }
    tx.sql().execute(
        "INSERT INTO runs(organization, person, trigger_word, state, queued_at)
         VALUES (?1, ?2, ?3, 'queued', ?4)",
        params![organization.as_str(), person, trigger.as_str(), now.millis()],
    )?;
    Ok((RunId(tx.sql().last_insert_rowid()), true))
}

/// Takes the organization's next run: the one queued longest, or one that was left reading by a
/// crash or a failed transaction (a run begins again). One worker at a time may claim.
pub fn claim(
    tx: &Tx<'_>,
    organization: &OrgId,
    boot: BootId,
    now: Timestamp,
) -> Result<Option<Run>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!(
            "UPDATE runs SET state = 'reading', boot = ?2, started_at = ?3 WHERE id =
               (SELECT id FROM runs WHERE organization = ?1
                  AND state IN ('queued', 'reading')
                ORDER BY id LIMIT 1)
             RETURNING {COLUMNS}"
        ))?
        .query_row(params![organization.as_str(), boot.0, now.millis()], run)
        .optional()?)
}

/// Lines of a plan kept in one row.
pub const LINES_PER_PAGE: usize = 500;

/// How far a run is, and what it planned.
#[derive(Clone, Debug)]
pub struct Note {
    /// How far.
    pub state: RunState,
    /// Counts, a JSON object.
    pub counts: String,
    /// Rows held back with their reasons, a JSON array.
    pub held: String,
    /// Why it failed.
    pub error: Option<String>,
    /// The plan, if one was made.
    pub plan: Option<Planned>,
}

/// A plan as a run keeps it.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Over all of it.
    pub checksum: String,
    /// What is shown above its lines, a JSON object; `None` for a plan without lines.
    pub text: Option<String>,
    /// All its lines as they are shown: JSON arrays of [`LINES_PER_PAGE`].
    pub pages: Vec<String>,
    /// What was read for it, a JSON object.
    pub read: String,
    /// The guard's verdict, a JSON object.
    pub guard: String,
    /// Checksum of the settings that it was made under.
    pub scope: String,
    /// What holds it, if something does.
    pub hold: Option<&'static str>,
    /// Prints of the lines, for a held run alone.
    pub prints: Option<Prints>,
}

/// By what the lines of a held plan are found again, one print after the other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prints {
    /// Lines that wait for approval.
    pub waiting: Vec<u8>,
    /// Lines that went on without.
    pub free: Vec<u8>,
}

/// Whether the run is still this boot's, and reading: else it was taken up anew (I33).
pub fn is_held(tx: &Tx<'_>, id: RunId, boot: BootId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT 1 FROM runs WHERE id = ?1 AND boot = ?2 AND state = 'reading'")?
        .exists([id.0, boot.0])?)
}

/// Writes how far the run is.
pub fn note(tx: &Tx<'_>, id: RunId, note: &Note, now: Timestamp) -> Result<(), StoreError> {
    if note.state.is_final() {
        counters::add(tx, &format!("run/{}", note.state), 1)?;
    }
    tx.sql().execute(
        "UPDATE runs SET state = ?2, counts = ?3, held = ?4, error = ?5, finished_at = ?6
         WHERE id = ?1",
        params![
            id.0,
            note.state.as_str(),
            note.counts,
            note.held,
            note.error,
            note.state.is_final().then_some(now.millis())
        ],
    )?;
    let Some(plan) = &note.plan else { return Ok(()) };
    tx.sql().execute(
        "UPDATE runs SET checksum = ?2, plan = ?3, guard = ?4, hold = ?5, waiting = ?6, free = ?7,
                scope = ?8, read = ?9
         WHERE id = ?1",
        params![
            id.0,
            plan.checksum,
            plan.text,
            plan.guard,
            plan.hold,
            plan.prints.as_ref().map(|prints| &prints.waiting),
            plan.prints.as_ref().map(|prints| &prints.free),
            plan.scope,
            plan.read,
        ],
    )?;
    tx.sql().execute("DELETE FROM plan_pages WHERE run_id = ?1", [id.0])?;
    let mut insert = tx
        .sql()
        .prepare_cached("INSERT INTO plan_pages(run_id, page, lines) VALUES (?1, ?2, ?3)")?;
    for (page, lines) in (0_i64..).zip(&plan.pages) {
        insert.execute(params![id.0, page, lines])?;
    }
    Ok(())
}

/// Pages of the plan's lines, in order, from `first` to `last`.
pub fn plan_pages(
    tx: &Tx<'_>,
    id: RunId,
    first: i64,
    last: i64,
) -> Result<Vec<String>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT lines FROM plan_pages WHERE run_id = ?1 AND page BETWEEN ?2 AND ?3 ORDER BY page",
    )?;
    let pages = statement.query_map([id.0, first, last], |row| row.get(0))?;
    Ok(pages.collect::<Result<_, _>>()?)
}

/// What is shown above the plan's lines; `None` for one without lines.
pub fn plan(tx: &Tx<'_>, id: RunId) -> Result<Option<String>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT plan FROM runs WHERE id = ?1")?
        .query_row([id.0], |row| row.get(0))
        .optional()?
        .flatten())
}

/// The prints of a held run's lines.
pub fn prints(tx: &Tx<'_>, id: RunId) -> Result<Prints, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached("SELECT waiting, free FROM runs WHERE id = ?1")?
        .query_row([id.0], |row| {
            let blob = |index| row.get::<_, Option<Vec<u8>>>(index);
            Ok(Prints { waiting: blob(0)?.unwrap_or_default(), free: blob(1)?.unwrap_or_default() })
        })
        .optional()?
        .unwrap_or_default())
}

/// The newest held run of the same organization and person: the only one that can be approved.
pub fn newest_held(
    tx: &Tx<'_>,
    organization: &OrgId,
    person: Option<&str>,
) -> Result<Option<RunId>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT max(id) FROM runs
             WHERE state = 'held' AND organization = ?1 AND person IS ?2",
        )?
        .query_row(params![organization.as_str(), person], |row| row.get::<_, Option<i64>>(0))?
        .map(RunId))
}

/// The newest later run that planned for the same people and held nothing: what this one holds is not
/// what is waiting any more. A run over everybody plans for each single person too.
pub fn resolved_by(tx: &Tx<'_>, run: &Run) -> Result<Option<RunId>, StoreError> {
    let organization = run.organization.as_ref().map(OrgId::as_str);
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT max(id) FROM runs
             WHERE id > ?1 AND organization = ?2 AND (person IS NULL OR person IS ?3)
               AND state IN ('applying', 'done', 'degraded') AND checksum IS NOT NULL",
        )?
        .query_row(params![run.id.0, organization, run.person], |row| row.get::<_, Option<i64>>(0))?
        .map(RunId))
}

/// Notes that an operator approved the held run: from now on it is being carried out. False if it is
/// not held any more.
pub fn approve(tx: &Tx<'_>, id: RunId, actor: &str, now: Timestamp) -> Result<bool, StoreError> {
    let changed = tx.sql().execute(
        "UPDATE runs SET state = 'applying', finished_at = NULL, approved_at = ?2, approved_by = ?3
         WHERE id = ?1 AND state = 'held'",
        params![id.0, now.millis(), actor],
    )?;
    Ok(changed == 1)
}

/// Which runs a list shows.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Of this organization.
    pub organization: Option<String>,
    /// In this state.
    pub state: Option<RunState>,
    /// Older than this row.
    pub before: Option<i64>,
}

/// The runs of single organizations, newest first.
pub fn list(tx: &Tx<'_>, filter: &Filter, limit: u32) -> Result<Vec<Run>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs
         WHERE organization IS NOT NULL AND (?1 IS NULL OR organization = ?1)
           AND (?2 IS NULL OR state = ?2) AND (?3 IS NULL OR id < ?3)
         ORDER BY id DESC LIMIT ?4"
    ))?;
    let state = filter.state.map(RunState::as_str);
    let rows =
        statement.query_map(params![filter.organization, state, filter.before, limit], run)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Ends the runs whose every action was tried once, or is parked, superseded or dead. What could not
/// even be read for was tried: it has an error and no claim. Letters and notices are not waited for.
/// Answers how many ended.
pub fn finish_applied(tx: &Tx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let mut finish = tx.sql().prepare_cached(
        "UPDATE runs SET finished_at = ?1, state = CASE WHEN EXISTS
           (SELECT 1 FROM actions WHERE run_id = runs.id AND state IN ('parked', 'dead'))
           OR EXISTS (SELECT 1 FROM actions WHERE run_id = runs.id AND state = 'waiting'
                      AND lane IN ('access', 'licence', 'channel'))
           THEN 'degraded' ELSE 'done' END
         WHERE state IN ('queued', 'reading', 'applying')  -- as the index of open runs says it
           AND state = 'applying' AND organization IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM actions WHERE run_id = runs.id AND state = 'waiting'
              AND lane IN ('access', 'licence', 'channel')
              AND ((claims = 0 AND last_error IS NULL) OR boot IS NOT NULL))
         RETURNING state",
    )?;
    let ended: Vec<String> =
        finish.query_map([now.millis()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for state in &ended {
        counters::add(tx, &format!("run/{state}"), 1)?;
    }
    Ok(ended.len())
}

/// Forgets the plans of older held runs of the same scope: only the newest can be approved, and a
/// large plan that is held for days would fill the store.
pub fn thin_out_held(tx: &Tx<'_>, newest: RunId) -> Result<(), StoreError> {
    const OLDER: &str = "state = 'held' AND id < ?1 AND waiting IS NOT NULL
                           AND (organization, ifnull(person, '')) =
                               (SELECT organization, ifnull(person, '') FROM runs WHERE id = ?1)";
    for forget in [
        format!("DELETE FROM plan_pages WHERE run_id IN (SELECT id FROM runs WHERE {OLDER})"),
        format!("UPDATE runs SET plan = NULL, waiting = NULL, free = NULL WHERE {OLDER}"),
    ] {
        tx.sql().prepare_cached(&forget)?.execute([newest.0])?;
    }
    Ok(())
}

/// Runs that are not finished, by state.
pub fn open_by_state(tx: &Tx<'_>) -> Result<Vec<(String, i64)>, StoreError> {
    let mut statement = tx.sql().prepare_cached(
        "SELECT state, count(*) FROM runs WHERE organization IS NOT NULL
           AND state IN ('queued', 'reading', 'applying') GROUP BY state",
    )?;
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// The run with this id.
pub fn get(tx: &Tx<'_>, id: RunId) -> Result<Option<Run>, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE id = ?1"))?
        .query_row([id.0], run)
        .optional()?)
}

/// The runs that a request over several organizations stands for.
pub fn children(tx: &Tx<'_>, parent: RunId) -> Result<Vec<Run>, StoreError> {
    let mut statement = tx.sql().prepare_cached(&format!(
        "SELECT {COLUMNS} FROM runs
             WHERE id IN (SELECT run_id FROM run_parts WHERE parent_id = ?1) ORDER BY id"
    ))?;
    let rows = statement.query_map([parent.0], run)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a tick would come during a run over the whole organization: one that has not come to its
/// plan, or one that has something to do at once. What waits for a pause to end, for a quarantine, for a
/// retry or behind another row keeps no further run from looking.
pub fn is_busy(tx: &Tx<'_>, organization: &OrgId, now: Timestamp) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(&format!(
            "SELECT 1 FROM runs WHERE organization = ?1 AND person IS NULL
               AND state IN ('queued', 'reading', 'applying')
               AND (state <> 'applying' OR (EXISTS
                 (SELECT 1 FROM actions WHERE actions.run_id = runs.id
                    AND actions.state = 'waiting' AND lane IN ('access', 'licence', 'channel')
                    AND (next_at <= ?2 OR actions.boot IS NOT NULL)
                    AND {NOT_PAUSED} AND {NOT_FROZEN} AND NOT {BEHIND_CHANNELS} AND NOT EXISTS
                      (SELECT 1 FROM actions earlier WHERE earlier.state = 'waiting'
                         AND earlier.lane = actions.lane AND earlier.id < actions.id
                         AND CASE WHEN actions.guest_id IS NULL
                             THEN earlier.membership_id = actions.membership_id
                             ELSE earlier.guest_id = actions.guest_id END))))
             LIMIT 1"
        ))?
        .exists(params![organization.as_str(), now.millis()])?)
}

/// How many runs are not finished.
pub fn open_count(tx: &Tx<'_>) -> Result<i64, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT count(*) FROM runs WHERE organization IS NOT NULL
               AND state IN ('queued', 'reading', 'applying')",
        )?
        .query_row([], |row| row.get(0))?)
}
