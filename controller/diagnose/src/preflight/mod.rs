//! Would an engine start, and be reachable, if it were restarted now? A function of what is known of its node, like a diagnosis;
//! what it judges are the files and the host as they are, not the process that runs.

mod addresses;
mod bootstrap;
mod files;
mod reach;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::RangeInclusive;

use common_evidence::collectors::engine_config::EngineConfig;
use common_evidence::settings::{Resolved, Settings, resolve};
use common_model::Timestamp;
use common_model::preflight::{Answer, Check, PREFLIGHT_SCHEMA, Preflight, Question};
use common_model::probe::Product;
use common_model::text::printable_line;
use controller_correlate::{EngineView, NodePicture, Running};

/// What the checks look at.
struct Ask<'a> {
    node: &'a NodePicture,
    engine: &'a EngineView,
    config: Option<&'a EngineConfig>,
    settings: Resolved,
    /// Where a connection would come from.
    source: Option<IpAddr>,
}

impl Ask<'_> {
    /// One key, as the next start would read it.
    fn get(&self, key: &str) -> Option<common_evidence::settings::ResolvedSetting> {
        Settings::new(self.config, &self.engine.engine.arguments).get(key)
    }

    /// Major and minor.
    fn version(&self) -> Option<(u32, u32)> {
        let mut parts = self.engine.engine.version.as_deref()?.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    }

    fn is_elasticsearch(&self) -> bool {
        self.engine.product() == Product::Elasticsearch
    }

    fn yml(&self) -> String {
        self.engine.engine.config_file()
    }

    fn http_ports(&self) -> Vec<RangeInclusive<u16>> {
        self.settings.http.port.ports()
    }
}

/// Judges one engine. `source` is where clients are asked about, for the firewall: the controller's address.
pub fn preflight(node: &NodePicture, engine: &EngineView, source: Option<IpAddr>, at: Timestamp) -> Preflight {
    let config = engine.config.known().map(|cited| &cited.value);
    let settings = resolve(config, &engine.engine.arguments, engine.product(), engine.engine.version.as_deref());
    let ask = Ask { node, engine, config, settings, source };
    let checks: Vec<Check> =
        [files::checks(&ask), addresses::checks(&ask), bootstrap::checks(&ask), reach::checks(&ask)].concat();
    let starts = worst(&checks, Question::Start);
    let reachable = if starts == Answer::No { Answer::No } else { worst(&checks, Question::Reach) };
    Preflight {
        schema: PREFLIGHT_SCHEMA.to_owned(),
        node: node.name.clone(),
        engine: engine.engine.name.clone(),
        at,
        starts,
        reachable,
        sentence: sentence(&ask, starts, reachable, &checks),
        listens: reach::listens(&ask),
        checks,
        not_looked_at: not_looked_at(&ask),
    }
}

fn worst(checks: &[Check], about: Question) -> Answer {
    checks.iter().filter(|check| check.about == about).map(|check| check.passes).max().unwrap_or(Answer::Unknown)
}

fn sentence(ask: &Ask<'_>, starts: Answer, reachable: Answer, checks: &[Check]) -> String {
    let who = format!("{} on {}", ask.engine.title(), ask.node.name);
    let first = |about: Question, passes: Answer| {
        let found = checks.iter().find(|check| check.about == about && check.passes == passes);
        found.map(|check| check.sentence.as_str()).unwrap_or_default()
    };
    match (starts, reachable) {
        (Answer::No, _) => format!("{who} would not start again: {}", first(Question::Start, Answer::No)),
        (Answer::Unknown, _) => {
            format!("whether {who} would start again is not known: {}", first(Question::Start, Answer::Unknown))
        }
        (Answer::Yes, Answer::No) => {
            format!("{who} would start again, and others would not reach it: {}", first(Question::Reach, Answer::No))
        }
        (Answer::Yes, Answer::Unknown) => format!(
            "{who} would start again; whether others would reach it is not known: {}",
            first(Question::Reach, Answer::Unknown)
        ),
        (Answer::Yes, Answer::Yes) => format!("nothing speaks against {who} starting again and being reached"),
    }
}

/// What a start depends on that no evidence tells. An engine that runs has passed all of it once.
fn not_looked_at(ask: &Ask<'_>) -> Vec<String> {
    let name = &ask.engine.engine.name;
    let seen = match ask.engine.running() {
        Running::Yes(_) => " (all of it was good enough for the start of the engine that runs)",
        Running::No | Running::Unknown => "",
    };
    vec![format!(
        "jvm.options and the heap's size, plugins and keystore, free space and owners of path.data and path.logs, mount options of \
         the temporary directory of {name}{seen}"
    )]
}

fn check(id: &str, about: Question, passes: Answer, sentence: impl AsRef<str>, source: impl AsRef<str>) -> Check {
    let (sentence, source) = (printable_line(sentence.as_ref()), printable_line(source.as_ref()));
    Check { id: id.to_owned(), about, passes, sentence, source }
}
