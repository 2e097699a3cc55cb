//! `lab NAME [elasticsearch|elasticsearch8|opensearch] [joined]`: boots a lab host, with a healthy engine if one is named,
//! joined to a controller if that is said, and keeps it until interrupted.

use std::io::{Write, stdout};
use std::thread;

use anyhow::{Context, Result, bail};
use system_tests::fleet::Fleet;
use system_tests::lab::{Engine, Host, client};

const JOINED: &str = "joined";

fn main() -> Result<()> {
    let mut arguments: Vec<String> = std::env::args().skip(1).collect();
    let joined = arguments.pop_if(|word| word == JOINED).is_some();
    let (name, engine) = match arguments.as_slice() {
        [name] => (name, None),
        [name, engine] => {
            let known = Engine::ALL.into_iter().find(|known| format!("{known:?}").eq_ignore_ascii_case(engine));
            (name, Some(known.with_context(|| format!("no engine {engine}"))?))
        }
        _ => bail!("usage: lab NAME [elasticsearch|elasticsearch8|opensearch] [{JOINED}]"),
    };
    let host = Host::boot(name)?;
    if let Some(engine) = engine {
        engine.run_healthy(&host)?;
    }
    let fleet = if joined { Some(Fleet::set_up_with("controller", &["git"])?) } else { None };
    let mut out = stdout();
    if let Some(fleet) = &fleet {
        fleet.join(&host)?;
        let (home, program) = (fleet.home().display(), fleet.program());
        writeln!(out, "dialtone, outside: HOME={home} {}", program.display())?;
    }
    writeln!(out, "{name} is up at {}; interrupt to take it down", host.ip())?;
    writeln!(out, "inside:  {:?}", host.command("bash")?)?;
    writeln!(out, "outside: ip netns exec {} bash", client()?.netns())?;
    loop {
        thread::park();
    }
}
