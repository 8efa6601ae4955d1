//! The workloads on smol.

#[path = "../../workloads/mod.rs"]
mod workloads;

fn main() {
    workloads::main();
}
