//! The catalogue of causes: one folder and one word here for each. Within a stage, the order here is the order of judgement.

use crate::finding::Cause;

macro_rules! registry {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*
        /// Every cause, by stage, then in order of judgement.
        pub static ALL: &[&Cause] = &[$(&$name::CAUSE),*];
        /// Of every cause, in the same order, a picture in which it fires.
        #[cfg(any(test, feature = "testing"))]
        pub static FIRES: &[(&Cause, fn() -> controller_correlate::Picture)] = &[$((&$name::CAUSE, $name::fixture::fires)),*];
    };
}

registry! {
    name_unresolved,
    host_unreachable,
    cloud_firewall,
    host_firewall,
    path_firewall,
    not_installed,
    tmp_noexec,
    bootstrap_check,
    config_syntax,
    unknown_setting,
    setting_missing,
    bind_address_not_local,
    port_taken,
    file_missing,
    data_path_locked,
    path_permission,
    disk_full,
    data_incompatible,
    plugin_incompatible,
    keystore_locked,
    java_missing,
    jvm_option_invalid,
    heap_exceeds_memory,
    jvm_crashed,
    out_of_memory,
    start_timeout,
    ran_as_root,
    not_running,
    still_starting,
    process_hung,
    accept_queue_full,
    bound_to_loopback,
    bound_to_other_address,
    port_differs,
    https_required,
    plain_http_only,
    protocol_mismatch,
    authentication_required,
    healthy,
    undetermined,
}

/// The cause with this id.
pub fn by_id(id: &str) -> Option<&'static Cause> {
    ALL.iter().copied().find(|cause| cause.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "compares the folders with the registry")]
    fn folders_are_the_registered_ids() {
        let here = concat!(env!("CARGO_MANIFEST_DIR"), "/src/causes");
        let folders: BTreeSet<String> = std::fs::read_dir(here)
            .unwrap()
            .map(|entry| entry.unwrap())
            .filter(|entry| entry.path().is_dir())
            .map(|entry| entry.file_name().into_string().unwrap().replace('_', "-"))
            .collect();
        let ids: BTreeSet<String> = ALL.iter().map(|cause| cause.id.to_owned()).collect();
        assert_eq!(folders, ids);
        assert_eq!(ids.len(), ALL.len(), "an id stands twice");
    }

    #[test]
    fn the_order_is_that_of_the_stages() {
        let stages: Vec<_> = ALL.iter().filter_map(|cause| cause.stage).collect();
        assert!(stages.is_sorted(), "{stages:?}");
    }

    #[test]
    fn every_cause_fires_in_its_own_picture() {
        for (cause, fires) in FIRES {
            assert_eq!(crate::diagnose(&fires()).verdict.cause.as_str(), cause.id);
        }
    }

    #[test]
    fn every_entry_is_complete() {
        for cause in ALL {
            assert!(!cause.title.is_empty() && !cause.refuted_by.is_empty(), "{}", cause.id);
            for kind in cause.needs {
                assert!(common_evidence::ALL.iter().any(|collector| collector.kind == *kind), "{}: {kind}", cause.id);
            }
        }
    }
}
