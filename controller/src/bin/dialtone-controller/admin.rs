//! What root does on the controller's host: a certificate that lives five minutes, made with the CA's key, and then the same
//! calls as any admin's, over loopback.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, anyhow, bail};
use common_model::Timestamp;
use common_tls::ca::Ca;
use common_tls::dial::{ClientIdentity, channel};
use common_tls::{DialError, Pin, Role};
use controller::{Config, authority};
use proto::v1;
use proto::v1::operator_client::OperatorClient;
use serde_json::json;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::arguments::{Format, Who};
use crate::output::{print_json, print_line};

pub(crate) fn create_token(config: &Config, ttl: u32, node: Option<String>, format: Format) -> anyhow::Result<()> {
    let request = v1::CreateJoinTokenRequest { ttl_seconds: ttl, node: node.unwrap_or_default() };
    let (reply, pin) = call(config, async |mut client| client.create_join_token(Request::new(request)).await)?;
    let expires_at = Timestamp(reply.expires_at_ms).to_string();
    match format {
        Format::Json => print_json(&json!({ "token": reply.token, "expires_at": expires_at })),
        Format::Text => {
            print_line(&format!("Join token, good once until {expires_at}. On the node, as root:"))?;
            let address = public_address(config);
            print_line(&format!("  dialtone-agent join {address} --token {} --ca-pin {pin}", reply.token))
        }
    }
}

pub(crate) fn add_operator(config: &Config, name: &str, role: Role, format: Format) -> anyhow::Result<()> {
    let request = v1::AddOperatorRequest { operator: name.to_owned(), role: role.to_string() };
    let (reply, pin) = call(config, async |mut client| client.add_operator(Request::new(request)).await)?;
    let expires_at = Timestamp(reply.expires_at_ms).to_string();
    match format {
        Format::Json => print_json(&json!({
            "operator": reply.operator, "role": reply.role, "token": reply.token, "expires_at": expires_at,
        })),
        Format::Text => {
            let (operator, role) = (&reply.operator, &reply.role);
            print_line(&format!(
                "Login token for {operator} ({role}), good once until {expires_at}. Where {operator} works:"
            ))?;
            let address = public_address(config);
            print_line(&format!("  dialtone login {address} --token {} --ca-pin {pin}", reply.token))
        }
    }
}

pub(crate) fn revoke(config: &Config, who: Who) -> anyhow::Result<()> {
    let who = match (who.node, who.operator) {
        (Some(node), _) => v1::revoke_request::Who::Node(node),
        (None, Some(operator)) => v1::revoke_request::Who::Operator(operator),
        (None, None) => bail!("say --node or --operator"),
    };
    let request = v1::RevokeRequest { who: Some(who) };
    let (reply, _) = call(config, async |mut client| client.revoke(Request::new(request)).await)?;
    print_line(&format!("Certificates revoked: {}. Connections cut: {}.", reply.certificates, reply.streams_cut))
}

/// Makes one call as an admin; its answer, and the CA's pin.
fn call<T, F>(config: &Config, make: F) -> anyhow::Result<(T, Pin)>
where
    F: AsyncFnOnce(OperatorClient<Channel>) -> Result<tonic::Response<T>, Status>,
{
    let directory = config.ca_dir();
    if !rustix::process::geteuid().is_root() && !Ca::exists(&directory) {
        bail!("cannot see a CA in {}: run this as root, on the controller's host, after init", directory.display());
    }
    let ca = Ca::load(&directory)
        .context("this needs the CA's key: run it as root, on the controller's host, after init")?;
    let credentials = authority::local_admin(&ca, now())?;
    let identity = Arc::new(ClientIdentity::new(credentials)?);
    let address = loopback(&config.listen)?.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let reply = runtime.block_on(async {
        let channel = channel(&address, identity).await.map_err(|error| match error {
            DialError::Refused(address) => anyhow!(
                "dialtone-controller does not run (nothing listens on {address}): systemctl start dialtone-controller"
            ),
            other => other.into(),
        })?;
        make(OperatorClient::new(channel)).await.map_err(|status| anyhow!("{}", status.message()))
    })?;
    Ok((reply.into_inner(), ca.pin()))
}

/// Where this host reaches what listens on `listen`.
fn loopback(listen: &str) -> anyhow::Result<SocketAddr> {
    let mut address: SocketAddr = listen.parse().with_context(|| format!("listen: {listen:?} is not ADDRESS:PORT"))?;
    if address.ip().is_unspecified() {
        // "[::]" takes IPv4 too, also where the host has no IPv6 at all.
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    Ok(address)
}

/// How others reach this controller, as far as its configuration says.
fn public_address(config: &Config) -> String {
    let port = config.listen.rsplit_once(':').map_or("7443", |(_, port)| port);
    let host = config.names.first().map_or("CONTROLLER", String::as_str);
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_reaches_what_listens_everywhere() {
        assert_eq!(loopback("[::]:7443").unwrap().to_string(), "127.0.0.1:7443");
        assert_eq!(loopback("0.0.0.0:1").unwrap().to_string(), "127.0.0.1:1");
        assert_eq!(loopback("10.0.0.5:7443").unwrap().to_string(), "10.0.0.5:7443");
        assert!(loopback("controller").is_err());
    }
}
