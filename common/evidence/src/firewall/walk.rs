//! One packet through one base chain, and the chains it jumps to.
//!
//! A condition may be neither true nor false. A verdict behind such a condition is kept as a possible one, and the walk goes
//! on as if it had not been reached; at the end all possible outcomes are known, and only if they agree is there a certain one.

use super::Block;
use super::flow::{Flow, Found};
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

/// What a reject sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// A TCP reset.
    Reset,
    /// An ICMP error.
    Icmp,
}

/// The rule, or for `index` none the policy, that blocks.
pub(super) struct Stop<'a> {
    /// How.
    pub block: Block,
    /// The packet that tells the client so.
    pub refusal: Option<Refusal>,
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
        let outcome = match run.chain(chain, None) {
            Flowing::Done(outcome) => outcome,
            _ if base.drops => {
                let via = vec![chain.name.clone()];
                Final::Block(Stop { block: Block::Drop, refusal: None, table, chain, index: None, via })
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

/// A rule on the walk.
#[derive(Clone, Copy)]
struct At<'a, 'd> {
    chain: &'a Chain,
    index: usize,
    rule: &'a Rule,
    /// The rule that makes it uncertain that the packet gets here.
    doubt: Option<&'d str>,
    /// Whether the rule's own conditions hold for certain.
    holds: bool,
}

impl At<'_, '_> {
    fn is_sure(&self) -> bool {
        self.holds && self.doubt.is_none()
    }
}

struct Run<'f, 'a> {
    walk: Walk<'f>,
    table: &'a Table,
    maybes: Vec<Maybe>,
    via: Vec<String>,
}

impl<'a> Run<'_, 'a> {
    /// Walks one chain. `doubt` is the rule that makes it uncertain that the packet gets there.
    fn chain(&mut self, chain: &'a Chain, mut doubt: Option<String>) -> Flowing<'a> {
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
            let at = At { chain, index, rule, doubt: doubt.as_deref(), holds: true };
            match self.rule(at) {
                Flowing::Next => {}
                Flowing::Doubt => doubt = Some(self.quote(at)),
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

    fn rule(&mut self, mut at: At<'a, '_>) -> Flowing<'a> {
        let mut doubt = false;
        for step in &at.rule.steps {
            let flowing = match step {
                Step::If(condition) => match self.walk.flow.holds(condition, self.table) {
                    Some(true) => Flowing::Next,
                    Some(false) => break,
                    None => {
                        at.holds = false;
                        Flowing::Next
                    }
                },
                Step::Do(effect) => {
                    let certain = self.certain(at);
                    self.walk.flow.apply(*effect, certain);
                    Flowing::Next
                }
                Step::Then(Verdict::Other) => {
                    let flowing = self.anything(at);
                    at.holds = false;
                    flowing
                }
                Step::Then(verdict) => self.verdict(verdict, at),
                Step::Lookup { keys, elements } => self.lookup(keys, elements, at),
            };
            match flowing {
                Flowing::Next => {}
                Flowing::Doubt => doubt = true,
                left => return left,
            }
        }
        if doubt { Flowing::Doubt } else { Flowing::Next }
    }

    fn lookup(&mut self, keys: &[Key], elements: &'a Elements, at: At<'a, '_>) -> Flowing<'a> {
        match self.walk.flow.find(keys, elements, self.table) {
            Found::Nothing => Flowing::Next,
            Found::Element(element) => match &element.verdict {
                Some(verdict) => self.verdict(verdict, at),
                None => self.anything(at),
            },
            Found::Unsure => {
                let elements = match elements {
                    Elements::Here(elements) => Some(elements),
                    Elements::Named(name) => self.table.sets.get(name),
                };
                let Some(elements) = elements else { return self.anything(at) };
                let mut flowing = Flowing::Next;
                for verdict in elements.iter().filter_map(|element| element.verdict.as_ref()) {
                    if matches!(self.verdict(verdict, At { holds: false, ..at }), Flowing::Doubt) {
                        flowing = Flowing::Doubt;
                    }
                }
                flowing
            }
        }
    }

    fn anything(&mut self, at: At<'a, '_>) -> Flowing<'a> {
        self.maybes.push(Maybe::Anything(self.quote(at)));
        Flowing::Next
    }

    /// Carries out a verdict.
    fn verdict(&mut self, verdict: &'a Verdict, at: At<'a, '_>) -> Flowing<'a> {
        let left = if at.holds { Flowing::Back } else { Flowing::Next };
        match verdict {
            Verdict::Continue => Flowing::Next,
            Verdict::Other => self.anything(at),
            Verdict::Return if at.holds => Flowing::Back,
            Verdict::Return => Flowing::Doubt,
            Verdict::Accept if at.is_sure() => Flowing::Done(Final::Accept),
            Verdict::Accept => {
                self.maybes.push(Maybe::Accept(self.quote(at)));
                left
            }
            Verdict::Drop => self.block(Block::Drop, None, at),
            Verdict::Reset => self.block(Block::Refuse, Some(Refusal::Reset), at),
            Verdict::Unreachable(block) => self.block(*block, Some(Refusal::Icmp), at),
            Verdict::Jump(target) | Verdict::Goto(target) => {
                let Some(target) = self.table.chain(target) else { return self.anything(at) };
                let doubt = (!at.is_sure()).then(|| self.quote(at));
                match self.chain(target, doubt) {
                    done @ Flowing::Done(_) => done,
                    _ if matches!(verdict, Verdict::Jump(_)) => Flowing::Next,
                    _ if at.holds => Flowing::Back,
                    _ => Flowing::Doubt,
                }
            }
            Verdict::Translate { .. } | Verdict::Redirect(_) => {
                if self.certain(at) {
                    self.translate(verdict);
                    return Flowing::Done(Final::Translate);
                }
                self.maybes.push(Maybe::Elsewhere(self.quote(at)));
                left
            }
        }
    }

    fn block(&mut self, block: Block, refusal: Option<Refusal>, at: At<'a, '_>) -> Flowing<'a> {
        if at.is_sure() {
            let (table, chain, index, via) = (self.table, at.chain, Some(at.index), self.via.clone());
            return Flowing::Done(Final::Block(Stop { block, refusal, table, chain, index, via }));
        }
        self.maybes.push(Maybe::Block(block, self.quote(at)));
        if at.holds { Flowing::Back } else { Flowing::Next }
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
    fn certain(&self, at: At<'a, '_>) -> bool {
        at.is_sure() && self.maybes.is_empty()
    }

    /// The rule to name when something is unsure: the one whose condition is.
    fn quote(&self, at: At<'a, '_>) -> String {
        let own = || format!("{} {} {}: {}", self.table.family, self.table.name, at.chain.name, at.rule.text);
        at.doubt.map_or_else(own, str::to_owned)
    }
}
