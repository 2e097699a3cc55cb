//! `dialtone login`: a token for a certificate, and the controller for the configuration.

use anyhow::Context;
use common_model::Timestamp;
use common_tls::dial;
use common_tls::keys::NewKey;
use proto::v1;
use proto::v1::enrollment_client::EnrollmentClient;
use serde::Serialize;

use crate::cli::{Global, Login};
use crate::config::Location;
use crate::exit::{Exit, Failure};
use crate::output::Output;
use crate::progress::Progress;
use crate::render::{Page, Style, local_and_ago};

/// What `login` prints to programs.
#[derive(Debug, Serialize)]
struct LoggedIn {
    controller: String,
    operator: String,
    role: String,
    not_after: Timestamp,
}

/// Logs in. The key is made here and stays here.
pub(crate) async fn login(
    global: &Global,
    output: &Output,
    progress: &Progress,
    login: Login,
) -> Result<Exit, Failure> {
    let Login { address, token, ca_pin } = login;
    let location = Location::find(global.config.as_deref()).map_err(Failure::usage)?;
    progress.say(&format!("connecting to {address}"));
    let channel = dial::enroll_channel(&address, ca_pin).await.map_err(|error| Failure::dial(&address, error))?;
    let key = NewKey::generate().map_err(Failure::controller)?;
    let request = v1::LoginRequest { token, csr_der: key.csr_der().to_vec() };
    let reply = EnrollmentClient::new(channel).login(request).await;
    let reply = reply.map_err(|status| Failure::call(&address, &status))?.into_inner();
    let certificate = reply.certificate.context("the controller sent no certificate").map_err(Failure::controller)?;
    let credentials = key.with_certificate(&certificate.chain_pem, &certificate.ca_pem).map_err(Failure::controller)?;
    credentials.save(&location.credentials(&address)).map_err(Failure::controller)?;
    location.update(|config| config.controller = Some(address.clone())).map_err(Failure::controller)?;
    progress.clear();
    let done = LoggedIn {
        controller: address,
        operator: reply.operator,
        role: reply.role,
        not_after: credentials.not_after(),
    };
    output.print(&done, |terminal| {
        let mut page = Page::new(terminal);
        let LoggedIn { controller, operator, role, not_after } = &done;
        page.cut(0, &format!("✓ logged in to {controller} as {operator} ({role})"), Style::Good);
        let until = local_and_ago(*not_after, terminal);
        page.cut(2, &format!("the certificate is good until {until}; it is renewed when it is used"), Style::Dim);
        page.to_text()
    })?;
    Ok(Exit::Done)
}
