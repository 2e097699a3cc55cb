//! `lab NAME [elasticsearch|elasticsearch8|opensearch]`: boots a lab host, with a healthy
//! engine if one is named, and keeps it until interrupted.

use std::io::{Write, stdout};
use std::thread;

use anyhow::{Context, Result, bail};
use system_tests::lab::{Engine, Host, client};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (name, engine) = match arguments.as_slice() {
        [name] => (name, None),
        [name, engine] => {
            let known = Engine::ALL.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(engine));
            (name, Some(known.with_context(|| format!("no engine {engine}"))?))
        }
        _ => bail!("usage: lab NAME [elasticsearch|elasticsearch8|opensearch]"),
    };
    let host = Host::boot(name)?;
    if let Some(engine) = engine {
        engine.run_healthy(&host)?;
    }
    let mut out = stdout();
    writeln!(out, "{name} is up at {}; interrupt to take it down", host.ip())?;
    writeln!(out, "inside:  {:?}", host.command("bash")?)?;
    writeln!(out, "outside: ip netns exec {} bash", client()?.netns())?;
    loop {
        thread::park();
    }
}
