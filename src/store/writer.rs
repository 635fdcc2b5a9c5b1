//! The writer: one thread, one connection, one commit for everything that waits.
//!
//! Each closure runs in a savepoint, so that one that fails undoes only itself. Answers go out
//! after the commit. A second thread folds the write-ahead log into the file between commits, so
//! that a checkpoint rarely happens inside somebody's answer.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};

use super::{StoreError, Tx, connect};

/// Closures in one commit at most: bounds the time the first of them waits.
const BATCH_MAX: usize = 512;

/// Pages of write-ahead log (4 KiB each, so 64 MiB) at which the writer checkpoints by itself,
/// because the checkpoint thread cannot reset the log while writes go on without a pause.
const WAL_PAGES_MAX: u32 = 16_384;

/// Least time between two checkpoints of the side thread.
const CHECKPOINT_EVERY: Duration = Duration::from_millis(20);

type Answer = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Job = Box<dyn FnOnce(&Connection) -> Answer + Send>;

enum Message {
    Run(Job),
    Close(oneshot::Sender<()>),
}

/// The way to the writer thread.
#[derive(Clone)]
pub(super) struct Writer {
    queue: mpsc::UnboundedSender<Message>,
}

impl Writer {
    /// Starts the writer and the checkpoint thread.
    pub(super) fn start(connection: Connection, path: &Path) -> Result<Self, StoreError> {
        connection.pragma_update(None, "wal_autocheckpoint", WAL_PAGES_MAX)?;
        let side = connect(path)?;
        let (committed, commits) = sync_channel(1);
        let (queue, jobs) = mpsc::unbounded_channel();
        let file = |error| StoreError::File { path: path.to_owned(), error };
        let folder = std::thread::Builder::new()
            .name("store-checkpoint".into())
            .spawn(move || checkpoint(&side, &commits))
            .map_err(file)?;
        std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                if let Some(done) = run(&connection, jobs, &committed) {
                    // Two checkpoints at once are one too many: the second is refused as busy.
                    drop(committed);
                    let _ = folder.join();
                    fold_in(&connection);
                    let _ = done.send(());
                }
            })
            .map_err(file)?;
        Ok(Self { queue })
    }

    /// Queues `f`; `answer` gets its result once it is on disk.
    pub(super) fn submit<T, F>(
        &self,
        name: &'static str,
        f: F,
        answer: oneshot::Sender<Result<T, StoreError>>,
    ) -> Result<(), StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let job: Job = Box::new(move |connection| {
            let result = in_savepoint(connection, name, f);
            Box::new(move |commit| {
                // A caller that went away does not mind losing the answer.
                let _ = answer.send(result.and_then(|value| commit.map(|()| value)));
            })
        });
        self.queue.send(Message::Run(job)).map_err(|_| StoreError::Gone)
    }

    /// Lets the thread commit what is queued, close its file, and end.
    pub(super) async fn close(&self) {
        let (done, wait) = oneshot::channel();
        if self.queue.send(Message::Close(done)).is_ok() {
            let _ = wait.await;
        }
    }
}

fn in_savepoint<T>(
    connection: &Connection,
    name: &'static str,
    f: impl FnOnce(&Tx<'_>) -> Result<T, StoreError>,
) -> Result<T, StoreError> {
    let run = |sql: &str| connection.prepare_cached(sql)?.execute([]).map(|_| ());
    run("SAVEPOINT job")?;
    let result = catch_unwind(AssertUnwindSafe(|| f(&Tx { connection }))).unwrap_or_else(|_| {
        tracing::error!(transaction = name, "a store transaction panicked and was undone");
        Err(StoreError::Gone)
    });
    if result.is_err() {
        run("ROLLBACK TO job")?;
    }
    run("RELEASE job")?;
    result
}

/// Works until it is told to close, or nobody is left to tell it anything.
fn run(
    connection: &Connection,
    mut jobs: mpsc::UnboundedReceiver<Message>,
    committed: &SyncSender<()>,
) -> Option<oneshot::Sender<()>> {
    let mut batch = Vec::with_capacity(BATCH_MAX);
    while jobs.blocking_recv_many(&mut batch, BATCH_MAX) > 0 {
        let mut closing = None;
        let mut work = Vec::with_capacity(batch.len());
        for message in batch.drain(..) {
            match message {
                Message::Run(job) => work.push(job),
                Message::Close(done) => closing = Some(done),
            }
        }
        commit(connection, work);
        let _ = committed.try_send(());
        if closing.is_some() {
            return closing;
        }
    }
    None
}

/// Folds the log into the file, so that a copy of the closed file alone is complete.
fn fold_in(connection: &Connection) {
    let busy = connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get::<_, bool>(0))
        .map_err(|error| error.to_string());
    match busy {
        Ok(false) => {}
        Ok(true) => tracing::warn!("a reader was busy; the write-ahead log stays beside the store"),
        Err(error) => tracing::warn!(error, "the write-ahead log stays beside the store"),
    }
}

fn commit(connection: &Connection, work: Vec<Job>) {
    if work.is_empty() {
        return;
    }
    let mut answers = Vec::with_capacity(work.len());
    let result = connection.execute_batch("BEGIN IMMEDIATE").and_then(|()| {
        answers.extend(work.into_iter().map(|job| job(connection)));
        connection.execute_batch("COMMIT")
    });
    if result.is_err() && !connection.is_autocommit() {
        let _ = connection.execute_batch("ROLLBACK");
    }
    // When BEGIN failed the jobs were dropped with their senders: their callers see `Gone`.
    if let Err(error) = &result {
        tracing::error!(%error, "the store could not commit");
    }
    let failed: Option<Arc<str>> = result.err().map(|error| error.to_string().into());
    for answer in answers {
        answer(match &failed {
            None => Ok(()),
            Some(error) => Err(StoreError::Commit(error.to_string())),
        });
    }
}

/// Ends when the writer has ended, because then nobody holds the other side of `commits`.
fn checkpoint(side: &Connection, commits: &Receiver<()>) {
    let (_never, pause) = sync_channel::<()>(0);
    while commits.recv().is_ok() {
        let _ = side.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()));
        if pause.recv_timeout(CHECKPOINT_EVERY) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    }
}
