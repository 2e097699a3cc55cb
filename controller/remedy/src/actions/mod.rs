//! The catalogue of actions: one folder and one word here for each. Of the actions for one cause, the earlier is the better.

use common_model::diagnosis::{Remedy, RemedyKind};

use crate::ask::Ask;

/// An entry of the catalogue.
pub struct Action {
    /// Its id; the folder's name with `-` for `_`.
    pub id: &'static str,
    /// Causes it may mend.
    pub causes: &'static [&'static str],
    /// What it would do here; nothing where it does not apply.
    pub propose: fn(&Ask<'_>) -> Vec<Remedy>,
}

impl Action {
    /// A remedy of this action that so far has a title.
    fn remedy(&self, kind: RemedyKind, title: String) -> Remedy {
        Remedy {
            plan_id: None,
            action: self.id.to_owned(),
            title,
            kind,
            commands: Vec::new(),
            diff: None,
            risk: String::new(),
            undo: String::new(),
        }
    }
}

/// The actions that may mend a cause, the better first.
pub fn for_cause(cause: &str) -> impl Iterator<Item = &'static Action> {
    ALL.iter().copied().filter(move |action| action.causes.contains(&cause))
}

macro_rules! registry {
    ($($name:ident),* $(,)?) => {
        $(pub(crate) mod $name;)*
        /// Every action, in order of preference.
        pub static ALL: &[&Action] = &[$(&$name::ACTION),*];
    };
}

registry! {
    sysctl_set,
    unit_limit,
    jvm_heap,
    yml_edit,
    firewall_allow,
    security_group_allow,
    service,
    client_url,
    name_lookup,
    by_hand,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::ALL;

    #[test]
    #[expect(clippy::disallowed_methods, reason = "compares the folders with the registry")]
    fn folders_and_registry_agree() {
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/actions");
        let entries = std::fs::read_dir(here).unwrap().map(|entry| entry.unwrap());
        let folders = entries.filter(|entry| entry.path().is_dir());
        let folders: BTreeSet<String> =
            folders.map(|folder| folder.file_name().into_string().unwrap().replace('_', "-")).collect();
        let registered: BTreeSet<String> = ALL.iter().map(|action| action.id.to_owned()).collect();
        assert_eq!(folders, registered);
    }

    #[test]
    fn every_cause_an_action_names_exists() {
        for action in ALL {
            for cause in action.causes {
                let known = controller_diagnose::causes::ALL.iter().any(|entry| entry.id == *cause);
                assert!(known, "{} names the unknown cause {cause}", action.id);
            }
        }
    }
}
