//! The size of the heap, in a file of its own beside `jvm.options`, which belongs to the package.

use common_model::diagnosis::{Remedy, RemedyKind};
use common_model::probe::Product;
use controller_correlate::diff;

use super::{Action, unit_limit};
use crate::ask::Ask;
use crate::shell;

/// The entry.
pub(super) static ACTION: Action =
    Action { id: "jvm-heap", causes: &["bootstrap-check", "heap-exceeds-memory"], propose };

/// Files are read in the order of their names, and of an option given twice the JVM takes the last.
const FILE: &str = "jvm.options.d/zz-dialtone.options";
/// `jvm.options.d` is read from this version of Elasticsearch on, and by every OpenSearch.
const SINCE: (u32, u32) = (7, 7);
/// Above this the JVM can no longer compress its pointers, and a larger heap holds less.
const MOST: u64 = 31 << 30;
const MIB: u64 = 1 << 20;

fn propose(ask: &Ask<'_>) -> Vec<Remedy> {
    let size = match ask.verdict.cause.as_str() {
        "bootstrap-check" => even(ask),
        _ => half_of_memory(ask),
    };
    size.and_then(|size| remedy(ask, &size)).into_iter().collect()
}

/// A size, and why this one.
struct Size {
    bytes: u64,
    why: String,
    risk: &'static str,
}

/// The maximum that the check found: the engine ran with it, and a larger initial heap only takes it at once.
fn even(ask: &Ask<'_>) -> Option<Size> {
    let (_, maximum) = unit_limit::failed(ask).into_iter().find(|(check, _)| *check == "heap-size")?;
    let bytes = maximum.filter(|bytes| *bytes > 0)?;
    let why = "equal, at the maximum it has".to_owned();
    Some(Size { bytes, why, risk: "The engine takes the whole heap when it starts: the host needs that much free." })
}

fn half_of_memory(ask: &Ask<'_>) -> Option<Size> {
    let memory = ask.host()?.memory_bytes;
    let bytes = (memory / 2).min(MOST) / MIB * MIB;
    let why = format!("half of the {} MiB of memory", memory / MIB);
    let risk = "It fits only if nothing else on the host needs that half: free -m shows.";
    (bytes > 0).then_some(Size { bytes, why, risk })
}

fn remedy(ask: &Ask<'_>, wanted: &Size) -> Option<Remedy> {
    if ask.product() == Product::Elasticsearch && ask.version()? < SINCE {
        return None;
    }
    let directory = ask.engine.as_ref()?.engine.config_dir.trim_end_matches('/').to_owned();
    shell::path(&directory)?;
    let file = format!("{directory}/{FILE}");
    let heap = size(wanted.bytes);
    let text = format!("-Xms{heap}\n-Xmx{heap}\n");
    let title =
        format!("Set the heap to {heap}{} ({}), in the new file {file}, then restart", ask.on_node(), wanted.why);
    let variable = match ask.product() {
        Product::Elasticsearch => "ES_JAVA_OPTS",
        Product::Opensearch => "OPENSEARCH_JAVA_OPTS",
    };
    Some(Remedy {
        commands: ask.restart(),
        diff: Some(diff::between("/dev/null", &format!("b{file}"), "", &text, 0)),
        risk: format!("{} An {variable} with sizes of its own wins over the file.", wanted.risk),
        undo: format!("sudo rm {}, and restart again", shell::path(&file)?),
        ..ACTION.remedy(RemedyKind::PullRequest, title)
    })
}

/// As the JVM takes sizes: in the largest unit that divides it.
fn size(bytes: u64) -> String {
    let unit = [("g", 1 << 30), ("m", MIB), ("k", 1 << 10)].into_iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
    unit.map_or_else(|| bytes.to_string(), |(letter, unit)| format!("{}{letter}", bytes / unit))
}

#[cfg(test)]
mod tests {
    use common_evidence::collectors::host::Host;
    use common_evidence::engine::EngineRef;
    use controller_correlate::testing::{Node, engine};

    use super::*;
    use crate::tests::{checked, failed, refused};

    const UNEVEN: &str =
        "initial heap size [536870912] not equal to maximum heap size [1073741824]; this can cause resize pauses";
    const LACKS: &str = "There is insufficient memory for the Java Runtime Environment to continue.";

    #[test]
    fn sizes_become_equal_in_a_file_that_wins() {
        let remedies = refused(checked(Node::new(), &[UNEVEN]));
        assert_eq!(remedies.len(), 1, "{remedies:#?}");
        assert_eq!(
            remedies[0].diff.as_deref(),
            Some(
                "--- /dev/null\n+++ b/etc/elasticsearch/jvm.options.d/zz-dialtone.options\n@@ -0,0 +1,2 @@\n+-Xms1g\n+-Xmx1g\n"
            )
        );
        assert_eq!(remedies[0].commands, ["sudo systemctl restart elasticsearch.service"]);
        assert_eq!(remedies[0].undo, "sudo rm /etc/elasticsearch/jvm.options.d/zz-dialtone.options, and restart again");
    }

    #[test]
    fn a_version_without_that_directory_is_left_to_a_person() {
        let old = EngineRef { version: Some("7.6.2".to_owned()), ..engine() };
        let remedies = refused(checked(Node::new(), &[UNEVEN]).engines(vec![old]));
        assert_eq!((remedies[0].action.as_str(), remedies[0].diff.as_deref()), ("by-hand", None), "{remedies:#?}");
        assert!(remedies[0].commands[0].starts_with("sudo grep -rns -e '-Xm[sx]' /etc/elasticsearch/jvm.options "));
    }

    #[test]
    fn a_heap_that_does_not_fit_becomes_half_of_the_memory_at_most() {
        let of = |memory_bytes: u64| {
            let host = Host { memory_bytes, ..Host::default() };
            refused(failed(Node::new(), &[LACKS], 1).json::<Host>("", &host)).remove(0)
        };
        assert!(of(8 << 30).diff.unwrap().ends_with("+-Xms4g\n+-Xmx4g\n"));
        assert!(of(256 << 30).diff.unwrap().ends_with("+-Xms31g\n+-Xmx31g\n"));
        assert_eq!(of(0).action, "by-hand");
    }

    #[test]
    fn a_size_is_written_in_the_largest_unit_that_divides_it() {
        let written = [1 << 30, 3 << 20, 5 << 10, 1_073_741_825].map(size);
        assert_eq!(written, ["1g", "3m", "5k", "1073741825"]);
    }
}
