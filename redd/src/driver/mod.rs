//! What a worker parks in.

#[derive(Debug)]
pub(crate) struct Driver;
