//! Which task runs next, and on which thread.
