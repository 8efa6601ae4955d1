//! The floors of workloads: the same work with std, in a loop on one thread.

#[path = "../../workloads/costs.rs"]
mod costs;
#[path = "../../workloads/floors.rs"]
mod floors;
#[path = "../../workloads/row.rs"]
mod row;
#[path = "../../workloads/scratch.rs"]
mod scratch;

fn main() {
    row::main(floors::ROWS.to_vec());
}
