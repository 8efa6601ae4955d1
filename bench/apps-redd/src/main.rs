//! The programs on redd, under the name of Tokio.

#[path = "../../apps/mod.rs"]
mod apps;

fn main() {
    apps::main();
}
