//! The servers on tokio.

#[path = "../../servers/mod.rs"]
mod servers;

fn main() {
    servers::main();
}
