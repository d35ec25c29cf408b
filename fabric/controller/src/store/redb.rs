//! A store in a file, for one controller. The one module that names redb.
//!
//! Whatever redb does with a damaged file, a panic included, is an error here. After an input or output error redb refuses everything until its file is opened
//! again, which the next operation does: a disk that was full once must not need a restart.

use std::fs::{File, OpenOptions};
use std::io::ErrorKind;
use std::ops::Bound;
use std::os::unix::fs::OpenOptionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::backends::FileBackend;
use redb::{Builder, Database, Durability, Error, ReadableDatabase, ReadableTable, StorageBackend, TableDefinition, TableError};

use super::backend::{Backend, Change, Judgement, Key, Transaction, Verdict, judge};
use super::error::{Result, StoreError};

const VALUES: TableDefinition<&str, &[u8]> = TableDefinition::new("values");

/// redb would take a gibibyte; what is asked again and again (head, epoch, the newest revisions) fits.
const CACHE_BYTES: usize = 32 << 20;

type Opener = Box<dyn Fn() -> Result<Database, Error> + Send + Sync>;

/// Keys and values in a file.
#[derive(Debug)]
pub struct Redb(Arc<Inner>);

struct Inner {
    open: Opener,
    database: RwLock<Option<Database>>,
    /// The database must be opened again before it is used.
    unsound: AtomicBool,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Inner").field("unsound", &self.unsound).finish_non_exhaustive()
    }
}

/// What went wrong, before it is known what was tried.
enum Failure {
    Database(Error),
    Store(StoreError),
    Panic(String),
}

impl<E: Into<Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Database(error.into())
    }
}

impl Redb {
    /// Opens a file, or makes it, readable by its owner alone. One process at a time can.
    ///
    /// # Errors
    /// Where the file can't be opened, is no store, is damaged beyond repair, or is open already.
    pub async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        if !path.exists() {
            let path = path.clone();
            let made = tokio::task::spawn_blocking(move || make(&path)).await.map_err(Into::into);
            made.and_then(|made| made.map_err(Into::into)).map_err(|source| StoreError::Backend { action: "make its file", source })?;
        }
        // never made anew once it was there: a store that is missing is not an empty one
        Self::with(Box::new(move || create(&path, FileBackend::new(existing(&path)?)?))).await
    }

    async fn with(open: Opener) -> Result<Self> {
        let this = Self(Arc::new(Inner { open, database: RwLock::new(None), unsound: AtomicBool::new(true) }));
        this.run("open its file", |_| Ok(())).await?;
        Ok(this)
    }

    /// Does something with the database, where it may block.
    async fn run<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Database) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        let failed = |source| StoreError::Backend { action, source };
        match tokio::task::spawn_blocking(move || inner.guarded(work)).await {
            Ok(Ok(value)) => Ok(value),
            Ok(Err(Failure::Store(error))) => Err(error),
            Ok(Err(Failure::Database(error))) => Err(failed(error.into())),
            Ok(Err(Failure::Panic(text))) => Err(failed(format!("the file is damaged: {text}").into())),
            Err(error) => Err(failed(error.into())),
        }
    }
}

impl Inner {
    fn guarded<T>(&self, work: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, Failure> {
        // what a panic leaves behind is thrown away: the database is opened again
        let result = catch_unwind(AssertUnwindSafe(|| self.sound(work))).unwrap_or_else(|payload| {
            let text = payload.downcast_ref::<String>().map(String::as_str).or_else(|| payload.downcast_ref().copied());
            Err(Failure::Panic(text.unwrap_or("redb panicked").to_owned()))
        });
        if let Err(Failure::Database(_) | Failure::Panic(_)) = &result {
            self.unsound.store(true, Ordering::Release);
        }
        result
    }

    fn sound<T>(&self, work: impl FnOnce(&Database) -> Result<T, Failure>) -> Result<T, Failure> {
        if self.unsound.load(Ordering::Acquire) {
            let mut database = self.database.write().unwrap_or_else(PoisonError::into_inner);
            // another one may have done so while we waited
            if self.unsound.load(Ordering::Acquire) {
                // closed first: it holds the file's lock
                drop(database.take());
                *database = Some((self.open)()?);
                self.unsound.store(false, Ordering::Release);
            }
        }
        match &*self.database.read().unwrap_or_else(PoisonError::into_inner) {
            Some(database) => work(database),
            None => Err(Error::DatabaseClosed.into()),
        }
    }
}

fn existing(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().read(true).write(true).open(path)
}

/// Makes a store beside its place and links it there when it is whole: what is left of one whose making was interrupted is no store, and would be refused for ever.
fn make(path: &Path) -> Result<(), Error> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".draft-{}", std::process::id()));
    let draft = path.with_file_name(name);
    // of a process that had our number
    let _ = std::fs::remove_file(&draft);
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&draft)?;
    let made = create(&draft, FileBackend::new(file)?).map(drop).and_then(|()| {
        existing(&draft)?.sync_all()?;
        match std::fs::hard_link(&draft, path) {
            // another one was first: that is the store then
            Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
            linked => Ok(linked?),
        }
    });
    std::fs::remove_file(&draft)?;
    made?;
    // its name must be as durable as what is written into it
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Ok(File::open(directory)?.sync_all()?)
}

fn create(path: &Path, backend: impl StorageBackend) -> Result<Database, Error> {
    let database = Builder::new()
        .set_cache_size(CACHE_BYTES)
        .create_with_backend(backend)
        .inspect_err(|error| tracing::error!(path = %path.display(), %error, "the store's file can't be opened"))?;
    // so that readers need not ask whether there is a table
    if let Err(TableError::TableDoesNotExist(_)) = database.begin_read()?.open_table(VALUES) {
        let transaction = begin(&database)?;
        transaction.open_table(VALUES)?;
        transaction.commit()?;
    }
    Ok(database)
}

fn begin(database: &Database) -> Result<redb::WriteTransaction, Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_durability(Durability::Immediate)?;
    // also commits in two phases, without which somebody who decides what is stored could forge the checksums that recovery relies on
    transaction.set_quick_repair(true);
    Ok(transaction)
}

impl Backend for Redb {
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        let key = key.clone();
        self.run("read a value", move |database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            Ok(table.get(key.as_str())?.map(|value| value.value().to_vec()))
        })
        .await
    }

    async fn range(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<(Key, Vec<u8>)>> {
        let (prefix, after) = (prefix.to_owned(), after.cloned());
        self.run("read values", move |database| {
            let table = database.begin_read()?.open_table(VALUES)?;
            let start = after.as_ref().map_or(Bound::Included(prefix.as_str()), |after| Bound::Excluded(after.as_str()));
            let mut found = Vec::new();
            for entry in table.range::<&str>((start, Bound::Unbounded))?.take(limit) {
                let (key, value) = entry?;
                if !key.value().starts_with(&prefix) {
                    break;
                }
                found.push((Key::new(key.value()), value.value().to_vec()));
            }
            Ok(found)
        })
        .await
    }

    async fn transact(&self, transaction: Transaction) -> Result<Verdict> {
        self.run("write", move |database| {
            let write = begin(database)?;
            let mut table = write.open_table(VALUES)?;
            let judged = judge(&transaction, |key| match table.get(key.as_str()) {
                Ok(value) => Ok(value.map(|value| value.value().to_vec())),
                Err(error) => Err(StoreError::Backend { action: "read a value", source: error.into() }),
            });
            let (seen, judgement) = judged.map_err(Failure::Store)?;
            if seen < transaction.epoch {
                table.insert(Key::epoch().as_str(), transaction.epoch.stored().as_slice())?;
            }
            let verdict = match judgement {
                Judgement::Unmet => Verdict::Unmet,
                Judgement::Met => {
                    for change in &transaction.changes {
                        match change {
                            Change::Put(key, value) => drop(table.insert(key.as_str(), value.as_slice())?),
                            Change::Delete(key) => drop(table.remove(key.as_str())?),
                        }
                    }
                    Verdict::Done
                }
            };
            drop(table);
            // without a change there is nothing to wait for the disk for
            let changed = seen < transaction.epoch || verdict == Verdict::Done && !transaction.changes.is_empty();
            if changed {
                write.commit()?;
            } else {
                write.abort()?;
            }
            Ok(verdict)
        })
        .await
    }
}

#[cfg(test)]
#[path = "redb_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "redb_power_tests.rs"]
mod power_tests;
