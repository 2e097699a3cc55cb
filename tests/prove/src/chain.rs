//! The whole loop as processes: the real controller, agent and actuator, one of which, or several, are killed while they carry a
//! plan out; and then the same plan ten more times.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::Duration;

use common_model::NodeName;
use rustix::process::Pid;
use tests_node::{Running, is_stopped, resume, until};

use crate::agent::Agent;
use crate::authority::Authority;
use crate::run::{Run, Trial};
use crate::scene::{Change, Scene};
use crate::scripted::{Scripted, act};

/// What the plan is for; the controller looks there from outside.
const ENGINE: &str = "127.0.0.1:9200";
/// Seconds to confirm: the shortest there is.
const WINDOW_S: u32 = 10;
/// How often the same plan is sent again.
const AGAIN: usize = 10;

/// Where somebody may be stopped to be killed; none: at any instant.
const POINTS: [Option<&str>; 9] = [
    Some("begun"),
    Some("guard-starts"),
    Some("armed"),
    Some("before-act"),
    Some("acted"),
    Some("applied"),
    Some("confirmed"),
    Some("persisting"),
    None,
];

/// A process of the loop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Controller,
    Agent,
    Actuator,
    Guard,
}

/// In the order in which they go: the directories last.
struct Chain {
    controller: Running,
    agent: Option<Agent>,
    actuator: Option<Running>,
    node: NodeName,
    authority: Authority,
    scene: Scene,
}

/// Tries nine in ten by `alone`, so many of them at once, and one in ten with the whole loop.
pub(crate) fn with_whole_loops(run: &Run, at_once: usize, alone: fn(&mut Trial<'_>)) {
    let whole = run.trials * 9 / 10;
    run.each(0..whole, at_once, alone);
    // A whole loop takes seconds, which a few trials have not.
    if run.strict {
        run.each(whole..run.trials, 6, kill_some);
    }
}

/// Kills some of them, somewhere, and checks what is left. When the engine answers, what is not killed ends confirmed.
fn kill_some(trial: &mut Trial<'_>) {
    let engine = trial.rng.u8(..4) > 0;
    let point = trial.pick(&POINTS);
    let killed = some_of(trial);
    let _engine = engine.then(answer);
    let mut chain = Chain::start(point);
    let mut stopped = false;
    until("somebody stops, or it is over", || {
        stopped = is_stopped(chain.actuator_pid()) || chain.scene.host.guards().into_iter().any(is_stopped);
        let is_over = chain.scene.entry().is_some_and(|entry| entry.state.is_final());
        stopped || is_over || point.is_none() && chain.scene.entry().is_some()
    });
    if point.is_none() {
        std::thread::sleep(Duration::from_millis(trial.rng.u64(..1500)));
    }
    for part in &killed {
        chain.kill(*part);
    }
    // systemd starts what died, sooner or later; that the rest goes on is all that is waited for.
    if trial.rng.bool() {
        chain.start_again(&killed);
    }
    until("the plan has ended", || {
        chain.resume(&killed);
        chain.scene.entry().is_some_and(|entry| entry.state.is_final()) || chain.needs_a_start(&killed)
    });
    chain.start_again(&killed);
    until("the plan has ended", || chain.scene.entry().is_some_and(|entry| entry.state.is_final()));
    chain.send_again();
    let state = chain.scene.check();
    trial.count(&format!("whole loop: {killed:?} killed, {state:?}"));
}

/// At least one of them.
fn some_of(trial: &mut Trial<'_>) -> Vec<Part> {
    let all = [Part::Controller, Part::Agent, Part::Actuator, Part::Guard];
    let chosen = trial.rng.u8(1..16);
    all.into_iter().enumerate().filter(|(place, _)| chosen & 1 << place != 0).map(|(_, part)| part).collect()
}

impl Chain {
    fn start(point: Option<&str>) -> Self {
        let scene = Scene::new(Change::Setting, WINDOW_S, |plan| {
            plan.goal.endpoint = format!("http://{ENGINE}");
        });
        let node: NodeName = "es-1".parse().unwrap();
        let authority = Authority::init();
        let approval = scene.host.key().approve(&scene.plan).unwrap();
        authority.keep_approved(&scene.plan, &[approval]);
        let actuator = scene.host.serve_telling(point, journal(&scene).into());
        let agent = Some(Agent::start(&scene.host, &node, &authority));
        Self { node, controller: authority.run(), agent, actuator: Some(actuator), authority, scene }
    }

    fn actuator_pid(&self) -> Pid {
        self.actuator.as_ref().expect("the actuator was killed").pid()
    }

    fn kill(&mut self, part: Part) {
        match part {
            Part::Controller => self.controller.kill(),
            Part::Agent => self.agent = None,
            Part::Actuator => self.actuator = None,
            Part::Guard => {
                self.scene.host.kill_guards();
            }
        }
    }

    /// Lets those go on that were not killed.
    fn resume(&self, killed: &[Part]) {
        if let Some(actuator) = &self.actuator {
            resume(actuator.pid());
        }
        if !killed.contains(&Part::Guard) {
            self.scene.host.guards().into_iter().for_each(resume);
        }
    }

    /// Nobody is left who could undo it.
    fn needs_a_start(&self, killed: &[Part]) -> bool {
        self.actuator.is_none() && (killed.contains(&Part::Guard) || self.scene.host.guards().is_empty())
    }

    fn start_again(&mut self, killed: &[Part]) {
        if killed.contains(&Part::Controller) && self.controller.has_ended() {
            self.controller = self.authority.run();
        }
        if self.agent.is_none() {
            self.agent = Some(Agent::start(&self.scene.host, &self.node, &self.authority));
        }
        if self.actuator.is_none() {
            self.actuator = Some(self.scene.host.serve_telling(None, journal(&self.scene).into()));
        }
    }

    /// Another controller of the same CA takes the place of the real one, and hands the plan over as if it never had been.
    fn send_again(&mut self) {
        self.controller.kill();
        let scripted = Scripted::start(&self.authority);
        scripted.await_agent(&self.node);
        let approval = self.scene.host.key().approve(&self.scene.plan).unwrap();
        let refused = format!("refused plan {} (repeated)", self.scene.plan.id());
        let journal = self.scene.host.path(JOURNAL);
        for times in 1..=AGAIN {
            scripted.send(&self.node, act(self.scene.plan.as_slice(), std::slice::from_ref(&approval)));
            until("it was refused once more", || {
                self.actuator.as_ref().into_iter().for_each(|actuator| resume(actuator.pid()));
                std::fs::read_to_string(&journal).unwrap().matches(&refused).count() >= times
            });
        }
    }
}

const JOURNAL: &str = "actuator.log";

fn journal(scene: &Scene) -> File {
    File::options().append(true).create(true).open(scene.host.path(JOURNAL)).unwrap()
}

/// Answers every connection as Elasticsearch does, until it is dropped.
pub(crate) struct Engine {
    stop: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

pub(crate) fn answer() -> Engine {
    let listener = TcpListener::bind(ENGINE).unwrap();
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let stopping = std::sync::Arc::clone(&stop);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            if stopping.load(std::sync::atomic::Ordering::Relaxed) {
                return;
            }
            let Ok(mut stream) = stream else { continue };
            let body = r#"{"name":"es-1","cluster_name":"es","version":{"number":"7.17.28"},"tagline":"You Know, for Search"}"#;
            let head = format!(
                "HTTP/1.1 200 OK\r\nX-elastic-product: Elasticsearch\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            if stream.read(&mut [0; 1024]).is_ok() {
                // Who has hung up needs no answer.
                stream.write_all(format!("{head}{body}").as_bytes()).ok();
            }
        }
    });
    Engine { stop }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.store(true, std::sync::atomic::Ordering::Relaxed);
        // One more, so that it sees it.
        std::net::TcpStream::connect(ENGINE).ok();
        until("the engine has let go of its port", || TcpListener::bind(ENGINE).is_ok());
    }
}
