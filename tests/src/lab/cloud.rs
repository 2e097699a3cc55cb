//! An emulated AWS outside the hosts: moto, a real server of the EC2 API. It filters no packets; a thread of the test does that for
//! it, and drops on the bridge what the present rules of a host's security group do not let in.

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use super::{Host, cache, client, command, until};

/// As installed by `tests/prepare`.
const MOTO: &str = "moto-5.2.5";
const PORT: u16 = 5566;
const REGION: &str = "eu-central-1";
/// An image that moto knows from the start.
const IMAGE: &str = "ami-03cf127a";
const START: Duration = Duration::from_secs(60);
/// How often the rules are looked at.
const INTERVAL: Duration = Duration::from_millis(100);

/// The running emulator; gone when dropped.
pub struct Cloud {
    moto: Child,
}

/// An ingress rule of a security group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// The network that is let in.
    pub cidr: String,
    /// The port.
    pub port: String,
    /// What somebody wrote about it.
    pub description: String,
}

impl Cloud {
    /// Starts it where clients stand.
    ///
    /// # Errors
    /// When it is not installed or does not answer.
    pub fn start() -> Result<Self> {
        let python = cache::root().join(MOTO).join("bin/python");
        ensure!(python.exists(), "there is no {}: run tests/prepare", python.display());
        let mut moto = client()?.command(python.to_str().context("a path that is no text")?);
        let port = PORT.to_string();
        moto.args(["-m", "moto.server", "-H", "0.0.0.0", "-p", &port]).stdout(Stdio::null()).stderr(Stdio::null());
        let cloud = Self { moto: moto.spawn()? };
        until("the emulated cloud", START, || Ok(cloud.call("DescribeVpcs", &[]).ok()))?;
        Ok(cloud)
    }

    /// Where it is.
    pub fn endpoint(&self) -> Result<String> {
        Ok(format!("http://{}:{PORT}", client()?.ip()))
    }

    /// `cloud` of a controller's configuration that uses it, with credentials in this file.
    pub fn configuration(&self, credentials: &str) -> Result<String> {
        let endpoint = self.endpoint()?;
        Ok(format!("cloud: {{aws: {{region: {REGION}, endpoint: '{endpoint}', credentials_file: {credentials}}}}}\n"))
    }

    /// Makes a host an instance with a security group that lets nothing in, and drops what its rules do not let in.
    ///
    /// # Errors
    /// When a call fails.
    pub fn put_in_front(&self, host: &Host) -> Result<Front> {
        let vpc = value(&self.call("CreateVpc", &[("CidrBlock", "10.77.0.0/16")])?, "vpcId")?;
        let subnet = self.call("CreateSubnet", &[("VpcId", &vpc), ("CidrBlock", "10.77.0.0/24")])?;
        let group = [("VpcId", vpc.as_str()), ("GroupName", "search"), ("GroupDescription", "engines")];
        let group = value(&self.call("CreateSecurityGroup", &group)?, "groupId")?;
        let address = host.ip().to_string();
        let instance = [
            ("ImageId", IMAGE),
            ("MinCount", "1"),
            ("MaxCount", "1"),
            ("SubnetId", &value(&subnet, "subnetId")?),
            ("SecurityGroupId.1", &group),
            ("PrivateIpAddress", &address),
        ];
        self.call("RunInstances", &instance)?;
        let (stop, hold) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let table = format!("cloud_{}", host.bridge_port());
        let filter = Filter { table, device: host.bridge_port(), address };
        filter.apply(&self.rules(&group)?)?;
        let thread = thread::spawn({
            let (group, stop, hold, filter) = (group.clone(), Arc::clone(&stop), Arc::clone(&hold), filter.clone());
            move || keep(&group, &filter, &stop, &hold)
        });
        Ok(Front { group, filter, stop, hold, thread: Some(thread) })
    }

    /// The ingress rules of a group.
    ///
    /// # Errors
    /// When the call fails.
    pub fn rules(&self, group: &str) -> Result<Vec<Rule>> {
        rules(group)
    }

    /// One call of the EC2 API, as somebody at the cloud's own console would make it.
    ///
    /// # Errors
    /// When it is refused or not answered.
    pub fn call(&self, action: &str, parameters: &[(&str, &str)]) -> Result<String> {
        call(action, parameters)
    }
}

impl Drop for Cloud {
    fn drop(&mut self) {
        self.moto.kill().ok();
        self.moto.wait().ok();
    }
}

/// A host's place behind its security group; the packets pass freely again when dropped.
pub struct Front {
    /// The group, as AWS names it.
    pub group: String,
    filter: Filter,
    stop: Arc<AtomicBool>,
    hold: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<()>>>,
}

impl Front {
    /// From now on, changes of the rules take no effect; or they do again.
    pub fn hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::SeqCst);
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        let kept = self.thread.take().map(JoinHandle::join);
        if let Ok(client) = client() {
            client.run(&["nft", "delete", "table", "bridge", &self.filter.table]).ok();
        }
        // Rules that were not applied explain every failure after them.
        if !thread::panicking() {
            assert!(matches!(kept, Some(Ok(Ok(())))), "{kept:?}");
        }
    }
}

#[derive(Clone)]
struct Filter {
    table: String,
    device: String,
    address: String,
}

impl Filter {
    /// A security group drops a new connection that no rule lets in, and nothing of one that stands.
    fn apply(&self, rules: &[Rule]) -> Result<()> {
        let Self { table, device, address } = self;
        let new = format!("oifname {device} ip daddr {address} tcp flags & (syn | ack) == syn");
        let mut script = format!(
            "add table bridge {table}\ndelete table bridge {table}\nadd table bridge {table}\n\
             add chain bridge {table} path {{ type filter hook postrouting priority 0; }}\n"
        );
        for Rule { cidr, port, .. } in rules {
            script.push_str(&format!("add rule bridge {table} path {new} ip saddr {cidr} tcp dport {port} accept\n"));
        }
        script.push_str(&format!("add rule bridge {table} path {new} drop\n"));
        let mut nft = client()?.command("nft");
        command::output_with_input(nft.args(["-f", "-"]), script.as_bytes())?.ok().map(drop)
    }
}

fn keep(group: &str, filter: &Filter, stop: &AtomicBool, hold: &AtomicBool) -> Result<()> {
    let mut applied = None;
    while !stop.load(Ordering::SeqCst) {
        let now = rules(group)?;
        if !hold.load(Ordering::SeqCst) && applied.as_ref() != Some(&now) {
            filter.apply(&now)?;
            applied = Some(now);
        }
        thread::sleep(INTERVAL);
    }
    Ok(())
}

fn rules(group: &str) -> Result<Vec<Rule>> {
    let filters = [("Filter.1.Name", "group-id"), ("Filter.1.Value.1", group)];
    let answer = call("DescribeSecurityGroupRules", &filters)?;
    let items = answer.split("<item>").filter(|item| item.contains("<isEgress>false</isEgress>"));
    items
        .map(|item| {
            let description = value(item, "description").unwrap_or_default();
            Ok(Rule { cidr: value(item, "cidrIpv4")?, port: value(item, "fromPort")?, description })
        })
        .collect()
}

fn call(action: &str, parameters: &[(&str, &str)]) -> Result<String> {
    let mut curl: Command = client()?.command("curl");
    let provider = format!("aws:amz:{REGION}:ec2");
    curl.args(["--silent", "--show-error", "--max-time", "20", "--user", "test:test", "--aws-sigv4", &provider]);
    let fixed = [("Action", action), ("Version", "2016-11-15")];
    for (name, value) in fixed.iter().chain(parameters) {
        curl.args(["--data-urlencode", &format!("{name}={value}")]);
    }
    let answer = command::output(curl.arg(format!("http://127.0.0.1:{PORT}/")))?.ok()?;
    if !answer.contains(&format!("<{action}Response")) {
        bail!("{action}: {answer}");
    }
    Ok(answer)
}

fn value(xml: &str, name: &str) -> Result<String> {
    let (start, end) = (format!("<{name}>"), format!("</{name}>"));
    let found = xml.split_once(&start).and_then(|(_, rest)| rest.split_once(&end));
    found.map(|(value, _)| value.to_owned()).with_context(|| format!("no {name} in {xml}"))
}
