//! The only code that speaks to a cloud's API, with the controller's own credentials.
//!
//! It asks what is in front of a node, and adds or takes away one rule of a security group. It can do nothing else there: there is no
//! call that starts, stops, deletes or attaches anything.

mod answer;
mod aws;
mod credentials;
mod error;
mod rules;

pub use aws::{Aws, AwsConfig};
pub use error::CloudError;
pub use rules::{Opening, Rule, RuleId};
