//! Who may take part: tokens, nodes, operators and their certificates, over the store. Blocking.
//!
//! All of it lies in the partition `registry`: `join/HASH` and `login/HASH` (tokens, by their SHA-256 only), `node/NAME`,
//! `operator/NAME`, `revoked/SERIAL`.

use std::collections::BTreeSet;
use std::sync::Arc;

use common_model::{NodeName, Timestamp};
use common_plan::PublicKey;
use common_tls::{OperatorName, Role};
use controller_store::{Batch, Order, Store, StoreError, scan_prefix};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const PARTITION: &str = "registry";
/// How long a login token is good for, in milliseconds.
pub const LOGIN_TTL_MS: i64 = 60 * 60 * 1000;
/// The longest a join token may be good for, in milliseconds.
pub const MAX_JOIN_TTL_MS: i64 = 24 * 60 * 60 * 1000;
const MAX_ENTRIES: usize = 100_000;

/// Why somebody may not take part.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// No such token, or it was used.
    #[error("this token is not known, or it was used already: tokens work once; ask for a new one")]
    UnknownToken,
    /// Its time is over.
    #[error("this token expired at {0}: ask for a new one")]
    ExpiredToken(Timestamp),
    /// The token names another node.
    #[error("this token is for the node {0}: join with --name {0}, or ask for a token for this one")]
    WrongNode(NodeName),
    /// There is such a node.
    #[error(
        "a node named {0} has joined already: if this host replaces it, create a token with --node {0}; else join with another --name"
    )]
    NameTaken(NodeName),
    /// There is no such node or operator.
    #[error("there is no {0} here")]
    Unknown(String),
    /// The time asked for is not allowed.
    #[error("a join token is good for 1 second to 24 hours")]
    Ttl,
    /// An operator signs with another key than before.
    #[error("{0} has approved with another key so far: an admin allows the new one with `dialtone operator add {0}`")]
    OtherKey(OperatorName),
    /// The system gives no random bytes.
    #[error("the system gives no random bytes")]
    Random(#[source] std::io::Error),
    /// An entry could not be written or read.
    #[error("an entry of the registry cannot be written or read")]
    Entry(#[from] serde_json::Error),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A token as it is handed out, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The secret.
    pub token: String,
    /// Good until.
    pub expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct JoinToken {
    node: Option<NodeName>,
    expires_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct LoginToken {
    #[serde(with = "as_text")]
    operator: OperatorName,
    #[serde(with = "as_text")]
    role: Role,
    expires_at: Timestamp,
}

/// What both sorts of token have.
#[derive(Deserialize)]
struct Expiring {
    expires_at: Timestamp,
}

/// A node or operator that has taken part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Member {
    /// Serials of certificates that may still be valid, with their ends; lower-case hex.
    pub certificates: Vec<(String, Timestamp)>,
    /// The operator's role, as text; none for nodes.
    pub role: Option<String>,
    /// When it was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// The key the operator approves with what the controller carries out itself: the first one seen since the last login token.
    pub approval_key: Option<PublicKey>,
}

/// Who a certificate is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MemberName {
    /// A node.
    Node(NodeName),
    /// An operator.
    Operator(OperatorName),
}

impl MemberName {
    fn key(&self) -> String {
        match self {
            MemberName::Node(name) => format!("node/{name}"),
            MemberName::Operator(name) => format!("operator/{name}"),
        }
    }
}

impl std::fmt::Display for MemberName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            MemberName::Node(name) => write!(f, "node {name}"),
            MemberName::Operator(name) => write!(f, "operator {name}"),
        }
    }
}

/// The registry.
#[derive(Clone)]
pub struct Registry {
    store: Arc<dyn Store>,
}

impl Registry {
    /// Over this store.
    pub fn new(store: Arc<dyn Store>) -> Self {
        Self { store }
    }

    /// A token with which one host can join, under this name if one is given.
    pub fn create_join_token(
        &self,
        node: Option<NodeName>,
        ttl_ms: i64,
        now: Timestamp,
    ) -> Result<Token, RegistryError> {
        if !(1000..=MAX_JOIN_TTL_MS).contains(&ttl_ms) {
            return Err(RegistryError::Ttl);
        }
        let expires_at = now.plus_millis(ttl_ms);
        self.create_token("join", &JoinToken { node, expires_at }, expires_at)
    }

    /// Uses up a join token for a node of this name. Nothing is used up when it is refused for its name.
    pub fn take_join_token(&self, token: &str, asked: &NodeName, now: Timestamp) -> Result<(), RegistryError> {
        let key = token_key("join", token);
        let (entry, version) = self.read::<JoinToken>(&key)?.ok_or(RegistryError::UnknownToken)?;
        if entry.expires_at < now {
            return Err(RegistryError::ExpiredToken(entry.expires_at));
        }
        let taken = self.member(&MemberName::Node(asked.clone()))?.is_some();
        match entry.node {
            Some(node) if node != *asked => return Err(RegistryError::WrongNode(node)),
            None if taken => return Err(RegistryError::NameTaken(asked.clone())),
            Some(_) | None => {}
        }
        self.use_up(&key, version)
    }

    /// Registers an operator, or changes the role of one, and gives a token to log in with.
    pub fn add_operator(&self, operator: &OperatorName, role: Role, now: Timestamp) -> Result<Token, RegistryError> {
        self.update(&MemberName::Operator(operator.clone()), |member| {
            member.role = Some(role.to_string());
            member.revoked_at = None;
            member.approval_key = None;
        })?;
        let expires_at = now.plus_millis(LOGIN_TTL_MS);
        self.create_token("login", &LoginToken { operator: operator.clone(), role, expires_at }, expires_at)
    }

    /// Uses up a login token; whose it is.
    pub fn take_login_token(&self, token: &str, now: Timestamp) -> Result<(OperatorName, Role), RegistryError> {
        let key = token_key("login", token);
        let (entry, version) = self.read::<LoginToken>(&key)?.ok_or(RegistryError::UnknownToken)?;
        if entry.expires_at < now {
            return Err(RegistryError::ExpiredToken(entry.expires_at));
        }
        let member = self.member(&MemberName::Operator(entry.operator.clone()))?;
        if member.is_some_and(|member| member.revoked_at.is_some()) {
            return Err(RegistryError::UnknownToken);
        }
        self.use_up(&key, version)?;
        Ok((entry.operator, entry.role))
    }

    /// Notes a certificate that was issued.
    pub fn issued(
        &self,
        who: &MemberName,
        serial: &str,
        not_after: Timestamp,
        now: Timestamp,
    ) -> Result<(), RegistryError> {
        self.update(who, |member| {
            member.certificates.retain(|(_, end)| *end > now);
            member.certificates.push((serial.to_owned(), not_after));
            member.revoked_at = None;
        })
    }

    /// Holds an operator to one approval key until an admin asks them to log in anew. A stolen certificate alone thus approves
    /// nothing that the controller carries out.
    pub fn hold_to_key(&self, operator: &OperatorName, key: &PublicKey) -> Result<(), RegistryError> {
        let who = MemberName::Operator(operator.clone());
        let known = self.member(&who)?.and_then(|member| member.approval_key);
        match known {
            Some(known) if known == *key => Ok(()),
            Some(_) => Err(RegistryError::OtherKey(operator.clone())),
            None => self.update(&who, |member| {
                member.approval_key.get_or_insert_with(|| key.clone());
            }),
        }
    }

    /// What is known of a node or operator.
    pub fn member(&self, who: &MemberName) -> Result<Option<Member>, RegistryError> {
        Ok(self.read(&who.key())?.map(|(member, _)| member))
    }

    /// Every node that joined and was not revoked.
    pub fn nodes(&self) -> Result<Vec<NodeName>, RegistryError> {
        let rows = scan_prefix(&*self.store, PARTITION, "node/", Order::Ascending, MAX_ENTRIES)?;
        let mut names = Vec::new();
        for (key, stored) in rows {
            let member: Member = serde_json::from_slice(&stored.value)?;
            if let (None, Some(Ok(name))) = (member.revoked_at, key.strip_prefix("node/").map(str::parse)) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Every operator of at least this role who was not revoked, in order of name.
    pub fn operators(&self, least: Role) -> Result<Vec<OperatorName>, RegistryError> {
        let rows = scan_prefix(&*self.store, PARTITION, "operator/", Order::Ascending, MAX_ENTRIES)?;
        let mut names = Vec::new();
        for (key, stored) in rows {
            let member: Member = serde_json::from_slice(&stored.value)?;
            let role = member.role.as_deref().and_then(|role| role.parse::<Role>().ok());
            let may = member.revoked_at.is_none() && role.is_some_and(|role| role >= least);
            if let (true, Some(Ok(name))) = (may, key.strip_prefix("operator/").map(str::parse)) {
                names.push(name);
            }
        }
        Ok(names)
    }

    /// Revokes every certificate of a node or operator; gives the serials, whose live streams the caller cuts.
    pub fn revoke(&self, who: &MemberName, now: Timestamp) -> Result<Vec<String>, RegistryError> {
        loop {
            let Some((mut member, version)) = self.read::<Member>(&who.key())? else {
                return Err(RegistryError::Unknown(who.to_string()));
            };
            let valid: Vec<(String, Timestamp)> = member.certificates.drain(..).filter(|(_, end)| *end > now).collect();
            member.revoked_at = Some(now);
            let mut batch =
                Batch::default().expect(who.key(), Some(version)).put(who.key(), serde_json::to_vec(&member)?);
            for (serial, not_after) in &valid {
                batch = batch.put(format!("revoked/{serial}"), serde_json::to_vec(not_after)?);
            }
            match self.store.commit(PARTITION, &batch) {
                Err(StoreError::Conflict { .. }) => {}
                other => {
                    other?;
                    return Ok(valid.into_iter().map(|(serial, _)| serial).collect());
                }
            }
        }
    }

    /// Serials of all revoked certificates that would otherwise still be valid.
    pub fn revoked(&self, now: Timestamp) -> Result<BTreeSet<String>, RegistryError> {
        let rows = scan_prefix(&*self.store, PARTITION, "revoked/", Order::Ascending, MAX_ENTRIES)?;
        let mut serials = BTreeSet::new();
        for (key, stored) in rows {
            let not_after: Timestamp = serde_json::from_slice(&stored.value)?;
            if let (true, Some(serial)) = (not_after > now, key.strip_prefix("revoked/")) {
                serials.insert(serial.to_owned());
            }
        }
        Ok(serials)
    }

    /// Forgets tokens that have expired and revocations of certificates that have ended.
    pub fn sweep(&self, now: Timestamp) -> Result<(), RegistryError> {
        let mut batch = Batch::default();
        for kind in ["join/", "login/"] {
            for (key, stored) in scan_prefix(&*self.store, PARTITION, kind, Order::Ascending, MAX_ENTRIES)? {
                let Expiring { expires_at } = serde_json::from_slice(&stored.value)?;
                if expires_at < now {
                    batch = batch.delete(key);
                }
            }
        }
        for (key, stored) in scan_prefix(&*self.store, PARTITION, "revoked/", Order::Ascending, MAX_ENTRIES)? {
            if serde_json::from_slice::<Timestamp>(&stored.value)? < now {
                batch = batch.delete(key);
            }
        }
        if batch.delete.is_empty() {
            return Ok(());
        }
        Ok(self.store.commit(PARTITION, &batch)?)
    }

    fn create_token<T: Serialize>(&self, kind: &str, entry: &T, expires_at: Timestamp) -> Result<Token, RegistryError> {
        let token = random_token()?;
        let key = token_key(kind, &token);
        self.store.commit(PARTITION, &Batch::default().expect(&key, None).put(&key, serde_json::to_vec(entry)?))?;
        Ok(Token { token, expires_at })
    }

    fn use_up(&self, key: &str, version: u64) -> Result<(), RegistryError> {
        match self.store.commit(PARTITION, &Batch::default().expect(key, Some(version)).delete(key)) {
            Err(StoreError::Conflict { .. }) => Err(RegistryError::UnknownToken),
            other => Ok(other?),
        }
    }

    fn update(&self, who: &MemberName, update: impl Fn(&mut Member)) -> Result<(), RegistryError> {
        loop {
            let (mut member, version) = match self.read::<Member>(&who.key())? {
                Some((member, version)) => (member, Some(version)),
                None => (Member::default(), None),
            };
            update(&mut member);
            let batch = Batch::default().expect(who.key(), version).put(who.key(), serde_json::to_vec(&member)?);
            match self.store.commit(PARTITION, &batch) {
                Err(StoreError::Conflict { .. }) => {}
                other => return Ok(other?),
            }
        }
    }

    fn read<T: DeserializeOwned>(&self, key: &str) -> Result<Option<(T, u64)>, RegistryError> {
        match self.store.get(PARTITION, key)? {
            Some(stored) => Ok(Some((serde_json::from_slice(&stored.value)?, stored.version))),
            None => Ok(None),
        }
    }
}

/// Serde by `Display` and `FromStr`, for types of `common-tls`, which knows nothing of storage.
mod as_text {
    use super::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<T: std::fmt::Display, S: Serializer>(value: &T, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }

    pub(super) fn deserialize<'de, T, D>(from: D) -> Result<T, D::Error>
    where
        T: std::str::FromStr<Err: std::fmt::Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(from)?.parse().map_err(super::custom)
    }
}

fn custom<E: serde::de::Error>(error: impl std::fmt::Display) -> E {
    E::custom(error)
}

/// 128 random bits in hex.
fn random_token() -> Result<String, RegistryError> {
    let mut bytes = [0u8; 16];
    let filled = rustix::rand::getrandom(&mut bytes[..], rustix::rand::GetRandomFlags::empty())
        .map_err(|errno| RegistryError::Random(errno.into()))?;
    if filled != bytes.len() {
        return Err(RegistryError::Random(std::io::Error::other("too few random bytes")));
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn token_key(kind: &str, token: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, token.as_bytes());
    let hex: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{kind}/{hex}")
}

#[cfg(test)]
mod tests;
