//! A cause's opinion on one picture.

use common_model::diagnosis::{Citation, MissingEvidence};
use common_model::{Certainty, Change, NodeName, Stage};
use serde_json::Value;

use crate::case::Case;

/// An entry of the catalogue.
pub struct Cause {
    /// Its id; the folder's name with `-` for `_`.
    pub id: &'static str,
    /// One line.
    pub title: &'static str,
    /// The stage it blocks; none for the two verdicts that name no cause.
    pub stage: Option<Stage>,
    /// Kinds of evidence from the node that it rests on; empty when the wire alone decides.
    pub needs: &'static [&'static str],
    /// What would show that it is not this, for people.
    pub refuted_by: &'static str,
    /// Its opinion.
    pub rule: fn(&Case<'_>) -> Finding,
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq)]
pub enum Finding {
    /// It is this.
    Supported(Box<Support>),
    /// It is not this, and what shows it.
    RuledOut {
        /// Why not.
        because: String,
        /// What shows it.
        cites: Vec<Citation>,
    },
    /// The evidence does not tell; what would.
    Unknown(Vec<MissingEvidence>),
}

/// A cause that applies.
#[derive(Debug, Clone, PartialEq)]
pub struct Support {
    /// How sure.
    pub certainty: Certainty,
    /// Whether it stops the client now, or would once what stops it now is fixed.
    pub blocks: Blocks,
    /// The node it is on, if it is on one.
    pub node: Option<NodeName>,
    /// What people read.
    pub sentence: String,
    /// Typed by cause; the contract's shape.
    pub detail: Value,
    /// From the symptom down to the root.
    pub chain: Vec<Step>,
    /// The change that brought it.
    pub change: Option<Change>,
    /// What would make it surer.
    pub missing: Vec<MissingEvidence>,
}

/// When a cause blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocks {
    /// Now.
    Now,
    /// Now, by being the reason why the last start failed. One start has one reason.
    Start,
    /// After the blockers before it are gone.
    Next,
}

/// One link of a chain, with what it quotes.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Id of a cause or of an intermediate fact.
    pub cause: &'static str,
    /// In words.
    pub sentence: String,
    /// What shows it.
    pub cites: Vec<Citation>,
}

impl Step {
    /// A link.
    pub fn new(cause: &'static str, sentence: impl Into<String>, cites: Vec<Citation>) -> Self {
        Self { cause, sentence: sentence.into(), cites }
    }
}

impl Finding {
    /// It is not this.
    pub fn ruled_out(because: impl Into<String>, cites: Vec<Citation>) -> Self {
        Finding::RuledOut { because: because.into(), cites }
    }

    /// It is this.
    pub fn supported(support: Support) -> Self {
        Finding::Supported(Box::new(support))
    }

    /// One piece of evidence would tell.
    pub fn unknown(evidence: impl Into<String>, how_to_get_it: impl Into<String>) -> Self {
        Finding::Unknown(vec![missing(evidence, how_to_get_it)])
    }
}

/// Evidence that is missing.
pub(crate) fn missing(evidence: impl Into<String>, how_to_get_it: impl Into<String>) -> MissingEvidence {
    MissingEvidence { evidence: evidence.into(), how_to_get_it: how_to_get_it.into() }
}
