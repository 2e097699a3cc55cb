//! The causes that are timed, made in the real way.

use anyhow::Result;
use system_tests::lab::engine::{Users, secure};
use system_tests::lab::tls::{Authority, Leaf};
use system_tests::lab::{Engine, SysctlGuard};

use crate::node::Node;

/// A way to break a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    NotRunning,
    BoundToLoopback,
    PortDiffers,
    FirewallRejects,
    FirewallDrops,
    BootstrapCheck,
    HttpsRequired,
}

/// A broken node; a shared kernel setting is put back when this is dropped.
pub(crate) struct Broken {
    _setting: Option<SysctlGuard>,
}

impl Fault {
    /// Every one of them, in the order of the README.
    pub(crate) const ALL: [Self; 7] = [
        Self::NotRunning,
        Self::BoundToLoopback,
        Self::PortDiffers,
        Self::FirewallRejects,
        Self::FirewallDrops,
        Self::BootstrapCheck,
        Self::HttpsRequired,
    ];

    /// The id of the cause.
    pub(crate) fn cause(self) -> &'static str {
        match self {
            Self::NotRunning => "not-running",
            Self::BoundToLoopback => "bound-to-loopback",
            Self::PortDiffers => "port-differs",
            Self::FirewallRejects | Self::FirewallDrops => "host-firewall",
            Self::BootstrapCheck => "bootstrap-check",
            Self::HttpsRequired => "https-required",
        }
    }

    /// The cause, and which of its forms.
    pub(crate) fn title(self) -> String {
        let form = match self {
            Self::FirewallRejects => " (reject)",
            Self::FirewallDrops => " (drop)",
            _ => "",
        };
        format!("`{}`{form}", self.cause())
    }

    /// The engine it is shown with.
    pub(crate) fn engine(self) -> Engine {
        if self == Self::HttpsRequired { Engine::OpenSearch } else { Engine::Elasticsearch }
    }

    /// Breaks a healthy node of this engine.
    pub(crate) fn inflict(self, node: &Node) -> Result<Broken> {
        let healthy = node.engine.healthy_yml();
        let mut setting = None;
        match self {
            Self::NotRunning => node.engine.stop(node)?,
            Self::BoundToLoopback => node.restart_with(&healthy.replace("network.host: 0.0.0.0\n", ""))?,
            Self::PortDiffers => node.restart_with(&format!("{healthy}http.port: 9201\n"))?,
            // A plain reject answers by ICMP, which the kernel holds back when asked as often as here.
            Self::FirewallRejects => node.nft(&rule("reject with tcp reset"))?,
            Self::FirewallDrops => node.nft(&rule("drop"))?,
            Self::BootstrapCheck => {
                setting = Some(SysctlGuard::set("vm.max_map_count", "65530")?);
                let production = r#"cluster.initial_master_nodes: ["node-1"]"#;
                node.restart_with(&healthy.replace("discovery.type: single-node", production))?;
                node.engine.wait_failed(node)?;
            }
            Self::HttpsRequired => {
                let authority = Authority::new("lab authority")?;
                let issued = authority.issue(&Leaf::of(node.name(), node.ip().into()))?;
                let yml = secure(node, authority.certificate(), &issued, Users::NotInitialized)?;
                node.restart_with(&yml)?;
            }
        }
        Ok(Broken { _setting: setting })
    }

    /// Makes a node that [`Fault::inflict`] broke answer again.
    pub(crate) fn mend(self, node: &Node, broken: Broken) -> Result<()> {
        drop(broken);
        match self {
            Self::FirewallRejects | Self::FirewallDrops => node.nft("flush ruleset"),
            _ => {
                node.run(&["systemctl", "reset-failed", node.engine.name()])?;
                node.restart_with(&node.engine.healthy_yml())
            }
        }
    }
}

fn rule(verdict: &str) -> String {
    format!("table inet f {{ chain input {{ type filter hook input priority 0; tcp dport 9200 {verdict}; }}; }}")
}
