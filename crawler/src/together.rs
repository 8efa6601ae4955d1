//! `--frontier`, `redd-crawl report` and `redd-crawl status`: what the command line asks of a crawl that processes share.
//!
//! Called by `main`.

use std::time::Duration;

use url::Url;

use crate::arguments::Arguments;
use crate::cluster::{self, Cluster};
use crate::cluster_report;
use crate::crawl::request_interval;
use crate::delivery::{Delivery, Order, print};
use crate::engine::address::FrontierAddress;
use crate::engine::start_over;
use crate::exit::{EarlyExit, ExitStatus};
use crate::fold::Plan;
use crate::interrupt::Interrupts;
use crate::options::{Format, ProgressKind};
use crate::progress::{Progress, Verbosity};
use crate::work::Work;

/// Joins the processes that crawl together.
///
/// # Errors
/// If that is not possible. The message says how to fix it.
pub(crate) async fn join(
    arguments: &Arguments,
    address: &FrontierAddress,
    plan: &Plan,
    progress: &Progress,
) -> Result<Work, EarlyExit> {
    let name = cluster::name_of(address, plan);
    if let Some(file) = plan.starts.iter().find(|start| start.starts_with("file:")) {
        return Err(EarlyExit::usage(format!(
            "{file} cannot be a start with --frontier: the other processes may be on other machines. Serve it over HTTP"
        )));
    }
    if arguments.fresh {
        start_over(address, &name).await.map_err(EarlyExit::usage)?;
    }
    let rate = arguments.settings.rate;
    let interval = move |origin: &str| Url::parse(origin).map_or(Duration::ZERO, |url| request_interval(rate, &url));
    let cluster = Cluster::join(address.clone(), plan, interval).await.map_err(EarlyExit::usage)?;
    if arguments.verbosity != Verbosity::Quiet {
        progress.line(&format!("Crawls together with the other processes of {}/{name}", address.server()));
    }
    Ok(Work::Cluster(Box::new(cluster)))
}

/// `redd-crawl report`: prints what the processes of a crawl have found so far.
///
/// # Errors
/// If that cannot be read.
pub(crate) async fn report(address: FrontierAddress, format: Format) -> Result<ExitStatus, EarlyExit> {
    let mut interrupts = Interrupts::listen()
        .map_err(|error| EarlyExit::incomplete(format!("the signals cannot be listened to: {error}")))?;
    let (outcome, starts) = redd::select! {
        read = cluster_report::outcome_of(&address) => read?,
        () = interrupts.recv() => {
            return Err(EarlyExit::incomplete("interrupted: the report was not read".to_owned()));
        }
    };
    let order = Order { files: Vec::new(), format, has_checksums: false, compare: None, starts };
    let delivery = Delivery::prepare(order, &mut interrupts).await?;
    let progress = Progress::new(Verbosity::Quiet, ProgressKind::Never);
    Ok(delivery.deliver(&outcome, &progress, &mut interrupts).await.exit)
}

/// `redd-crawl status`: prints which processes work on a crawl, and on what.
///
/// # Errors
/// If the server does not say so.
pub(crate) async fn status(address: FrontierAddress, format: Format) -> Result<ExitStatus, EarlyExit> {
    let text = match format {
        Format::Text => cluster_report::to_text(&cluster_report::status_of(&address).await?),
        Format::Json => format!("{:#}\n", serde_json::json!(cluster_report::status_of(&address).await?)),
        Format::Csv | Format::Junit | Format::Markdown | Format::Sarif | Format::Html => {
            return Err(EarlyExit::usage("a status is text or JSON: give --format text or --format json".to_owned()));
        }
    };
    print(text.as_bytes())?;
    Ok(ExitStatus::Clean)
}
