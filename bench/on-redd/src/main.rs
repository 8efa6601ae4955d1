//! The workloads on redd.

#[path = "../../workloads/mod.rs"]
mod workloads;

fn main() {
    workloads::main();
}
