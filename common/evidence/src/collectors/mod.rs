//! The catalogue of evidence: one folder and one word here for each kind.

use crate::source::Collector;

macro_rules! registry {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*
        /// Every collector, in the order in which an agent reads them.
        pub static ALL: &[&Collector] = &[$(&$name::COLLECTOR),*];
    };
}

registry! {
    actuator,
    engines,
    engine_config,
    engine_log,
    firewalld,
    host,
    interfaces,
    iptables,
    journal,
    nftables,
    packages,
    policy,
    processes,
    rules_files,
    sockets,
    sysctl,
    sysctl_files,
    ufw,
    unit,
}
