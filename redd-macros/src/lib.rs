//! Procedural macros of redd.
