//! What an attach request gets to know of a runtime.
//!
//! Called by `lifecycle` when a runtime starts, and by `attach` when a client asks.

use std::fmt::Write as _;
use std::sync::{Arc, Weak};

use super::collect::describe_tasks;
use super::handle::Handle;
use super::top::{self, Samples};
use crate::attach::{self, Format, Observed, Sampler, json};
use crate::observe::coarse;
use crate::observe::debug_options::{AttachOption, LatePollOption, debug_options};
use crate::observe::metric_blocks::MetricBlocks;
use crate::observe::metrics::{RuntimeMetrics, open_metrics};
use crate::observe::recorder;
use crate::observe::task_info::TaskInfo;
use crate::scheduler::choices::Flavor;
use crate::scheduler::config::Config;
use crate::scheduler::rescue::options::Mode;
use crate::scheduler::rescue::stacks::{polled_tasks, polling_threads};
use crate::scheduler::shared::Shared;

/// Applies what the user has set in the environment.
pub(super) fn apply_debug_options(config: &mut Config) {
    if debug_options().no_overdue && config.on_overdue.is_none() {
        config.on_overdue = Some(Arc::new(|_| {}));
    }
    if config.baton.is_some() {
        return; // What the other options switch on looks from outside of the world.
    }
    if debug_options().no_diagnoses {
        (config.diagnose, config.is_watched) = (false, false);
    }
    let LatePollOption { is_off, report_after, with_stack } = debug_options().late_poll;
    if is_off && config.on_late_poll.is_none() {
        config.on_late_poll = Some(Arc::new(|_| {}));
    }
    let rescue = &mut config.rescue;
    if let Some(time) = report_after {
        rescue.report_after = time;
    }
    rescue.with_stack |= with_stack;
    if rescue.mode == Mode::Off && (report_after.is_some() || with_stack) {
        rescue.mode = Mode::Report;
    }
}

/// Lets attach requests see the runtime, if its builder allows it.
///
/// The thread for requests is started here for a runtime that starts threads anyway. A current-thread runtime starts it once it is
/// old enough, so that a short one stays on one thread.
pub(super) fn begin(shared: &Arc<Shared>) {
    let is_seen = shared.config.observe;
    shared.listed.get_or_init(|| {
        if is_seen { attach::list(Arc::downgrade(shared) as Weak<dyn Observed>) } else { attach::count_hidden() }
    });
    if is_seen {
        recorder::enable();
        recorder::tell_new_runtime(|is_full| shared.instrumentation.set_recorded(is_full));
    }
    let options = debug_options();
    let is_asked_for = options.attach == AttachOption::AtOnce || options.dump_on.is_some();
    if is_seen && (is_asked_for || shared.config.flavor == Flavor::MultiThread) {
        attach::listen();
    }
}

impl Observed for Shared {
    fn write_members(&self, out: &mut String) {
        let (id, kind, workers, tasks) = (self.id, self.kind(), self.config.workers, self.slab.alive());
        // A write to a string does not fail, here and below.
        let _ = write!(out, "\"id\":{id},\"name\":");
        json::write_optional(out, self.config.name.as_deref());
        let _ = write!(out, ",\"kind\":\"{kind}\",\"workers\":{workers},\"tasks\":{tasks}");
    }

    fn write_heading(&self, out: &mut String) {
        let (id, kind, workers, tasks) = (self.id, self.kind(), self.config.workers, self.slab.alive());
        let name = self.config.name.as_ref().map(|name| format!(" `{}`", name.escape_debug())).unwrap_or_default();
        let _ = writeln!(out, "runtime {id}{name}: {kind}, workers: {workers}, tasks: {tasks}");
    }

    fn write_dump(&self, out: &mut String, format: Format, is_whole: bool) {
        let dump = Handle { shared: self.arc() }.snapshot();
        let _ = match format {
            Format::Text if is_whole => write!(out, "{dump:#}"),
            Format::Text => write!(out, "{dump}"),
            Format::Tree => dump.write_tree(out, is_whole),
            Format::Json => {
                dump.write_json(out);
                Ok(())
            }
        };
    }

    fn write_stacks(&self, out: &mut String, task: Option<u64>) -> bool {
        coarse::refresh(); // The ages of tasks are those of now.
        let threads = polling_threads(self, task);
        for thread in &threads {
            let _ = write!(out, "{thread}");
        }
        match task {
            None if threads.is_empty() => {
                out.push_str("No worker polls a task.\n");
                true
            }
            None => true,
            Some(_) if !threads.is_empty() => true,
            Some(number) => {
                let dump = Handle { shared: self.arc() }.snapshot();
                let is_there = dump.write_task(out, number);
                if is_there {
                    out.push_str("    it is not polled now. A task that waits has no stack\n");
                }
                is_there
            }
        }
    }

    fn sampler(self: Arc<Self>) -> Box<dyn Sampler> {
        Box::new(TaskSampler { shared: self, samples: Samples::new() })
    }

    fn set_recorded(&self, is_recorded: bool) {
        self.instrumentation.set_recorded(is_recorded);
    }

    fn tasks(&self) -> Vec<TaskInfo> {
        describe_tasks(self)
    }

    fn add_metrics(&self, blocks: &mut MetricBlocks) {
        open_metrics::add(blocks, &RuntimeMetrics::new(self.arc()));
    }
}

struct TaskSampler {
    shared: Arc<Shared>,
    samples: Samples,
}

impl Sampler for TaskSampler {
    fn sample(&mut self) {
        for task in polled_tasks(&self.shared) {
            *self.samples.entry(task).or_default() += 1;
        }
    }

    fn write_members(&self, out: &mut String) {
        coarse::refresh();
        top::write(out, &self.shared, &RuntimeMetrics::new(Arc::clone(&self.shared)), &self.samples);
    }
}

impl Shared {
    fn kind(&self) -> &'static str {
        match self.config.flavor {
            Flavor::MultiThread => "multi-thread",
            Flavor::CurrentThread => "current-thread",
            Flavor::Local => "local",
        }
    }
}
