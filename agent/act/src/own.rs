//! What the node knows of itself: its name, its policy, this boot.

use std::io;

use common_model::NodeName;
use common_plan::{Policy, Refusal, SessionId};
use rustix::rand::{GetRandomFlags, getrandom};
use serde::Deserialize;

use crate::files;
use crate::places::Places;

/// The one setting of the agent that matters here.
#[derive(Deserialize)]
struct AgentConfig {
    node: Option<NodeName>,
}

/// What this node is called, by the file `dialtone-agent join` wrote.
pub fn name(places: &Places) -> Result<NodeName, Refusal> {
    let trouble = |why: String| {
        Refusal::Impossible(format!("/etc/dialtone/agent.yaml does not say what this node is called: {why}"))
    };
    let text = files::read_trusted(&places.agent_config()).map_err(|error| trouble(error.to_string()))?;
    let config: AgentConfig = serde_yaml::from_str(&text).map_err(|error| trouble(error.to_string()))?;
    config.node.ok_or_else(|| trouble("it has no line `node: NAME`".to_owned()))
}

/// What the administrator allows. A file that cannot be trusted, or read, allows nothing and says why.
pub fn policy(places: &Places) -> Result<Policy, Refusal> {
    let text = files::read_trusted(&places.policy()).map_err(|error| Refusal::Policy(error.to_string()))?;
    Policy::parse(&text).map_err(|error| Refusal::Policy(format!("it cannot be read: {error}")))
}

/// Random text of this boot, made by whoever asks first.
pub fn session(places: &Places) -> io::Result<SessionId> {
    let path = places.run().join("session");
    if let Some(text) = files::read_text(&path)? {
        return text.trim().parse().map_err(io::Error::other);
    }
    files::make_dir(&places.run(), 0o755)?;
    let text = random_hex()?;
    files::write(&path, text.as_bytes(), 0o644)?;
    text.parse().map_err(io::Error::other)
}

/// 32 hex digits that nobody can guess.
pub fn random_hex() -> io::Result<String> {
    let mut bytes = [0; 16];
    // Up to 256 bytes come whole once the kernel's generator is ready, which it waits for.
    getrandom(&mut bytes, GetRandomFlags::empty())?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}
