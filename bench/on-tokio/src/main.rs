//! The workloads on tokio.

#[path = "../../workloads/mod.rs"]
mod workloads;

fn main() {
    workloads::main();
}
