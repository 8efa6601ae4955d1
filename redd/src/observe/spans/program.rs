//! The spans of the program, which its tasks may inherit. With the feature `tracing`.
//!
//! Called by `task::inherited`.

use tracing::Span;

use crate::primitives::user_code::guarded;

/// The names of the spans that redd makes.
const OF_REDD: [&str; 4] =
    ["runtime.spawn", "runtime.resource", "runtime.resource.async_op", "runtime.resource.async_op.poll"];

/// A span that the program has made.
pub(crate) struct ProgramSpan(Span);

impl ProgramSpan {
    /// The span that is current on this thread. `None` if redd has made it: if a task inherited the span of another one, its
    /// polls would be counted as those of that one.
    pub(crate) fn current() -> Option<Self> {
        let span = Span::current();
        let name = span.metadata().map(tracing::Metadata::name);
        let is_of_program = !span.is_disabled() && name.is_some_and(|name| !OF_REDD.contains(&name));
        is_of_program.then_some(Self(span))
    }

    pub(crate) fn enter(&self) {
        guarded(|| self.0.with_subscriber(|(id, subscriber)| subscriber.enter(id)));
    }

    pub(crate) fn exit(&self) {
        guarded(|| self.0.with_subscriber(|(id, subscriber)| subscriber.exit(id)));
    }
}
