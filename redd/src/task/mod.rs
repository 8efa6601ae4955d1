//! One task: its memory, its state, its handles.

mod budget;

pub mod coop {
    //! Cooperative scheduling: how long a task may run before it lets others run.

    pub use super::budget::{
        Coop, RestoreOnPending, Unconstrained, consume_budget, cooperative, has_budget_remaining,
        poll_proceed, unconstrained,
    };
}
pub use budget::{Unconstrained, consume_budget, unconstrained};
