//! The servers on smol.

#[path = "../../servers/mod.rs"]
mod servers;

fn main() {
    servers::main();
}
