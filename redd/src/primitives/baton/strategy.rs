//! How the choices of a world are made: in the plain order, at random, by priorities, with a few delays, or as a tape says.
//!
//! Called by `schedule`, for every choice.
//!
//! # Invariants
//! - `first-is-plain`: the candidates of a choice stand in the order in which they became ready, and 0 is the plain choice. A thread that
//!   could go on stands before those, 64 times in a row.
//! - `no-starvation`: under each strategy, a candidate that is always ready is chosen at some time.
//!
//! # Sources
//! - Priorities: Burckhardt, Kothari, Musuvathi and Nagarakatte, "A randomized scheduler with probabilistic guarantees of finding bugs",
//!   ASPLOS 2010.
//! - Delays: Emmi, Qadeer and Rakamarić, "Delay-bounded scheduling", POPL 2011.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::events::mixed;
use super::tape::{ChoiceKind, Deviation, Tape};
use crate::primitives::count::PlainCount;
use crate::primitives::rng::Rng;

/// How a world explores the orders of its threads and tasks.
///
/// Each strategy has a text for [`REDD_EXPLORE`](crate::sim#variables): `plain`, `random`, `pct:3`, `delay:2`.
///
/// # Examples
/// ```
/// use redd::sim::Explore;
///
/// assert_eq!("pct:5".parse(), Ok(Explore::Pct { depth: 5 }));
/// assert_eq!(Explore::Delay { budget: 2 }.to_string(), "delay:2");
/// assert!("chaos".parse::<Explore>().unwrap_err().to_string().contains("delay:2"));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Explore {
    /// Tasks and threads run in the order in which they became ready. A thread runs until it waits, or until it has passed 64 points at
    /// which another one could run. No [`chance`](crate::sim::chance) below 100 % is true.
    Plain,
    /// Each choice is uniformly random. This is the default.
    #[default]
    Random,
    /// Each thread and task has a random priority, and the one with the highest runs. At `depth - 1` random steps the one that would
    /// run next is moved below all those that were not moved.
    ///
    /// It finds bugs that need a task to be much slower than all others, which a uniformly random order almost never has. This is PCT, by
    /// Burckhardt, Kothari, Musuvathi and Nagarakatte (ASPLOS 2010). There is one addition, against starvation: a task or thread that was
    /// preferred 64 times gets the lowest priority.
    Pct {
        /// How many ordering constraints the bug needs. 3 finds most bugs.
        depth: u32,
    },
    /// The plain order with at most `budget` deviations at random steps. Chances and other numbers are random.
    ///
    /// Its failures are easy to understand. This is delay-bounded scheduling, by Emmi, Qadeer and Rakamarić (POPL 2011).
    Delay {
        /// The number of deviations.
        budget: u32,
    },
}

impl Explore {
    const DEPTH: u32 = 3;
    const BUDGET: u32 = 2;
}

impl fmt::Display for Explore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain => f.write_str("plain"),
            Self::Random => f.write_str("random"),
            Self::Pct { depth } => write!(f, "pct:{depth}"),
            Self::Delay { budget } => write!(f, "delay:{budget}"),
        }
    }
}

impl FromStr for Explore {
    type Err = ExploreError;

    /// # Errors
    /// If the text names no strategy.
    fn from_str(text: &str) -> Result<Self, ExploreError> {
        let error = || ExploreError(text.to_owned());
        let number = |text: &str| text.parse().ok().filter(|number| *number > 0).ok_or_else(error);
        match text.split_once(':') {
            None if text == "plain" => Ok(Self::Plain),
            None if text == "random" => Ok(Self::Random),
            None if text == "pct" => Ok(Self::Pct { depth: Self::DEPTH }),
            None if text == "delay" => Ok(Self::Delay { budget: Self::BUDGET }),
            Some(("pct", depth)) => Ok(Self::Pct { depth: number(depth)? }),
            Some(("delay", budget)) => Ok(Self::Delay { budget: number(budget)? }),
            _ => Err(error()),
        }
    }
}

/// The error of a text that names no [`Explore`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExploreError(String);

impl fmt::Display for ExploreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} is no strategy. The strategies are `plain`, `random`, `pct:3` (the depth) and `delay:2` (the number of deviations); \
             numbers are above 0",
            self.0
        )
    }
}

impl std::error::Error for ExploreError {}

/// What a world is to do: its seed and how its choices are made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) explore: Explore,
    /// Replaces the strategy.
    pub(crate) tape: Option<Tape>,
    /// Keeps all events, and says in words what the deviations are.
    pub(crate) keeps_events: bool,
    pub(crate) keeps_tape: bool,
    /// A deviation of the tape is not for the step with its number, but for a choice of its kind: for the third choice among five
    /// threads, for example. So it keeps its meaning if others before it are gone.
    pub(crate) by_kind: bool,
}

/// The choices of a run that were made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choices {
    /// How many there were.
    pub(crate) count: u64,
    pub(crate) tape: Tape,
    /// What each deviation of the tape means, if events are kept.
    pub(crate) words: Vec<String>,
    /// How the tape that was replayed does not fit the program.
    pub(crate) misfit: Option<String>,
}

/// Something that can be chosen. Its number does not change during a run.
pub(super) type Candidate = u64;

/// The candidate that is a task with this number. Threads are candidates by their own numbers.
pub(super) fn task_candidate(number: u32) -> Candidate {
    1 << 32 | u64::from(number)
}

/// Random steps are below 2 to the power of a scale, which is at least [`SCALE_MIN`].
const SCALE_MIN: u32 = 2;
const SCALES: u32 = 13;
/// As many random steps as there are different ones. More would only cost memory.
const STEPS_MAX: u32 = 1 << (SCALE_MIN + SCALES - 1);

/// Steps at which something is done, the next one last. The length of the run is not known in advance, so the seed chooses its order of
/// magnitude: one of few choices more often than one of thousands.
fn random_steps(rng: &Rng, count: u32) -> Vec<u64> {
    let scale = SCALE_MIN + rng.below(SCALES).min(rng.below(SCALES));
    let mut steps: Vec<_> = (0..count.min(STEPS_MAX)).map(|_| u64::from(rng.below(1 << scale))).collect();
    steps.sort_unstable_by(|one, other| other.cmp(one));
    steps
}

/// Takes all steps up to `now` from the list. Returns how many there were.
fn take_due(steps: &mut Vec<u64>, now: u64) -> usize {
    let len = steps.len();
    while steps.last().is_some_and(|step| *step <= now) {
        steps.pop();
    }
    len - steps.len()
}

/// A candidate is moved below all others after it was preferred so often (`no-starvation`). That a task yields is no reason: programs
/// yield where a message would take its time, and the orders of these steps are to be explored.
const PREFERRED_MAX: u32 = 64;

/// Priorities that a change point gives are below this number, and above those of candidates that were preferred too often.
const CHANGED_MAX: i64 = 1 << 40;

#[derive(Debug)]
struct Standing {
    priority: i64,
    /// How often it was preferred to others since it was last moved.
    preferred: u32,
}

/// The priorities of threads and tasks.
#[derive(Debug)]
struct Priorities {
    seed: u64,
    change_points: Vec<u64>,
    standings: BTreeMap<Candidate, Standing>,
    /// Below all priorities that were given.
    floor: i64,
}

impl Priorities {
    fn new(rng: &Rng, depth: u32) -> Self {
        let seed = rng.next_u64();
        let change_points = random_steps(rng, depth.saturating_sub(1));
        Self { seed, change_points, standings: BTreeMap::new(), floor: 0 }
    }

    fn standing(&mut self, candidate: Candidate) -> &mut Standing {
        let initial = (mixed(self.seed ^ mixed(candidate)) >> 1) as i64 | CHANGED_MAX;
        self.standings.entry(candidate).or_insert(Standing { priority: initial, preferred: 0 })
    }

    fn highest(&mut self, candidates: &[Candidate]) -> usize {
        let best = (0..candidates.len()).rev().max_by_key(|index| self.standing(candidates[*index]).priority);
        best.unwrap_or_default()
    }

    /// Chooses one at the choice of an order with this number.
    fn choose(&mut self, rng: &Rng, number: u64, candidates: &[Candidate]) -> usize {
        for _ in 0..take_due(&mut self.change_points, number) {
            let moved = self.highest(candidates);
            let priority = (rng.next_u64() % CHANGED_MAX as u64) as i64;
            *self.standing(candidates[moved]) = Standing { priority, preferred: 0 };
        }
        let chosen = self.highest(candidates);
        let standing = self.standing(candidates[chosen]);
        standing.preferred += 1;
        if standing.preferred == PREFERRED_MAX {
            self.move_down(candidates[chosen]);
        }
        chosen
    }

    /// Gives the candidate the lowest priority.
    fn move_down(&mut self, candidate: Candidate) {
        self.floor -= 1;
        let priority = self.floor;
        *self.standing(candidate) = Standing { priority, preferred: 0 };
    }
}

/// A tape that is replayed.
#[derive(Debug)]
struct Replay {
    /// The next one last.
    left: Vec<Deviation>,
    by_kind: bool,
    misfit: Option<String>,
}

impl Replay {
    fn new(tape: &Tape, by_kind: bool) -> Self {
        Self { left: tape.deviations.iter().rev().copied().collect(), by_kind, misfit: None }
    }

    /// The deviation for a choice, if there is one. `nth` is the number of choices of its kind before it.
    fn choose(&mut self, step: u64, nth: u64, kind: ChoiceKind, bound: usize) -> usize {
        if self.by_kind {
            let is_meant = |left: &Deviation| left.among == Some((bound as u32, kind)) && left.nth == nth;
            return self.left.iter().position(is_meant).map_or(0, |at| self.left.remove(at).value as usize);
        }
        let Some(deviation) = self.left.last().copied().filter(|next| next.step == step) else { return 0 };
        self.left.pop();
        let fits =
            (deviation.value as usize) < bound && deviation.among.is_none_or(|among| among == (bound as u32, kind));
        if !fits && self.misfit.is_none() {
            let was = match deviation.among {
                Some((bound, kind)) => format!("is for a choice {} among {bound}", kind.text()),
                None => "has a value that the step does not have".to_owned(),
            };
            let text = kind.text();
            self.misfit =
                Some(format!("the item `{deviation}` of the tape {was}; step {step} is a choice {text} among {bound}"));
        }
        // What does not fit is still a deviation: a shrinker tries tapes that were not recorded.
        1 + (deviation.value as usize - 1) % (bound - 1)
    }

    fn misfit(&self, steps: u64) -> Option<String> {
        let after_end = || {
            let next = self.left.last()?;
            Some(format!(
                "the item `{next}` of the tape is for a choice after the end: the run had {}",
                PlainCount(steps, "choice", "choices")
            ))
        };
        self.misfit.clone().or_else(after_end)
    }
}

#[derive(Debug)]
enum Rule {
    Plain,
    Random,
    Priorities(Priorities),
    /// The choices of an order that deviate, the next one last.
    Delays(Vec<u64>),
    Replay(Replay),
}

/// Makes the choices of a world.
#[derive(Debug)]
pub(super) struct Strategy {
    rng: Rng,
    rule: Rule,
    /// How many choices there were.
    steps: u64,
    /// How many of them decided an order.
    orders: u64,
    kept: Option<Vec<Deviation>>,
    /// How many choices of each kind, among how many, there were. Only if a tape is kept or replayed by kind.
    kinds: BTreeMap<(u32, ChoiceKind), u64>,
    words: Option<Vec<String>>,
    /// The last call has made a choice that deviates.
    has_deviated: bool,
}

impl Strategy {
    pub(super) fn new(plan: &Plan) -> Self {
        let rng = Rng::new(plan.seed);
        let rule = match (&plan.tape, plan.explore) {
            (Some(tape), _) => Rule::Replay(Replay::new(tape, plan.by_kind)),
            (None, Explore::Plain) => Rule::Plain,
            (None, Explore::Random) => Rule::Random,
            (None, Explore::Pct { depth }) => Rule::Priorities(Priorities::new(&rng, depth)),
            (None, Explore::Delay { budget }) => Rule::Delays(random_steps(&rng, budget)),
        };
        let keeps_tape = plan.keeps_tape || plan.keeps_events || plan.tape.is_some();
        let words = plan.keeps_events.then(Vec::new);
        Self {
            rng,
            rule,
            steps: 0,
            orders: 0,
            kept: keeps_tape.then(Vec::new),
            kinds: BTreeMap::new(),
            words,
            has_deviated: false,
        }
    }

    /// Whether choices need to know their candidates.
    pub(super) fn ranks(&self) -> bool {
        matches!(self.rule, Rule::Priorities(_))
    }

    /// Makes a choice below `bound`. `candidates` may be empty if [`ranks`](Self::ranks) is false.
    pub(super) fn choose(&mut self, kind: ChoiceKind, bound: usize, candidates: &[Candidate]) -> usize {
        self.has_deviated = false;
        if bound < 2 {
            return 0;
        }
        let nth = self.nth(kind, bound);
        let random = || self.rng.below(bound as u32) as usize;
        let chosen = match &mut self.rule {
            Rule::Plain => 0,
            Rule::Random => random(),
            Rule::Replay(replay) => replay.choose(self.steps, nth, kind, bound),
            Rule::Priorities(_) | Rule::Delays(_) if !kind.is_order() => random(),
            Rule::Priorities(priorities) if candidates.len() == bound => {
                priorities.choose(&self.rng, self.orders, candidates)
            }
            Rule::Priorities(_) => random(),
            Rule::Delays(steps) => match take_due(steps, self.orders) {
                0 => 0,
                _ => 1 + self.rng.below(bound as u32 - 1) as usize,
            },
        };
        self.made(kind, bound, chosen)
    }

    /// Whether something happens that does so in `percent` of all cases.
    pub(super) fn chance(&mut self, percent: u8) -> bool {
        self.has_deviated = false;
        if percent == 0 || percent >= 100 {
            return percent > 0;
        }
        let nth = self.nth(ChoiceKind::Chance, 2);
        let happens = match &mut self.rule {
            Rule::Plain => false,
            Rule::Replay(replay) => replay.choose(self.steps, nth, ChoiceKind::Chance, 2) == 1,
            Rule::Random | Rule::Priorities(_) | Rule::Delays(_) => self.rng.below(100) < u32::from(percent),
        };
        self.made(ChoiceKind::Chance, 2, usize::from(happens)) == 1
    }

    /// How many choices like this one there were. Only if they are counted.
    fn nth(&self, kind: ChoiceKind, bound: usize) -> u64 {
        self.kinds.get(&(bound as u32, kind)).copied().unwrap_or_default()
    }

    fn made(&mut self, kind: ChoiceKind, bound: usize, chosen: usize) -> usize {
        self.has_deviated = chosen > 0;
        if let Some(kept) = &mut self.kept {
            let among = (bound as u32, kind);
            let nth = self.kinds.entry(among).or_default();
            if self.has_deviated {
                kept.push(Deviation { step: self.steps, value: chosen as u32, among: Some(among), nth: *nth });
            }
            *nth += 1;
        }
        self.steps += 1;
        self.orders += u64::from(kind.is_order());
        chosen
    }

    /// Says what the last choice means, if that is kept. Does nothing if the choice was the plain one.
    pub(super) fn describe(&mut self, describe: &dyn Fn() -> String) {
        if let (true, Some(words), Some(kept)) = (self.has_deviated, &mut self.words, &self.kept) {
            words.resize(kept.len(), String::new());
            if let Some(last) = words.last_mut() {
                *last = describe();
            }
        }
    }

    /// The choices so far.
    pub(super) fn choices(&self) -> Choices {
        let misfit = match &self.rule {
            Rule::Replay(replay) => replay.misfit(self.steps),
            Rule::Plain | Rule::Random | Rule::Priorities(_) | Rule::Delays(_) => None,
        };
        let tape = Tape { deviations: self.kept.clone().unwrap_or_default() };
        let mut words = self.words.clone().unwrap_or_default();
        words.resize(if self.words.is_some() { tape.len() } else { 0 }, String::new());
        Choices { count: self.steps, tape, words, misfit }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strategy(seed: u64, explore: Explore) -> Strategy {
        Strategy::new(&Plan { seed, explore, keeps_tape: true, ..Plan::default() })
    }

    const ALL: [Explore; 4] =
        [Explore::Plain, Explore::Random, Explore::Pct { depth: 3 }, Explore::Delay { budget: 2 }];

    /// A queue whose first `chosen` candidates go to its end, as that of a worker.
    fn run(strategy: &mut Strategy, mut queue: Vec<Candidate>, turns: usize) -> Vec<Candidate> {
        let mut order = Vec::new();
        for _ in 0..turns {
            let chosen = strategy.choose(ChoiceKind::Task, queue.len(), &queue);
            queue.rotate_left(chosen);
            order.push(queue[0]);
            queue.rotate_left(1); // It is ready again.
        }
        order
    }

    #[test]
    fn a_strategy_is_written_as_it_is_read() {
        for explore in ALL {
            assert_eq!(explore.to_string().parse(), Ok(explore));
        }
        assert_eq!("pct".parse(), Ok(Explore::Pct { depth: 3 }));
        assert_eq!("delay".parse(), Ok(Explore::Delay { budget: 2 }));
        for wrong in ["", "pct:", "pct:0", "delay:x", "plain:1", "Random"] {
            assert!(wrong.parse::<Explore>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn each_strategy_is_a_function_of_its_seed_and_its_tape_repeats_it() {
        for explore in ALL {
            for seed in 0..50 {
                let (mut one, mut other) = (strategy(seed, explore), strategy(seed, explore));
                let order = run(&mut one, vec![1, 2, 3, 4], 100);
                assert_eq!(order, run(&mut other, vec![1, 2, 3, 4], 100));
                let tape = one.choices().tape;
                let plan = Plan { tape: Some(tape.to_string().parse().expect("a tape")), ..Plan::default() };
                let mut again = Strategy::new(&plan);
                assert_eq!(order, run(&mut again, vec![1, 2, 3, 4], 100), "{explore} {seed}");
                assert_eq!(again.choices().misfit, None);
            }
        }
    }

    #[test]
    fn the_plain_order_is_a_queue_and_delays_deviate_from_it_at_most_so_often() {
        let plain = run(&mut strategy(1, Explore::Plain), vec![1, 2, 3], 7);
        assert_eq!(plain, [1, 2, 3, 1, 2, 3, 1]);
        let mut most = 0;
        for seed in 0..1000 {
            let mut strategy = strategy(seed, Explore::Delay { budget: 2 });
            run(&mut strategy, vec![1, 2, 3], 1 << 10);
            most = most.max(strategy.choices().tape.len());
        }
        assert_eq!(most, 2);
    }

    #[test]
    fn no_candidate_starves_under_any_strategy() {
        for explore in ALL {
            for seed in 0..100 {
                let order = run(&mut strategy(seed, explore), vec![1, 2, 3], 1000);
                for candidate in 1..=3 {
                    assert!(order.iter().filter(|chosen| **chosen == candidate).count() > 50, "{explore} {seed}");
                }
            }
        }
    }

    #[test]
    fn the_highest_priority_runs_until_it_was_preferred_too_often() {
        for seed in 0..50 {
            let mut strategy = strategy(seed, Explore::Pct { depth: 1 });
            let order: Vec<_> = (0..192).map(|_| strategy.choose(ChoiceKind::Task, 3, &[7, 8, 9])).collect();
            let turns: Vec<_> = order.chunk_by(|one, other| one == other).map(<[usize]>::len).collect();
            assert_eq!(turns, [64; 3]);
        }
    }

    #[test]
    fn change_points_move_the_preferred_candidate_in_some_seed_at_each_step() {
        let changed = |seed| {
            let mut strategy = strategy(seed, Explore::Pct { depth: 2 });
            let order: Vec<_> = (0..16).map(|_| strategy.choose(ChoiceKind::Task, 2, &[7, 8])).collect();
            order.iter().position(|chosen| *chosen != order[0])
        };
        let found: std::collections::BTreeSet<_> = (0..1000).filter_map(changed).collect();
        assert_eq!(found, (1..16).collect());
    }

    #[test]
    fn chances_are_random_except_in_the_plain_order_and_sure_ones_are_no_choices() {
        for explore in ALL {
            let mut strategy = strategy(3, explore);
            assert!(strategy.chance(100) && !strategy.chance(0));
            assert_eq!(strategy.choices().count, 0);
            let happened = (0..1000).filter(|_| strategy.chance(20)).count();
            if explore == Explore::Plain {
                assert_eq!(happened, 0);
            } else {
                assert!((100..300).contains(&happened), "{explore}: {happened}");
            }
        }
    }

    #[test]
    fn a_tape_that_does_not_fit_says_where() {
        let replay = |tape: &str, steps: usize| {
            let tape = Some(tape.parse().expect("a tape"));
            let mut strategy = Strategy::new(&Plan { tape, ..Plan::default() });
            run(&mut strategy, vec![1, 2, 3], steps);
            strategy.choices().misfit
        };
        assert_eq!(replay("2:1/3t,3:2", 4), None);
        assert_eq!(
            replay("2:1/4t", 4).as_deref(),
            Some(
                "the item `2:1/4t` of the tape is for a choice of a task among 4; step 2 is a choice of a task among 3"
            )
        );
        assert!(replay("2:3", 4).is_some_and(|text| text.starts_with("the item `2:3` of the tape has a value")));
        assert!(replay("2:1,4:1", 4).is_some_and(|text| text.contains("`4:1`") && text.contains("4 choices")));
    }
}
