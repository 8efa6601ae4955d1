//! How a crawl takes up what an earlier run of it has stored, and what it leaves to a later one.
//!
//! Called by `main`.

use redd::task::spawn_blocking;

use crate::arguments::Arguments;
use crate::delivery::print_to_stderr;
use crate::exit::EarlyExit;
use crate::fold::Plan;
use crate::outcome::Outcome;
use crate::progress::{Progress, Verbosity};
use crate::store::{self, Store};
use crate::store_file::StorePlace;
use crate::work::Work;
use crate::work_local::Local;

/// Opens the store and reads what it holds. Returns the work that is left.
///
/// # Errors
/// If the store cannot be used. The message says how to go on.
pub(crate) async fn take_up(
    arguments: &Arguments,
    plan: &Plan,
    progress: &mut Progress,
) -> Result<(Work, Option<Store>), EarlyExit> {
    // Files are read in no time, and are edited between two runs.
    let is_needless = arguments.store == StorePlace::Automatic && plan.has_only_files();
    let place = if is_needless { StorePlace::Off } else { arguments.store.clone() };
    let (identity, is_fresh) = (plan.identity(), arguments.fresh);
    let opened = spawn_blocking(move || store::open(&place, &identity, is_fresh)).await;
    let opened = opened.map_err(|error| EarlyExit::incomplete(format!("the store was not opened: {error}")))?;
    let (store, line) = opened?;
    if arguments.verbosity != Verbosity::Quiet {
        line.iter().for_each(|line| progress.line(line));
    }
    let local = match &store {
        Some(store) => Local::with_store(plan, store.clone()).await?,
        None => Local::new(plan),
    };
    progress.restore(local.fold().frontier().entries());
    Ok((Work::Local(Box::new(local)), store))
}

/// Removes the store if the crawl needs it no more. Otherwise says how to continue.
pub(crate) fn leave(store: Store, outcome: &Outcome, is_written: bool, verbosity: Verbosity) {
    if !(outcome.has_reached_all() && is_written) {
        if verbosity != Verbosity::Quiet {
            print_to_stderr(store.farewell());
        }
    } else if let Err(line) = store.remove() {
        print_to_stderr(&line);
    }
}
