//! `dialtone key`: the operator's approval key, and what a node's administrator writes down to trust it.

use std::path::PathBuf;

use common_plan::{Approver, PublicKey};
use common_tls::{Credentials, Identity};
use serde::Serialize;

use crate::approval_key::{self, KeyError};
use crate::cli::Global;
use crate::config::Location;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render::{Page, Style};
use crate::session;
use crate::terminal::Terminal;

/// Stands for a name that is not known before the first login.
const UNKNOWN_NAME: &str = "NAME";

/// What `key` prints to programs.
#[derive(Debug, Serialize)]
struct Key {
    public: PublicKey,
    file: PathBuf,
    /// Whether this run made it.
    made: bool,
    /// For a node's policy.
    approver: Approver,
}

/// The lines of a policy that trust a key.
#[derive(Debug, Serialize)]
struct Snippet<'a> {
    approvers: [&'a Approver; 1],
}

/// Makes the key where there is none, and shows its public half.
pub(crate) fn key(global: &Global, output: &Output) -> Result<Exit, Failure> {
    let location = Location::find(global.config.as_deref()).map_err(Failure::usage)?;
    let file = location.approval_key();
    let (key, made) = approval_key::load_or_make(&file).map_err(no_key)?;
    let public = key.public().map_err(Failure::controller)?;
    let name = name(global, &location)?.unwrap_or_else(|| UNKNOWN_NAME.to_owned());
    let key = Key { approver: Approver { name, key: public.clone() }, public, file, made };
    let snippet = serde_yaml::to_string(&Snippet { approvers: [&key.approver] }).map_err(Failure::controller)?;
    output.print(&key, |terminal| shown(&key, &snippet, terminal))?;
    Ok(Exit::Done)
}

/// What to do about a key that cannot be used.
pub(super) fn no_key(error: KeyError) -> Failure {
    let hint = match &error {
        KeyError::Missing(_) => Some("dialtone key makes one, and says how a node comes to trust it".to_owned()),
        KeyError::Exposed { path, .. } => Some(format!(
            "if nobody can have read it: chmod 600 {path}\n\
             else remove it, run dialtone key, and have the old key taken out of every node's policy.yaml",
            path = path.display()
        )),
        _ => None,
    };
    let failure = Failure::controller(error);
    match hint {
        Some(hint) => failure.with_hint(hint),
        None => failure,
    }
}

/// The operator's name, by the certificate for the configured controller; none before the first login.
fn name(global: &Global, location: &Location) -> Result<Option<String>, Failure> {
    let Some(address) = session::configured(global, location)? else { return Ok(None) };
    let identity = Credentials::load(&location.credentials(&address)).ok().and_then(|found| found.identity().ok());
    Ok(match identity {
        Some(Identity::Operator { name, .. }) => Some(name.to_string()),
        _ => None,
    })
}

fn shown(key: &Key, snippet: &str, terminal: &Terminal) -> String {
    let mut page = Page::new(terminal);
    page.whole(0, &key.public.to_string(), Style::Strong);
    page.blank();
    let made = if key.made { "made just now" } else { "the private half" };
    page.whole(
        0,
        &format!("{}: {made}, for you alone; never copy it to another machine.", key.file.display()),
        Style::Dim,
    );
    page.flow(
        0,
        &[page.span(
            "A node counts your approval once its administrator adds to /etc/dialtone/policy.yaml there:",
            Style::Plain,
        )],
    );
    page.blank();
    for line in snippet.lines() {
        page.whole(0, line, Style::Command);
    }
    if key.approver.name == UNKNOWN_NAME {
        page.blank();
        page.cut(0, "NAME is yours to choose: one name for each person, on every node.", Style::Dim);
    }
    page.to_text()
}
