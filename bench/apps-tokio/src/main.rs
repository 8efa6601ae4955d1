//! The programs on Tokio.

#[path = "../../apps/mod.rs"]
mod apps;

fn main() {
    apps::main();
}
