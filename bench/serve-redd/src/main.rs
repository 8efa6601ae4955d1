//! The servers on redd.

#[path = "../../servers/mod.rs"]
mod servers;

fn main() {
    servers::main();
}
