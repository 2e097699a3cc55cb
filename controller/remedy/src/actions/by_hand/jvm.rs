//! Starts that Java ends.

use super::{HEAP_SIZES, Told, jvm_lines, words};
use crate::ask::{Ask, shown};
use crate::shell;

pub(super) fn java_missing(ask: &Ask<'_>) -> Told {
    let at = words::path(ask.message()).map(|path| format!(" at {}", shown(path))).unwrap_or_default();
    let unit = ask.unit().map(|unit| format!("systemctl cat {unit}"));
    Told {
        title: format!("Install a Java{at}{}, or take away the JAVA_HOME that names the place", ask.on_node()),
        commands: jvm_lines(ask, "JAVA_HOME").into_iter().chain(unit).chain(ask.restart()).collect(),
        risk: "Without a JAVA_HOME the engine uses the Java that came with it; where that is missing, its package has to be installed again.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn jvm_option(ask: &Ask<'_>) -> Told {
    let option = words::option(ask.message());
    let literal = option.and_then(shell::word).map(|option| format!("-F -e {option}"));
    let search = literal.unwrap_or_else(|| HEAP_SIZES.to_owned());
    let what = match option {
        Some(option) => format!("Take {} out of the JVM's options{}", shown(option), ask.on_node()),
        None => format!("Correct the JVM's options{}: {}", ask.on_node(), shown(ask.message())),
    };
    Told {
        title: format!("{what}, then start the engine"),
        commands: jvm_lines(ask, &search).into_iter().chain(ask.restart()).collect(),
        risk: "An option that only some Java takes is written with its version in front, as 8-13:-XX:+Name.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn heap(ask: &Ask<'_>) -> Told {
    Told {
        title: format!("Set -Xms and -Xmx to no more than half of the memory{}, then start the engine", ask.on_node()),
        commands: ["free -m".to_owned()].into_iter().chain(jvm_lines(ask, HEAP_SIZES)).chain(ask.restart()).collect(),
        risk: "A unit or container with a limit of its own has less memory than the host.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn jvm_crashed(ask: &Ask<'_>) -> Told {
    let slug = ask.product().slug();
    Told {
        title: format!("Start {}{} again, and read the JVM's report: it names what crashed", ask.who(), ask.on_node()),
        commands: [format!("sudo sh -c 'ls -lt /var/log/{slug}/hs_err_pid*.log /usr/share/{slug}/hs_err_pid*.log'")]
            .into_iter()
            .chain(ask.restart())
            .collect(),
        risk: "Until what it names is changed it may crash again: an agent or plugin with native code, or the Java, which may have been upgraded just before.".to_owned(),
        ..Told::default()
    }
}

pub(super) fn out_of_memory(ask: &Ask<'_>) -> Told {
    let (on, who) = (ask.on_node(), ask.who());
    let by_kernel = ask.detail("by") == Some("kernel");
    let (title, show, risk) = match by_kernel {
        true => (
            format!("Start {who}{on} again, then give the host more memory or the engine a smaller heap"),
            vec!["sudo journalctl -k -g 'Killed process|oom-kill' -n 20".to_owned(), "free -m".to_owned()],
            "Until then it happens again. The kernel's lines name what took the memory: it need not have been the engine.",
        ),
        false => (
            format!("Start {who}{on} again, then find what fills its heap"),
            Vec::new(),
            "The same load fills it again. A larger heap helps only while it is at most half of the memory.",
        ),
    };
    Told { title, commands: show.into_iter().chain(ask.restart()).collect(), risk: risk.to_owned(), ..Told::default() }
}

pub(super) fn temporary_directory(ask: &Ask<'_>) -> Told {
    Told {
        title: format!(
            "Give the engine{} a temporary directory it may run code from, by ES_TMPDIR or OPENSEARCH_TMPDIR",
            ask.on_node()
        ),
        commands: vec!["findmnt -no TARGET,OPTIONS --target /tmp".to_owned()],
        risk: "The directory has to be its user's alone.".to_owned(),
        ..Told::default()
    }
}
