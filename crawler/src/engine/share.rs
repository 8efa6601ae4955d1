//! Which partitions a process takes and gives up, so that each process has its fair share.
//!
//! Called by `keeper`. Pure.

use std::collections::BTreeSet;

use crate::engine::names::Partition;

/// What one process sees of the others.
#[derive(Debug, Default)]
pub(super) struct View {
    /// The processes that work on the crawl.
    pub(super) members: BTreeSet<String>,
    /// The partitions that have hosts.
    pub(super) partitions: BTreeSet<Partition>,
    /// The partitions that some process has leased.
    pub(super) leased: BTreeSet<Partition>,
}

/// What to do about it.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) take: Vec<Partition>,
    pub(super) give_up: Vec<Partition>,
}

/// How many of `partitions` the process `me` should have. The shares of all members add up to all partitions.
fn share(members: &BTreeSet<String>, me: &str, partitions: usize) -> usize {
    let others = members.iter().filter(|member| *member != me);
    let (number, before) =
        others.fold((1, 0), |(number, before), member| (number + 1, before + usize::from(&**member < me)));
    partitions / number + usize::from(before < partitions % number)
}

/// Plans for the process `me`, which has the leases `mine`. Processes begin to take at different partitions, so that they do
/// not all try the same ones first.
pub(super) fn plan(view: &View, me: &str, mine: &BTreeSet<Partition>) -> Plan {
    let share = share(&view.members, me, view.partitions.len());
    if mine.len() > share {
        // The largest numbers, so that a plan that is made again is the same.
        return Plan { take: Vec::new(), give_up: mine.iter().rev().take(mine.len() - share).copied().collect() };
    }
    let free: Vec<Partition> = view
        .partitions
        .iter()
        .filter(|&partition| !view.leased.contains(partition) && !mine.contains(partition))
        .copied()
        .collect();
    let first = me.bytes().map(usize::from).sum::<usize>() % free.len().max(1);
    let take = free[first..].iter().chain(&free[..first]).take(share - mine.len()).copied().collect();
    Plan { take, give_up: Vec::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(members: &[&str], partitions: u8, leased: &[Partition]) -> View {
        View {
            members: members.iter().map(|&member| member.to_owned()).collect(),
            partitions: (0..partitions).collect(),
            leased: leased.iter().copied().collect(),
        }
    }

    #[test]
    fn the_shares_of_all_members_add_up_to_all_partitions() {
        for partitions in [0, 1, 4, 7, 64] {
            for members in [&["a"][..], &["a", "b"], &["a", "b", "c"], &["a", "b", "c", "d", "e"]] {
                let set = view(members, 0, &[]).members;
                let shares: Vec<usize> = members.iter().map(|me| share(&set, me, partitions)).collect();
                assert_eq!(shares.iter().sum::<usize>(), partitions);
                assert!(shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1, "{shares:?}");
            }
        }
    }

    #[test]
    fn a_member_that_is_not_registered_yet_counts() {
        assert_eq!(share(&BTreeSet::new(), "me", 64), 64);
        assert_eq!(share(&BTreeSet::from(["other".to_owned()]), "me", 64), 32);
    }

    #[test]
    fn members_that_plan_in_turn_end_with_their_shares() {
        let members = ["a", "b", "c"];
        let mut leases: Vec<BTreeSet<Partition>> = vec![(0..8).collect(), BTreeSet::new(), BTreeSet::new()];
        for _round in 0..3 {
            for (index, me) in members.iter().enumerate() {
                let leased: Vec<Partition> = leases.iter().flatten().copied().collect();
                let plan = plan(&view(&members, 8, &leased), me, &leases[index]);
                assert!(plan.take.iter().all(|partition| !leased.contains(partition)));
                leases[index].extend(plan.take);
                leases[index].retain(|partition| !plan.give_up.contains(partition));
            }
        }
        let mut sizes: Vec<usize> = leases.iter().map(BTreeSet::len).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [2, 3, 3]);
    }

    #[test]
    fn a_partition_without_a_host_is_leased_by_no_process() {
        assert_eq!(plan(&view(&["a"], 0, &[]), "a", &BTreeSet::new()), Plan::default());
    }

    #[test]
    fn a_single_partition_stays_where_it_is_only_with_the_member_whose_share_it_is() {
        let view = view(&["a", "b"], 1, &[0]);
        assert_eq!(plan(&view, "a", &BTreeSet::new()), Plan::default());
        assert_eq!(plan(&view, "b", &BTreeSet::from([0])).give_up, [0]);
    }
}
