//! What `controller.yaml` says of watching.

use common_model::Endpoint;
use common_model::endpoint::InvalidEndpoint;
use controller_remedy::incident::with_scheme;
use serde::{Deserialize, Serialize};

/// Endpoints that can be watched always.
const MAX_WATCHED: usize = 500;

/// How endpoints are watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Incidents {
    /// Endpoints that are watched always; others only from when somebody found them unreachable until they answer again.
    pub watch: Vec<String>,
    /// Seconds between two probes of an endpoint.
    pub probe_every_s: u32,
    /// Seconds between two diagnoses of an open incident when nothing new is seen.
    pub judge_every_s: u32,
}

impl Default for Incidents {
    fn default() -> Self {
        Self { watch: Vec::new(), probe_every_s: 5, judge_every_s: 60 }
    }
}

/// What cannot be watched, or not like this.
#[derive(Debug, thiserror::Error)]
pub enum Unwatchable {
    /// Not an endpoint.
    #[error("watch")]
    Endpoint(#[from] InvalidEndpoint),
    /// Too many, or too often.
    #[error("give 1 to 3600 for probe_every_s and judge_every_s, and at most {MAX_WATCHED} endpoints to watch")]
    Bounds,
}

impl Incidents {
    /// The endpoints that are watched always.
    pub fn endpoints(&self) -> Result<Vec<Endpoint>, InvalidEndpoint> {
        self.watch.iter().map(|text| text.parse().map(with_scheme)).collect()
    }

    /// Whether it can be done so.
    pub(crate) fn check(&self) -> Result<(), Unwatchable> {
        self.endpoints()?;
        let times = [self.probe_every_s, self.judge_every_s];
        let fits = times.iter().all(|time| (1..=3600).contains(time)) && self.watch.len() <= MAX_WATCHED;
        if fits { Ok(()) } else { Err(Unwatchable::Bounds) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_watched_is_an_endpoint() {
        let of = |watch: &[&str], probe_every_s| Incidents {
            watch: watch.iter().map(|text| (*text).to_owned()).collect(),
            probe_every_s,
            ..Incidents::default()
        };
        let shown: Vec<String> =
            of(&["es-1", "https://es-2:9201"], 5).endpoints().unwrap().iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["http://es-1:9200", "https://es-2:9201"]);
        assert!(matches!(of(&["ftp://x"], 5).check(), Err(Unwatchable::Endpoint(_))));
        assert!(matches!(of(&[], 0).check(), Err(Unwatchable::Bounds)));
        assert!(of(&["es-1"], 1).check().is_ok());
    }
}
