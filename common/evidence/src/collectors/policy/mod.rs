//! What the node's administrator allows: `/etc/dialtone/policy.yaml`. The node decides by its own copy; here it tells what is
//! worth proposing.

use common_model::Class;
use common_plan::Policy;

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_optional_file};

/// The file.
pub const PATH: &str = "/etc/dialtone/policy.yaml";

/// What an agent reads and sends. The file holds public keys and limits; a node may do without it.
pub static COLLECTOR: Collector = Collector {
    kind: NodePolicy::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = vec![PATH.to_owned()];
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| vec![Trigger::Directory("/etc/dialtone".to_owned())],
    redact: |raw| crate::redact::files_json(&raw, crate::redact::commented),
};

/// The node's policy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NodePolicy {
    /// None where there is none, or where it is not valid, which the problems say: nothing is allowed then.
    pub policy: Option<Policy>,
}

impl Evidence for NodePolicy {
    const KIND: &'static str = "policy";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: policy, problems } = parse_optional_file(raw, Policy::parse);
        Parsed { value: Self { policy }, problems }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Parsed<NodePolicy> {
        NodePolicy::parse(json!([{"path": PATH, "text": text}]).to_string().as_bytes(), "", 1)
    }

    #[test]
    fn what_is_not_valid_allows_nothing_and_is_told() {
        assert_eq!(NodePolicy::parse(b"[]", "", 1), Parsed::clean(NodePolicy::default()));
        assert_eq!(parse("# as shipped\n").value.policy, Some(Policy::default()));
        let wrong = parse("epoch: 1\nalow: {}\n");
        assert_eq!((wrong.value.policy, wrong.problems.len()), (None, 1));
        let cut = json!([{"path": PATH, "text": "epoch: 1\n", "cut": true}]).to_string();
        assert_eq!(NodePolicy::parse(cut.as_bytes(), "", 1).value.policy, None);
    }
}
