//! Ways, filters and sockets.

use std::net::IpAddr;

use common_plan::Region;

use super::{Told, place, yml};
use crate::ask::{Ask, shown};
use crate::shell;

pub(super) fn host(ask: &Ask<'_>) -> Told {
    let address: Option<IpAddr> = ask.parsed("address").or_else(|| ask.addresses.first().copied());
    let from = |address: IpAddr| {
        ["ip route get", "ping -c 3", "ip neigh show"].map(|command| format!("{command} {address}")).to_vec()
    };
    let name = shown(ask.node.map_or(ask.picture.endpoint.host.as_str(), |node| node.name.as_str()));
    Told {
        title: format!("Bring {name} up again, or the way to it: its console tells which"),
        commands: address.map(from).unwrap_or_default(),
        risk: "A host that is cut off may still run: a second one in its place, with its address or data, does harm."
            .to_owned(),
        ..Told::default()
    }
}

/// Where it is not known which client the rule is to let in.
pub(super) fn host_firewall(ask: &Ask<'_>) -> Told {
    let port = ask.picture.endpoint.port;
    let list = match ask.detail("owner") {
        Some("ufw") => "sudo ufw status numbered",
        Some("firewalld") => "sudo firewall-cmd --list-all-zones",
        Some("iptables") => "sudo iptables -S",
        _ => "sudo nft -a list ruleset",
    };
    let rule = ask.detail("rule").map(|rule| format!(", before the rule `{}`", shown(rule))).unwrap_or_default();
    Told {
        title: format!("Let the client's address reach port {port}{}{rule}", ask.on_node()),
        commands: vec![list.to_owned()],
        risk: "Let in the clients' addresses only: whoever reaches an engine that asks for no password can read and delete all data. Diagnose from the client, or with its error, to get the exact rule.".to_owned(),
        ..Told::default()
    }
}

/// A network ACL, which has no plan: its entries have numbers that people give out, and it is in front of whole subnets. Or a node
/// without any group.
pub(super) fn cloud(ask: &Ask<'_>) -> Told {
    let acl = || {
        let acl = ask.verdict.detail.get("acl")?;
        let region: Region = ask.parsed("region")?;
        let (source, destination) = (ask.parsed::<IpAddr>("source")?, ask.parsed::<IpAddr>("destination")?);
        let port: u16 = ask.number("port")?;
        let id = acl.get("id")?.as_str().filter(|id| shell::is_name(id))?;
        let answers = acl.get("answers")?.as_bool()?;
        // Before the entry that denies; 100 where only the last one does.
        let number = acl.get("entry")?.as_u64().map_or(100, |entry| entry.saturating_sub(1).max(1));
        let client = ask.client_network(source, destination);
        let cidr = if source.is_ipv4() { "--cidr-block" } else { "--ipv6-cidr-block" };
        let (way, ports) = match answers {
            // Linux, and whatever else a client may be.
            true => ("--egress", "From=1024,To=65535".to_owned()),
            false => ("--ingress", format!("From={port},To={port}")),
        };
        let entry = format!("--region {region} --network-acl-id {id} {way} --rule-number {number}");
        Some(Told {
            title: format!("Let {client} through network ACL {id}{}", ask.on_node()),
            commands: vec![format!(
                "aws ec2 create-network-acl-entry {entry} --protocol tcp --port-range {ports} {cidr} {}/{} --rule-action allow",
                client.address(),
                client.prefix()
            )],
            risk: "An ACL is in front of every node of its subnets, and sees both ways. Take another number where this one is in use."
                .to_owned(),
            undo: format!("aws ec2 delete-network-acl-entry {entry}"),
        })
    };
    acl().unwrap_or_else(|| Told {
        title: format!("Let the client's address reach the port in the cloud's filters in front of {}", ask.node_name()),
        commands: vec!["aws ec2 describe-security-groups".to_owned()],
        risk: "Let in the clients' addresses only: whoever reaches an engine that asks for no password can read and delete all data."
            .to_owned(),
        ..Told::default()
    })
}

pub(super) fn path(ask: &Ask<'_>) -> Told {
    let port = ask.picture.endpoint.port;
    let (source, destination) = (ask.parsed::<IpAddr>("source"), ask.parsed::<IpAddr>("destination"));
    let told = |address: Option<IpAddr>, or: &str| address.map_or_else(|| or.to_owned(), |address| address.to_string());
    let watch = source
        .map(|source| format!("sudo timeout 60 tcpdump -c 1 -ni any 'tcp dst port {port} and src host {source}'"));
    // Where the cloud was asked, it is not the cloud.
    let between = match ask.node.is_some_and(|node| node.aws().known().is_some()) {
        true => "a router, or the client's own way out",
        false => "a router, or in a cloud the security group and network ACL",
    };
    let attempt = destination.map(|destination| format!("nc -vz -w 3 {destination} {port}"));
    Told {
        title: format!(
            "Let {} reach {} port {port} in what is between: {between}",
            told(source, "the client"),
            told(destination, ask.node_name())
        ),
        commands: watch.into_iter().chain(attempt).collect(),
        risk: format!(
            "Run the first{} and the second on the client: what the first does not show was dropped on the way. Open the port for that source only.",
            ask.on_node()
        ),
        ..Told::default()
    }
}

pub(super) fn install(ask: &Ask<'_>) -> Told {
    Told {
        title: format!("Tell the client a host that has an engine, or install one{}", ask.on_node()),
        commands: elsewhere(ask).into_iter().chain(["sudo ss -ltnp".to_owned()]).collect(),
        risk: "An engine in a container is not seen by the agent of its host: look there first.".to_owned(),
        ..Told::default()
    }
}

/// Where engines are, when more than one node is known.
fn elsewhere(ask: &Ask<'_>) -> Option<String> {
    (ask.picture.nodes.len() > 1).then(|| "dialtone nodes".to_owned())
}

pub(super) fn wait(ask: &Ask<'_>) -> Told {
    let since = ask.number::<u64>("seconds").map(|seconds| format!(" for {seconds} s")).unwrap_or_default();
    let log = ask.engine.as_ref().and_then(|engine| shell::path(engine.engine.log_file.as_deref()?));
    let follow = log.map(|log| format!("sudo tail -n 20 -F {log}"));
    let journal = ask.unit().map(|unit| format!("sudo journalctl -n 20 -fu {unit}"));
    Told {
        title: format!("Wait: {}{} has been starting{since}, and a restart begins anew", ask.who(), ask.on_node()),
        commands: follow.or(journal).into_iter().collect(),
        risk: "A node that finds no master opens its HTTP port after 30 s; one with much data needs longer.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn hung(ask: &Ask<'_>) -> Told {
    let on = ask.on_node();
    let pid: Option<u32> = ask.number("pid");
    if pid.is_some() && ask.detail("state") == Some("T") {
        let signal = |name: &str| match (ask.unit(), pid) {
            (Some(unit), _) => format!("sudo systemctl kill --signal={name} {unit}"),
            (None, pid) => format!("sudo kill -{name} {}", pid.unwrap_or_default()),
        };
        return Told {
            title: format!("Let the engine's stopped process{on} go on"),
            commands: vec![signal("CONT")],
            risk: "Find out who stopped it: a debugger, or whatever freezes processes for a backup. Its cluster may have moved on without it.".to_owned(),
            undo: signal("STOP"),
        };
    }
    Told {
        title: format!("Write down what the engine{on} is doing, then restart it"),
        commands: threads(ask).into_iter().chain(ask.restart()).collect(),
        risk: "The node leaves its cluster while it restarts, and what it was busy with is lost. Its gc.log and log show whether memory or a request holds it.".to_owned(),
        ..Told::default()
    }
}

/// The stacks of all threads, by the tool beside the java that runs.
fn threads(ask: &Ask<'_>) -> Option<String> {
    let processes = ask.engine.as_ref()?.processes.known()?;
    let process = processes.value.server()?;
    let jstack = shell::path(&format!("{}/jstack", process.command.first()?.strip_suffix("/java")?))?;
    let pid = process.pid;
    Some(format!("sudo -u {} {jstack} {pid} | tee threads-{pid}.txt", ask.user()))
}

pub(super) fn crowded(ask: &Ask<'_>) -> Told {
    /// What kernels since 5.4 allow, and the engine asks for.
    const ROOMY: u64 = 4096;
    let port = ask.picture.endpoint.port;
    let small = ask.number::<u64>("limit").filter(|limit| *limit < ROOMY);
    let mut commands = vec![
        format!("ss -ltn 'sport = :{port}'"),
        format!(
            "ss -Htan 'sport = :{port}' | awk '{{sub(/:[0-9]+$/, \"\", $5); print $5}}' | sort | uniq -c | sort -rn | head"
        ),
    ];
    let mut risk = "The second command counts connections by client. Where the queue stays full without many of them, the engine itself hangs: restart it.".to_owned();
    let mut undo = String::new();
    if let Some(limit) = small {
        commands.push(format!("sudo sysctl -w net.core.somaxconn={ROOMY}"));
        commands.extend(ask.restart());
        risk.push_str(&format!(" The queue holds {limit} only, so a burst can fill it: the last commands give it more, from the engine's next start on."));
        undo = format!("sudo sysctl -w net.core.somaxconn={limit}");
    }
    Told {
        title: format!(
            "Find out who fills the queue of {}{}, and why the engine does not take from it",
            ask.detail("socket").map_or_else(|| format!("port {port}"), shown),
            ask.on_node()
        ),
        commands,
        risk,
        undo,
    }
}

/// Where the address is not set by a line that can be edited.
pub(super) fn bind(ask: &Ask<'_>) -> Told {
    let setting = ask.detail("setting").map_or_else(|| "the bind address".to_owned(), shown);
    let address = ask.addresses.iter().find(|address| !address.is_loopback()).or(ask.addresses.first());
    let wanted = address.map_or_else(|| "the address its clients use".to_owned(), ToString::to_string);
    let source = ask.detail("source").unwrap_or_default();
    let slug = ask.product().slug();
    let (place, commands) = match source {
        "argument" => (
            "on its command line".to_owned(),
            ask.unit().map(|unit| format!("systemctl cat {unit}")).into_iter().collect(),
        ),
        "environment" => {
            let files = format!("sudo grep -ns . /etc/default/{slug} /etc/sysconfig/{slug}");
            (
                "in its environment".to_owned(),
                ask.unit()
                    .map(|unit| format!("systemctl show -p Environment {unit}"))
                    .into_iter()
                    .chain([files])
                    .collect(),
            )
        }
        _ => {
            let place = ask.detail("setting").and_then(|setting| place(ask, setting)).unwrap_or_else(|| yml(ask));
            (
                format!("in {place}"),
                ask.yml().map(|yml| format!("sudo grep -n host {yml}")).into_iter().collect::<Vec<_>>(),
            )
        }
    };
    Told {
        title: format!("Add {wanted} to {setting} {place}{}, then restart", ask.on_node()),
        commands,
        risk: "That address is enough: 0.0.0.0 opens the engine on every network the machine is in, and whoever reaches one that asks for no password can read and delete all data.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn port(ask: &Ask<'_>) -> Told {
    Told {
        title: format!("Tell the client the port that the engine listens on{}", ask.on_node()),
        commands: vec!["sudo ss -ltnp".to_owned()],
        risk: "Other clients that were told the old port need the same.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn protocol(ask: &Ask<'_>) -> Told {
    let port = ask.picture.endpoint.port;
    let title = match ask.detail("speaks") {
        Some("transport") => {
            "Tell the client the engine's HTTP port: http.port of its yml, 9200 where it is not set".to_owned()
        }
        _ => format!(
            "Tell the client the engine's own host and port, or have what answers on port {port} pass requests to it"
        ),
    };
    Told {
        title,
        commands: [format!("sudo ss -ltnp 'sport = :{port}'")].into_iter().chain(elsewhere(ask)).collect(),
        risk: "The first command shows, on the node, what holds the port.".to_owned(),
        ..Told::default()
    }
}
