//! One packet through one base chain, and the chains it jumps to.
//!
//! A condition may be neither true nor false. A verdict behind such a condition is kept as a possible one, and the walk goes
//! on as if it had not been reached; at the end all possible outcomes are known, and only if they agree is there a certain one.

use super::Block;
use super::flow::{Flow, Found, Truth};
use super::ruleset::{Base, Chain, Elements, Key, Rule, Step, Table, Verdict};

/// Deeper than the kernel lets chains be nested (16).
const DEPTH: usize = 64;

/// What became of a packet in one base chain.
pub(super) enum End<'a> {
    /// On to the next base chain.
    Pass,
    /// Blocked here.
    Stop(Stop<'a>),
    /// Perhaps blocked; the rule that may, and on to the next base chain if not.
    Unclear(String),
    /// Perhaps sent elsewhere, so that nothing after is certain; the rule that may.
    Lost(String),
    /// Sent to another address or port; [`Flow`] has it.
    Translated,
}

/// The rule, or for `index` none the policy, that blocks.
pub(super) struct Stop<'a> {
    /// How.
    pub block: Block,
    /// The rule's table.
    pub table: &'a Table,
    /// The rule's chain.
    pub chain: &'a Chain,
    /// The rule's index in its chain.
    pub index: Option<usize>,
    /// The chains walked to get there, the base chain first, the rule's own last.
    pub via: Vec<String>,
}

enum Maybe {
    Accept(String),
    Block(Block, String),
    Anything(String),
    Elsewhere(String),
}

enum Final<'a> {
    Accept,
    Block(Stop<'a>),
    Translate,
}

/// What a rule, or a whole chain, leaves to do.
enum Flowing<'a> {
    /// Take the next rule.
    Next,
    /// Take the next rule, which may however not be reached.
    Doubt,
    /// Go back to the caller.
    Back,
    /// The base chain is done.
    Done(Final<'a>),
}

/// A walk; `budget` bounds the rules looked at, since hostile chains can call each other exponentially often.
pub(super) struct Walk<'f> {
    /// The packet.
    pub flow: &'f mut Flow,
    /// Rules that may still be looked at.
    pub budget: &'f mut usize,
}

impl Walk<'_> {
    /// Takes the packet through a base chain.
    pub(super) fn base_chain<'a>(&mut self, table: &'a Table, chain: &'a Chain, base: &Base) -> End<'a> {
        let mut run =
            Run { walk: Walk { flow: self.flow, budget: self.budget }, table, maybes: Vec::new(), via: Vec::new() };
        let outcome = match run.chain(chain, true) {
            Flowing::Done(outcome) => outcome,
            _ if base.drops => {
                let stop = Stop { block: Block::Drop, table, chain, index: None, via: vec![chain.name.clone()] };
                Final::Block(stop)
            }
            _ => Final::Accept,
        };
        settle(outcome, run.maybes)
    }
}

/// The outcome that all possible ones agree on.
fn settle(outcome: Final<'_>, maybes: Vec<Maybe>) -> End<'_> {
    let mut unclear = None;
    for maybe in maybes {
        match (&outcome, maybe) {
            (_, Maybe::Elsewhere(text))
            | (Final::Translate, Maybe::Accept(text) | Maybe::Block(_, text) | Maybe::Anything(text)) => {
                return End::Lost(text);
            }
            (Final::Accept, Maybe::Accept(_)) => {}
            (Final::Block(stop), Maybe::Block(block, _)) if stop.block == block => {}
            (_, Maybe::Accept(text) | Maybe::Block(_, text) | Maybe::Anything(text)) => {
                unclear.get_or_insert(text);
            }
        }
    }
    match (unclear, outcome) {
        (Some(text), _) => End::Unclear(text),
        (None, Final::Accept) => End::Pass,
        (None, Final::Block(stop)) => End::Stop(stop),
        (None, Final::Translate) => End::Translated,
    }
}

struct Run<'f, 'a> {
    walk: Walk<'f>,
    table: &'a Table,
    maybes: Vec<Maybe>,
    via: Vec<String>,
}

impl<'a> Run<'_, 'a> {
    /// Walks one chain; `sure` when it is certain that the packet gets there.
    fn chain(&mut self, chain: &'a Chain, mut sure: bool) -> Flowing<'a> {
        if self.via.len() >= DEPTH {
            self.maybes.push(Maybe::Anything(format!("chain {}: nested too deep to follow", chain.name)));
            return Flowing::Back;
        }
        self.via.push(chain.name.clone());
        let mut left = Flowing::Back;
        for (index, rule) in chain.rules.iter().enumerate() {
            if *self.walk.budget == 0 {
                self.maybes.push(Maybe::Anything("the ruleset is too large to follow".to_owned()));
                break;
            }
            *self.walk.budget -= 1;
            match self.rule(chain, index, rule, sure) {
                Flowing::Next => {}
                Flowing::Doubt => sure = false,
                Flowing::Back => break,
                done @ Flowing::Done(_) => {
                    left = done;
                    break;
                }
            }
        }
        self.via.pop();
        left
    }

    fn rule(&mut self, chain: &'a Chain, index: usize, rule: &'a Rule, sure: bool) -> Flowing<'a> {
        let mut truth: Truth = Some(true);
        let mut doubt = false;
        for step in &rule.steps {
            let flowing = match step {
                Step::If(condition) => match self.walk.flow.holds(condition, self.table) {
                    Some(true) => continue,
                    Some(false) => break,
                    None => {
                        truth = None;
                        continue;
                    }
                },
                Step::Do(effect) => {
                    let certain = self.certain(sure && truth.is_some());
                    self.walk.flow.apply(*effect, certain);
                    continue;
                }
                Step::Then(Verdict::Other) => {
                    self.maybes.push(Maybe::Anything(self.quote(chain, rule)));
                    truth = None;
                    continue;
                }
                Step::Then(verdict) => self.verdict(verdict, (chain, index, rule), truth.is_some(), sure),
                Step::Lookup { keys, elements } => {
                    self.lookup(keys, elements, (chain, index, rule), truth.is_some(), sure)
                }
            };
            match flowing {
                Flowing::Next => {}
                Flowing::Doubt => doubt = true,
                left => return left,
            }
        }
        if doubt { Flowing::Doubt } else { Flowing::Next }
    }

    fn lookup(
        &mut self,
        keys: &[Key],
        elements: &'a Elements,
        at: (&'a Chain, usize, &'a Rule),
        holds: bool,
        sure: bool,
    ) -> Flowing<'a> {
        match self.walk.flow.find(keys, elements, self.table) {
            Found::Nothing => Flowing::Next,
            Found::Element(element) => match &element.verdict {
                Some(Verdict::Other) | None => self.anything(at),
                Some(verdict) => self.verdict(verdict, at, holds, sure),
            },
            Found::Unsure => {
                let elements = match elements {
                    Elements::Here(elements) => Some(elements),
                    Elements::Named(name) => self.table.sets.get(name),
                };
                let Some(elements) = elements else { return self.anything(at) };
                let mut flowing = Flowing::Next;
                for verdict in elements.iter().filter_map(|element| element.verdict.as_ref()) {
                    if matches!(self.verdict(verdict, at, false, sure), Flowing::Doubt) {
                        flowing = Flowing::Doubt;
                    }
                }
                flowing
            }
        }
    }

    fn anything(&mut self, (chain, _, rule): (&'a Chain, usize, &'a Rule)) -> Flowing<'a> {
        self.maybes.push(Maybe::Anything(self.quote(chain, rule)));
        Flowing::Next
    }

    /// Carries out a verdict; `holds` when the rule's conditions do for certain.
    fn verdict(
        &mut self,
        verdict: &'a Verdict,
        at: (&'a Chain, usize, &'a Rule),
        holds: bool,
        sure: bool,
    ) -> Flowing<'a> {
        let (chain, index, rule) = at;
        let left = if holds { Flowing::Back } else { Flowing::Next };
        match verdict {
            Verdict::Continue => Flowing::Next,
            Verdict::Other => self.anything(at),
            Verdict::Return if holds => Flowing::Back,
            Verdict::Return => Flowing::Doubt,
            Verdict::Accept if holds && sure => Flowing::Done(Final::Accept),
            Verdict::Accept => {
                self.maybes.push(Maybe::Accept(self.quote(chain, rule)));
                left
            }
            Verdict::Block(block) if holds && sure => {
                let via = self.via.clone();
                Flowing::Done(Final::Block(Stop { block: *block, table: self.table, chain, index: Some(index), via }))
            }
            Verdict::Block(block) => {
                self.maybes.push(Maybe::Block(*block, self.quote(chain, rule)));
                left
            }
            Verdict::Jump(target) | Verdict::Goto(target) => {
                let Some(target) = self.table.chain(target) else { return self.anything(at) };
                let back = matches!(verdict, Verdict::Jump(_));
                match self.chain(target, sure && holds) {
                    done @ Flowing::Done(_) => done,
                    _ if back => Flowing::Next,
                    _ if holds => Flowing::Back,
                    _ => Flowing::Doubt,
                }
            }
            Verdict::Translate { .. } | Verdict::Redirect(_) => {
                if self.certain(holds && sure) {
                    self.translate(verdict);
                    return Flowing::Done(Final::Translate);
                }
                self.maybes.push(Maybe::Elsewhere(self.quote(chain, rule)));
                left
            }
        }
    }

    fn translate(&mut self, verdict: &Verdict) {
        let flow = &mut *self.walk.flow;
        let port = match verdict {
            Verdict::Translate { address, port } => {
                if let Some(address) = address.filter(|address| *address != flow.destination) {
                    flow.destination = address;
                    flow.local = None;
                }
                *port
            }
            Verdict::Redirect(port) => *port,
            _ => return,
        };
        flow.port = port.or(flow.port);
        flow.translated = true;
    }

    /// True when the packet is here whatever the unsure conditions so far were.
    fn certain(&self, sure: bool) -> bool {
        sure && self.maybes.is_empty()
    }

    fn quote(&self, chain: &Chain, rule: &Rule) -> String {
        format!("{} {} {}: {}", self.table.family, self.table.name, chain.name, rule.text)
    }
}
