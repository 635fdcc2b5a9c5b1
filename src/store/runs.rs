//! Runs: a resync or a scheduled reconciliation, one row per organization, and a parent row where
//! one request meant several.

use rusqlite::{OptionalExtension, Row, params};

use super::{StoreError, Tx, counters};
use crate::domain::run::{RunState, Trigger};
use crate::domain::{BootId, OrgId, RunId, Timestamp};

/// A run as the store has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// Row id.
    pub id: RunId,
    /// The request it belongs to, if that meant several organizations.
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
}

const COLUMNS: &str = "id, parent_id, organization, person, trigger_word, state, queued_at, \
                       started_at, finished_at, counts, held, error";

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

/// The request over everything that is still waiting or reading in all its organizations, with
/// its runs: a further request joins it.
pub fn open_everywhere(tx: &Tx<'_>) -> Result<Option<(RunId, Vec<Run>)>, StoreError> {
    let parent: Option<i64> = tx
        .sql()
        .query_row(
            "SELECT max(parent_id) FROM runs WHERE parent_id IS NOT NULL AND person IS NULL
               AND state IN ('queued', 'reading')",
            [],
            |row| row.get(0),
        )
        .optional()?
        .flatten();
    let Some(parent) = parent.map(RunId) else { return Ok(None) };
    let runs = children(tx, parent)?;
    let open = |run: &Run| matches!(run.state, RunState::Queued | RunState::Reading);
    Ok(runs.iter().all(open).then_some((parent, runs)))
}

/// Opens a run, or joins the one of the same scope that waits for its turn or is still reading.
pub fn open(
    tx: &Tx<'_>,
    parent: Option<RunId>,
    organization: &OrgId,
    person: Option<&str>,
    trigger: Trigger,
    now: Timestamp,
) -> Result<RunId, StoreError> {
    let waiting = tx
        .sql()
        .query_row(
            "SELECT id FROM runs WHERE organization = ?1 AND person IS ?2
               AND (?3 IS NULL OR parent_id = ?3)
               AND state IN ('queued', 'reading') ORDER BY id DESC LIMIT 1",
            params![organization.as_str(), person, parent.map(|id| id.0)],
            |row| row.get(0),
        )
        .optional()?;
    if let Some(id) = waiting {
        return Ok(RunId(id));
    }
    tx.sql().execute(
        "INSERT INTO runs(parent_id, organization, person, trigger_word, state, queued_at)
         VALUES (?1, ?2, ?3, ?4, 'queued', ?5)",
        params![
            parent.map(|id| id.0),
            organization.as_str(),
            person,
            trigger.as_str(),
            now.millis()
        ],
    )?;
    Ok(RunId(tx.sql().last_insert_rowid()))
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

/// Writes how far the run is.
pub fn note(
    tx: &Tx<'_>,
    id: RunId,
    state: RunState,
    counts: &str,
    held: &str,
    error: Option<&str>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if state.is_final() {
        counters::add(tx, &format!("run/{state}"), 1)?;
    }
    tx.sql().execute(
        "UPDATE runs SET state = ?2, counts = ?3, held = ?4, error = ?5, finished_at = ?6
         WHERE id = ?1",
        params![
            id.0,
            state.as_str(),
            counts,
            held,
            error,
            state.is_final().then_some(now.millis())
        ],
    )?;
    Ok(())
}

/// Ends the runs whose every action was tried once, or is parked, superseded or dead. Letters and
/// notices are not waited for. Answers how many ended.
pub fn finish_applied(tx: &Tx<'_>, now: Timestamp) -> Result<usize, StoreError> {
    let mut finish = tx.sql().prepare_cached(
        "UPDATE runs SET finished_at = ?1, state = CASE WHEN EXISTS
           (SELECT 1 FROM actions WHERE run_id = runs.id AND state IN ('parked', 'dead'))
           OR EXISTS (SELECT 1 FROM actions WHERE run_id = runs.id AND state = 'waiting'
                      AND lane IN ('access', 'licence', 'channel'))
           THEN 'degraded' ELSE 'done' END
         WHERE state = 'applying' AND organization IS NOT NULL AND NOT EXISTS
           (SELECT 1 FROM actions WHERE run_id = runs.id AND state = 'waiting'
              AND lane IN ('access', 'licence', 'channel') AND (claims = 0 OR boot IS NOT NULL))
         RETURNING state",
    )?;
    let ended: Vec<String> =
        finish.query_map([now.millis()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    for state in &ended {
        counters::add(tx, &format!("run/{state}"), 1)?;
    }
    Ok(ended.len())
}

/// When a run over the whole organization last ended well: everything was read, and whatever was
/// planned from it was tried or waits for approval.
pub fn last_good(tx: &Tx<'_>, organization: &OrgId) -> Result<Option<Timestamp>, StoreError> {
    let at: Option<i64> = tx
        .sql()
        .prepare_cached(
            "SELECT max(finished_at) FROM runs WHERE organization = ?1 AND person IS NULL
               AND state IN ('done', 'degraded', 'held')",
        )?
        .query_row([organization.as_str()], |row| row.get(0))?;
    Ok(at.map(Timestamp))
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

/// The runs that one request opened.
pub fn children(tx: &Tx<'_>, parent: RunId) -> Result<Vec<Run>, StoreError> {
    let mut statement = tx
        .sql()
        .prepare_cached(&format!("SELECT {COLUMNS} FROM runs WHERE parent_id = ?1 ORDER BY id"))?;
    let rows = statement.query_map([parent.0], run)?;
    Ok(rows.collect::<Result<_, _>>()?)
}

/// Whether a run over the whole organization is not finished.
pub fn is_open(tx: &Tx<'_>, organization: &OrgId) -> Result<bool, StoreError> {
    Ok(tx
        .sql()
        .prepare_cached(
            "SELECT 1 FROM runs WHERE organization = ?1 AND person IS NULL
               AND state IN ('queued', 'reading', 'applying') LIMIT 1",
        )?
        .exists([organization.as_str()])?)
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
