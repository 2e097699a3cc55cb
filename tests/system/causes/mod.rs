//! Real engines on real hosts, broken in the real way: cause, evidence, chain, change and remedy, and that the remedy heals.

mod bootstrap_check;
mod bound_to_loopback;
mod healthy;
mod host_firewall;
mod https_required;
mod not_running;
mod port_differs;
mod two_engines;
