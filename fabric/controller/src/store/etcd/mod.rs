//! A store in etcd, for several controllers. The one module, with what is below it, that names etcd-client.
//!
//! Every write compares the epoch's key in the same transaction that writes, so etcd itself refuses what comes from a leader that was replaced, however late.
//!
//! One member is asked at a time, and another one once it fails. What only reads is asked again there; a write is not, unless it never left: whether it happened is
//! not known then, and its writer has to look.

mod lease;

use std::error::Error as _;
use std::fmt;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use etcd_client::{
    Certificate, Client, Compare, CompareOp, ConnectOptions, Error, GetOptions, Identity, KvClient, LeaseClient, TlsOptions, Txn, TxnOp,
    TxnOpResponse,
};
use thiserror::Error;

use super::TRIES;
use super::backend::{Backend, Change, Condition, Epoch, Key, Transaction, Verdict};
use super::error::{Cause, Result, StoreError};

pub use lease::{Campaign, Leader, Lease, TTL};

/// How long one member may take to answer. Two of these are less than a leader may be without an answer.
const CALL: Duration = Duration::from_millis(900);
/// Between two signs of life on a silent connection, and until one that is not answered is dead.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);
/// Values of one answer: each is less than 1 MiB.
const PAGE: usize = 48;
/// The longest answer: so many of the largest values.
const ANSWER_MAX: usize = (PAGE + 1) << 20;
/// Below which keys are, where nothing else is said.
const PREFIX: &str = "leafwall";

/// Where an etcd is: `etcd://HOST:PORT[,HOST:PORT…][/PREFIX]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EtcdUrl {
    members: Vec<String>,
    prefix: String,
}

/// A text that is no such place.
#[derive(Debug, Error)]
#[error("`{0}` is no etcd, such as etcd://10.0.0.1:2379,10.0.0.2:2379,10.0.0.3:2379")]
pub struct NoEtcd(String);

impl FromStr for EtcdUrl {
    type Err = NoEtcd;

    fn from_str(text: &str) -> Result<Self, NoEtcd> {
        let no = || NoEtcd(text.to_owned());
        let rest = text.strip_prefix("etcd://").ok_or_else(no)?;
        let (members, prefix) = rest.split_once('/').unwrap_or((rest, PREFIX));
        let is_member = |member: &&str| {
            let (host, port) = member.rsplit_once(':').unwrap_or_default();
            let host_is_one = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_[]:".contains(&byte));
            host_is_one && port.parse::<u16>().is_ok()
        };
        let is_prefix = !prefix.is_empty() && prefix.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte));
        if !is_prefix || !members.split(',').all(|member| is_member(&member)) {
            return Err(no());
        }
        Ok(Self { members: members.split(',').map(str::to_owned).collect(), prefix: prefix.trim_end_matches('/').to_owned() })
    }
}

impl fmt::Display for EtcdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "etcd://{}/{}", self.members.join(","), self.prefix)
    }
}

/// Keys and values in etcd.
#[derive(Clone)]
pub struct Etcd(Arc<Inner>);

struct Inner {
    url: EtcdUrl,
    members: Vec<Member>,
    /// The member that is asked first.
    current: AtomicUsize,
}

struct Member {
    values: KvClient,
    leases: LeaseClient,
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Etcd").field(&self.0.url).finish()
    }
}

/// Whether a call may be made again where it is not known whether it happened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Again {
    /// It changes nothing, or the same once more.
    Harmless,
    /// Only if it never left.
    IfNeverSent,
}

impl Etcd {
    /// At this place, with the certificates of a directory (`ca.pem`, `own.pem`, `own.key`) or in the clear. It need not be there yet.
    ///
    /// # Errors
    /// Where certificates can't be read or used.
    pub async fn open(url: EtcdUrl, identity: Option<&Path>) -> Result<Self> {
        let failed = |source: Cause| StoreError::Backend { action: "prepare its connection to etcd", source };
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CALL)
            .with_keep_alive(SIGN_OF_LIFE, SIGN_OF_LIFE)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let Some(directory) = identity {
            options = options.with_tls(tls(directory).map_err(|error| failed(error.into()))?);
        }
        let scheme = if identity.is_some() { "https" } else { "http" };
        let mut members = Vec::new();
        for member in &url.members {
            let client = Client::connect([format!("{scheme}://{member}")], Some(options.clone())).await;
            let client = client.map_err(|error| failed(error.into()))?;
            members.push(Member { values: client.kv_client().max_decoding_message_size(ANSWER_MAX), leases: client.lease_client() });
        }
        Ok(Self(Arc::new(Inner { url, members, current: AtomicUsize::new(0) })))
    }

    fn key(&self, key: &Key) -> Vec<u8> {
        self.path(key.as_str())
    }

    fn path(&self, key: &str) -> Vec<u8> {
        format!("{}/{key}", self.0.url.prefix).into_bytes()
    }

    /// Asks one member after the other until one answers.
    async fn call<'a, T, F>(&'a self, action: &'static str, again: Again, mut ask: impl FnMut(&'a Member) -> F) -> Result<T>
    where
        F: Future<Output = Result<T, Error>> + Send,
    {
        let first = self.0.current.load(Ordering::Relaxed);
        let count = self.0.members.len();
        let mut failed: Cause = "etcd has no member".into();
        for at in (0..count).map(|turn| (first + turn) % count) {
            let Some(member) = self.0.members.get(at) else { continue };
            let never_sent = match tokio::time::timeout(CALL, ask(member)).await {
                Ok(Ok(answer)) => {
                    self.0.current.store(at, Ordering::Relaxed);
                    return Ok(answer);
                }
                Ok(Err(error)) => {
                    let never_sent = never_sent(&error);
                    failed = error.into();
                    never_sent
                }
                Err(_) => {
                    failed = format!("no answer within {} ms", CALL.as_millis()).into();
                    false
                }
            };
            tracing::debug!(member = self.0.url.members.get(at), error = %failed, action, "a member of etcd does not answer");
            self.0.current.store((at + 1) % count, Ordering::Relaxed);
            if again == Again::IfNeverSent && !never_sent {
                break;
            }
        }
        Err(StoreError::Backend { action, source: failed })
    }

    async fn txn(&self, action: &'static str, txn: Txn) -> Result<etcd_client::TxnResponse> {
        self.call(action, Again::IfNeverSent, |member| {
            let (mut values, txn) = (member.values.clone(), txn.clone());
            async move { values.txn(txn).await }
        })
        .await
    }

    async fn page(&self, start: Vec<u8>, options: GetOptions) -> Result<etcd_client::GetResponse> {
        self.call("read values", Again::Harmless, |member| {
            let (mut values, start, options) = (member.values.clone(), start.clone(), options.clone());
            async move { values.get(start, Some(options)).await }
        })
        .await
    }

    fn compare(&self, condition: &Condition) -> Compare {
        match &condition.value {
            Some(value) => Compare::value(self.key(&condition.key), CompareOp::Equal, value.clone()),
            // etcd's comparison of a value that is not there fails whatever it is compared with
            None => Compare::create_revision(self.key(&condition.key), CompareOp::Equal, 0),
        }
    }
}

fn tls(directory: &Path) -> Result<TlsOptions, ReadError> {
    let read = |name: &str| {
        let path = directory.join(name);
        std::fs::read_to_string(&path).map_err(|source| ReadError { path, source })
    };
    let own = Identity::from_pem(read("own.pem")?, read("own.key")?);
    Ok(TlsOptions::new().ca_certificate(Certificate::from_pem(read("ca.pem")?)).identity(own))
}

#[derive(Debug, Error)]
#[error("can't read `{path}`")]
struct ReadError {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// Whether nobody was there to be asked.
fn never_sent(error: &Error) -> bool {
    let Error::GRpcStatus(status) = error else { return false };
    let mut cause = status.source();
    while let Some(error) = cause {
        if error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            return true;
        }
        cause = error.source();
    }
    false
}

/// The first key behind all that start so.
fn behind(mut prefix: Vec<u8>) -> Vec<u8> {
    while let Some(last) = prefix.pop() {
        if let Some(next) = last.checked_add(1) {
            prefix.push(next);
            return prefix;
        }
    }
    // etcd's word for: no end
    vec![0]
}

impl Backend for Etcd {
    async fn get(&self, key: &Key) -> Result<Option<Vec<u8>>> {
        let key = self.key(key);
        let mut found = self
            .call("read a value", Again::Harmless, |member| {
                let (mut values, key) = (member.values.clone(), key.clone());
                async move { values.get(key, None).await }
            })
            .await?;
        Ok(found.take_kvs().pop().map(|pair| pair.into_key_value().1))
    }

    async fn range(&self, prefix: &str, after: Option<&Key>, limit: usize) -> Result<Vec<(Key, Vec<u8>)>> {
        let end = behind(self.path(prefix));
        let next = |key: &Key| [self.key(key).as_slice(), &[0]].concat();
        let mut start = after.map_or_else(|| self.path(prefix), |after| next(after).max(self.path(prefix)));
        let mut found: Vec<(Key, Vec<u8>)> = Vec::new();
        while found.len() < limit {
            let want = PAGE.min(limit - found.len());
            let options = GetOptions::new().with_range(end.clone()).with_limit(i64::try_from(want).unwrap_or(i64::MAX));
            let mut page = self.page(start, options).await?;
            let pairs = page.take_kvs();
            let last = pairs.len() < want;
            for pair in pairs {
                let (key, value) = pair.into_key_value();
                let path = String::from_utf8(key.get(self.0.url.prefix.len() + 1..).unwrap_or_default().to_vec());
                let path = path.map_err(|error| StoreError::Damaged { key: prefix.to_owned(), complaint: error.to_string() })?;
                found.push((Key::new(path), value));
            }
            match found.last() {
                Some((key, _)) if !last => start = next(key),
                _ => break,
            }
        }
        Ok(found)
    }

    async fn transact(&self, transaction: Transaction) -> Result<Verdict> {
        let key = Key::epoch();
        let own = transaction.epoch.stored();
        let raise = || TxnOp::put(self.key(&key), own.clone(), None);
        // nearly always it is our own that stands; if not, etcd says which one does
        let mut seen = Some(own.clone());
        for _ in 0..TRIES {
            let stands = self.compare(&Condition { key: key.clone(), value: seen.clone() });
            let newer = seen.as_ref() != Some(&own);
            let compares: Vec<Compare> =
                std::iter::once(stands.clone()).chain(transaction.conditions.iter().map(|condition| self.compare(condition))).collect();
            let changes = transaction.changes.iter().map(|change| match change {
                Change::Put(key, value) => TxnOp::put(self.key(key), value.clone(), None),
                Change::Delete(key) => TxnOp::delete(self.key(key), None),
            });
            let met: Vec<TxnOp> = newer.then(&raise).into_iter().chain(changes).collect();
            // a newer epoch shuts out older ones even where a condition does not hold
            let shut_out = newer.then(|| TxnOp::txn(Txn::new().when([stands]).and_then([raise()])));
            let unmet: Vec<TxnOp> = std::iter::once(TxnOp::get(self.key(&key), None)).chain(shut_out).collect();
            let answer = self.txn("write", Txn::new().when(compares).and_then(met).or_else(unmet)).await?;
            if answer.succeeded() {
                return Ok(Verdict::Done);
            }
            let found = match answer.op_responses().into_iter().next() {
                Some(TxnOpResponse::Get(mut found)) => found.take_kvs().pop().map(|pair| pair.into_key_value().1),
                _ => return Err(StoreError::Backend { action: "write", source: "etcd's answer is none to what was asked".into() }),
            };
            if found == seen {
                return Ok(Verdict::Unmet);
            }
            let stands = Epoch::read(&key, found.as_deref())?;
            if stands > transaction.epoch {
                return Err(StoreError::Fenced { epoch: transaction.epoch, seen: stands });
            }
            seen = found;
        }
        Err(StoreError::Backend { action: "write", source: "the epoch changes all the time".into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_others_refused() {
        let url: EtcdUrl = "etcd://10.0.0.1:2379,etcd-2.example:2379,[fd00::1]:2379".parse().unwrap();
        assert_eq!(url.to_string(), "etcd://10.0.0.1:2379,etcd-2.example:2379,[fd00::1]:2379/leafwall");
        let url: EtcdUrl = "etcd://a:1/fra1/".parse().unwrap();
        assert_eq!((url.members.len(), url.prefix.as_str()), (1, "fra1"));
        for no in ["", "etcd://", "http://a:1", "etcd://a", "etcd://a:1,", "etcd://a:port", "etcd://a:1/", "etcd://u@a:1", "etcd://a:1/x y"]
        {
            assert!(no.parse::<EtcdUrl>().is_err(), "{no}");
        }
    }

    #[test]
    fn the_end_of_a_range_is_behind_all_with_its_prefix() {
        assert_eq!(behind(b"a/".to_vec()), b"a0");
        assert_eq!(behind(vec![1, 255]), [2]);
        assert_eq!(behind(vec![255]), [0]);
    }
}
