//! What the node's actuator tells of itself: the boot it is in and how its plans fared.

use common_model::Class;
use common_plan::Report;

use crate::source::{Collector, Source, Trigger};
use crate::{Evidence, Parsed, parse_optional_file};

/// The file the actuator writes after every step.
pub const PATH: &str = "/var/lib/dialtone-actuator/report.json";

/// What an agent reads and sends. A node without an actuator has no such file, which is no failure.
pub static COLLECTOR: Collector = Collector {
    kind: Actuator::KIND,
    schema: 1,
    class: Class::State,
    sources: |_| {
        let places = vec![PATH.to_owned()];
        vec![(String::new(), Source::Files { places, suffix: "", cap: 256 * 1024 })]
    },
    triggers: |_| vec![Trigger::Directory("/var/lib/dialtone-actuator".to_owned())],
    redact: |raw| raw,
};

/// The actuator's report.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actuator {
    /// None where no actuator has ever run.
    pub report: Option<Report>,
}

impl Evidence for Actuator {
    const KIND: &'static str = "actuator";

    fn parse(raw: &[u8], _subject: &str, _schema: u32) -> Parsed<Self> {
        let Parsed { value: report, problems } = parse_optional_file(raw, |text| serde_json::from_str(text));
        Parsed { value: Self { report }, problems }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(text: &str) -> Parsed<Actuator> {
        Actuator::parse(json!([{"path": PATH, "text": text}]).to_string().as_bytes(), "", 1)
    }

    #[test]
    fn a_node_without_an_actuator_is_no_problem() {
        assert_eq!(Actuator::parse(b"[]", "", 1), Parsed::clean(Actuator::default()));
    }

    #[test]
    fn a_report_is_read_and_a_torn_one_is_told() {
        let text = json!({
            "session": "0123456789abcdef0123456789abcdef", "booted_at": "2026-01-31T12:00:00Z", "highest_epoch": 3,
            "newer_field": 1, "entries": [{
                "plan": "0123456789abcdef", "action": "sysctl-set", "state": "applied", "at": "2026-01-31T12:01:00Z",
                "because": null, "approvers": ["alice"],
            }],
        })
        .to_string();
        let parsed = parse(&text);
        let report = parsed.value.report.unwrap();
        assert_eq!((report.highest_epoch, report.entries.len(), parsed.problems.len()), (3, 1, 0));
        let torn = parse(&text[..text.len() / 2]);
        assert_eq!((torn.value.report, torn.problems.len()), (None, 1));
    }
}
