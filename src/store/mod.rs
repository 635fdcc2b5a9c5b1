//! The one SQLite file: inbox, ledger, outbox, runs, audit, and the manners owed to Zoho.
//!
//! Writes go through one thread that commits everything waiting at once (group commit); reads use
//! a few connections of their own. A transaction is a synchronous closure, so nothing can be
//! awaited inside one. SQL is written nowhere else in the program.

pub mod audit;
pub mod boots;
pub mod channels;
pub mod counters;
pub mod digest;
pub mod foreign;
pub mod guests;
pub mod hints;
pub mod inbox;
pub mod joins;
pub mod ledger;
pub mod lock;
pub mod looks;
pub mod manners;
pub mod orgs;
pub mod outbox;
pub mod pauses;
pub mod people;
pub mod plans;
pub mod prune;
pub mod removals;
pub mod runs;
mod schema;
#[cfg(test)]
mod tests;
pub mod ticks;
pub mod tokens;
pub mod told;
pub mod watches;
mod writer;

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rusqlite::Connection;
use tokio::sync::{Semaphore, oneshot};

use writer::Writer;

use crate::domain::RunId;

/// Connections for reading. The admin API and the workers' look-ups are short; four are plenty on
/// two cores.
const READERS_MAX: usize = 4;

/// Memory for SQLite's page cache per connection, KiB (negative by SQLite's convention).
const CACHE_KIB: i64 = -16_384;

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite said no.
    #[error("the store: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The schema could not be brought up to date.
    #[error("the store's schema: {0}")]
    Migration(String),
    /// The file was written by a newer cliqbridge.
    #[error(
        "{path} was written by a newer cliqbridge (schema {found}, this program knows {known}): \
         install that version again, or restore a backup made before the upgrade"
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its schema version.
        found: i64,
        /// The newest this program knows.
        known: i64,
    },
    /// Another daemon holds the store.
    #[error("{0} is in use by another cliqbridge: stop that one first")]
    InUse(PathBuf),
    /// The file or its folder cannot be used.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// The system's answer.
        error: std::io::Error,
    },
    /// The commit that should have made the write durable failed.
    #[error("the store could not commit: {0}")]
    Commit(String),
    /// A run that somebody else has taken up meanwhile: nothing of it may be written (I33).
    #[error("{0} was taken up anew; what is left of the old one is dropped")]
    Superseded(RunId),
    /// The writer thread has ended, or a closure panicked.
    #[error("the store's writer is gone")]
    Gone,
    /// A row holds something this program cannot read.
    #[error("the store holds an unreadable {0}")]
    Unreadable(&'static str),
}

/// A transaction. Only this module's functions can look inside.
pub struct Tx<'a> {
    connection: &'a Connection,
}

impl Tx<'_> {
    fn sql(&self) -> &Connection {
        self.connection
    }
}

/// The store. Cloning shares it.
#[derive(Clone)]
pub struct Store {
    writer: Writer,
    readers: Arc<Readers>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    permits: Semaphore,
}

impl Store {
    /// Opens or creates the file and brings its schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Newer`] for a file of a later program, and whatever the file system says.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder)
                .map_err(|error| StoreError::File { path: folder.to_owned(), error })?;
        }
        create_private(path)?;
        let mut connection = connect(path)?;
        schema::migrate(&mut connection, path)?;
        let writer = Writer::start(connection, path)?;
        let readers = Arc::new(Readers {
            path: path.to_owned(),
            idle: Mutex::new(Vec::new()),
            permits: Semaphore::new(READERS_MAX),
        });
        Ok(Self { writer, readers })
    }

    /// Runs `f` in the next group transaction and answers when that is on disk. An error undoes
    /// only what `f` did. `name` is for the log, which hears it before `f` is queued.
    pub async fn write<T, F>(&self, name: &'static str, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        tracing::trace!(transaction = name);
        let (answer, wait) = oneshot::channel();
        self.writer.submit(name, f, answer)?;
        wait.await.unwrap_or(Err(StoreError::Gone))
    }

    /// Runs `f` on a consistent view of what is committed.
    pub async fn read<T, F>(&self, f: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let _permit = self.readers.permits.acquire().await.map_err(|_| StoreError::Gone)?;
        tokio::task::spawn_blocking(move || {
            let idle = readers.idle.lock().ok().and_then(|mut idle| idle.pop());
            let connection = match idle {
                Some(connection) => connection,
                None => connect(&readers.path)?,
            };
            let result = {
                let view = connection.unchecked_transaction()?;
                f(&Tx { connection: &view })
            };
            if let Ok(mut idle) = readers.idle.lock() {
                idle.push(connection);
            }
            result
        })
        .await
        .unwrap_or(Err(StoreError::Gone))
    }

    /// Runs `f` on a consistent view in which these tables are copies in memory: what `f` writes to
    /// them it sees, and nobody else ever does. For asking "what would follow".
    pub async fn rehearse<T, F>(
        &self,
        tables: &'static [&'static str],
        f: F,
    ) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let readers = Arc::clone(&self.readers);
        let _permit = self.readers.permits.acquire().await.map_err(|_| StoreError::Gone)?;
        tokio::task::spawn_blocking(move || {
            // Of its own, and gone with its copies.
            let connection = connect(&readers.path)?;
            connection.execute_batch("PRAGMA temp_store = MEMORY")?;
            let view = connection.unchecked_transaction()?;
            for table in tables {
                shadow(&view, table)?;
            }
            f(&Tx { connection: &view })
        })
        .await
        .unwrap_or(Err(StoreError::Gone))
    }

    /// Whether the writer still commits: an empty transaction goes through it.
    pub async fn ping(&self) -> Result<(), StoreError> {
        self.write("ping", |_| Ok(())).await
    }

    /// Closes the writer after everything queued is committed, and folds the log into the file.
    pub async fn close(&self) {
        self.writer.close().await;
    }
}

/// Puts a copy of a table, with its indexes, in front of it: SQLite looks for an unqualified name
/// among the temporary tables first.
fn shadow(connection: &Connection, table: &str) -> Result<(), StoreError> {
    let made: Vec<(String, String)> = connection
        .prepare(
            "SELECT type, sql FROM main.sqlite_master
             WHERE tbl_name = ?1 AND type IN ('table', 'index') AND sql IS NOT NULL
             ORDER BY type = 'index'",
        )?
        .query_map([table], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (kind, sql) in made {
        let sql = match kind.as_str() {
            "table" => sql.replacen("CREATE TABLE ", "CREATE TEMP TABLE ", 1),
            _ => sql.replacen("CREATE INDEX ", "CREATE INDEX temp.", 1),
        };
        connection.execute_batch(&sql)?;
    }
    connection.execute_batch(&format!("INSERT INTO temp.{table} SELECT * FROM main.{table}"))?;
    Ok(())
}

/// SQLite gives the log and the shared memory the rights of the file itself: tokens, addresses and
/// bodies are for the daemon's user alone, whatever the umask.
fn create_private(path: &Path) -> Result<(), StoreError> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(path)
        .map(|_| ())
        .map_err(|error| StoreError::File { path: path.to_owned(), error })
}

fn connect(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    // FULL: an acknowledged delivery must survive a power cut, not only a crash.
    connection.execute_batch(&format!(
        "PRAGMA busy_timeout = 5000;
         PRAGMA journal_mode = WAL;
         PRAGMA synchronous = FULL;
         PRAGMA foreign_keys = ON;
         PRAGMA cache_size = {CACHE_KIB};"
    ))?;
    connection.set_prepared_statement_cache_capacity(64);
    Ok(connection)
}
