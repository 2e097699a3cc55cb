//! Join tokens and operators.

use std::time::Duration;

use common_model::Timestamp;
use common_tls::{OperatorName, Role};
use proto::v1;
use serde::Serialize;

use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::render::{Page, Style, local_and_ago};
use crate::session::Session;
use crate::terminal::Terminal;

/// What `token create` prints to programs.
#[derive(Debug, Serialize)]
struct JoinToken {
    token: String,
    expires_at: Timestamp,
}

/// What `operator add` prints to programs.
#[derive(Debug, Serialize)]
struct LoginToken {
    operator: String,
    role: String,
    token: String,
    expires_at: Timestamp,
}

/// `dialtone token create`.
pub(crate) async fn create_token(
    session: &mut Session,
    output: &Output,
    ttl: Duration,
    node: Option<String>,
) -> Result<Exit, Failure> {
    let ttl_seconds = u32::try_from(ttl.as_secs()).unwrap_or(u32::MAX);
    let request = v1::CreateJoinTokenRequest { ttl_seconds, node: node.unwrap_or_default() };
    let reply =
        session.client.create_join_token(request).await.map_err(|status| session.failure(&status))?.into_inner();
    let token = JoinToken { token: reply.token, expires_at: Timestamp(reply.expires_at_ms) };
    output.print(&token, |terminal| shown(terminal, &token.token, token.expires_at))?;
    Ok(Exit::Done)
}

/// `dialtone operator add`.
pub(crate) async fn add_operator(
    session: &mut Session,
    output: &Output,
    name: &OperatorName,
    role: Role,
) -> Result<Exit, Failure> {
    let request = v1::AddOperatorRequest { operator: name.to_string(), role: role.to_string() };
    let reply = session.client.add_operator(request).await.map_err(|status| session.failure(&status))?.into_inner();
    let token = LoginToken {
        operator: reply.operator,
        role: reply.role,
        token: reply.token,
        expires_at: Timestamp(reply.expires_at_ms),
    };
    output.print(&token, |terminal| shown(terminal, &token.token, token.expires_at))?;
    Ok(Exit::Done)
}

fn shown(terminal: &Terminal, token: &str, expires_at: Timestamp) -> String {
    let mut page = Page::new(terminal);
    page.whole(0, token, Style::Plain);
    page.cut(0, &format!("good once, until {}", local_and_ago(expires_at, terminal)), Style::Dim);
    page.to_text()
}
