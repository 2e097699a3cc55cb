//! Every invariant a few times, with every change; `make prove` tries each as often as a release asks for.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "helpers of tests")]

use std::time::{SystemTime, UNIX_EPOCH};

use prove::{ALL, Report, Run};

/// With another seed every time; it is printed with what fails.
fn a_few(id: &str) {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| u64::from(time.subsec_nanos()));
    let invariant = ALL.iter().find(|invariant| invariant.id == id).unwrap();
    let report = Report::of(invariant, &Run::new(seed, invariant.few, None, false));
    eprintln!("seed {seed}\n{}", report.details());
    assert!(report.failures.is_empty(), "{}", report.details());
}

macro_rules! each {
    ($($name:ident: $id:literal;)*) => {
        $(#[test]
        fn $name() {
            a_few($id);
        })*

        #[test]
        fn none_is_left_out() {
            assert_eq!(ALL.iter().map(|invariant| invariant.id).collect::<Vec<_>>(), [$($id),*]);
        }
    };
}

each! {
    no_plan_acts_twice: "I1";
    no_plan_acts_after_it_has_expired: "I2";
    no_plan_acts_where_the_node_is_not_as_it_says: "I3";
    only_what_is_signed_acts: "I4";
    a_controller_that_was_taken_over_changes_nothing: "I5";
    what_is_not_confirmed_because_contact_is_lost_is_undone: "I12";
    what_is_not_confirmed_is_undone_whoever_has_died: "I13";
    no_secret_leaves_the_node: "I19";
    nothing_acts_on_a_terminal: "I20";
    no_shell_is_executed: "I21";
    what_the_controller_carries_out_itself_is_done_once: "C1";
}
