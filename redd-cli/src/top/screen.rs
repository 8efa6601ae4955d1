//! The view on a terminal.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use ratatui::Frame;
use ratatui::crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Cell, Paragraph, Row as Cells, Table, TableState};

use super::snapshot::{COLUMNS, Row, Runtime, Snapshot, Sort, Worker};

/// What is shown, and how.
struct View {
    pid: u32,
    last: Snapshot,
    taken_at: Instant,
    /// The picture before, for rates.
    before: Option<(Snapshot, Instant)>,
    /// Which runtime.
    runtime: usize,
    sort: Sort,
    /// Single tasks instead of groups.
    shows_tasks: bool,
    details: Option<Details>,
    /// The task of the details, for the thread that asks. 0: there is none.
    looked_at: Arc<AtomicU64>,
    is_paused: bool,
    state: TableState,
    /// Why there are no more pictures.
    ended: Option<String>,
}

/// A task that is looked at closely.
struct Details {
    task: u64,
    /// `None` until it is there.
    text: Option<String>,
}

/// What the thread that asks has got.
struct Picture {
    snapshot: Snapshot,
    /// Of the task with this number.
    details: Option<(u64, String)>,
}

/// Shows the view until the user ends it. `look_at` describes one task.
pub(super) fn show(
    pid: u32,
    first: Snapshot,
    fetch: impl Fn() -> Result<Snapshot, String> + Send + 'static,
    look_at: impl Fn(u64) -> String + Send + 'static,
) -> Result<(), String> {
    let mut view = View::new(pid, first);
    let looked_at = Arc::clone(&view.looked_at);
    let pictures = fetch_all(move || {
        let snapshot = fetch()?;
        let task = looked_at.load(Ordering::Relaxed);
        Ok(Picture { snapshot, details: (task > 0).then(|| (task, look_at(task))) })
    });
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let result = view.run(&mut terminal, &pictures);
    ratatui::restore();
    result.map_err(|error| format!("the terminal cannot be used: {error}"))
}

/// Pictures, one after the other, until the view ends or the process does.
fn fetch_all(fetch: impl Fn() -> Result<Picture, String> + Send + 'static) -> Receiver<Result<Picture, String>> {
    let (sender, pictures) = channel();
    thread::spawn(move || {
        loop {
            let since = Instant::now();
            let picture = fetch();
            let is_last = picture.is_err();
            if sender.send(picture).is_err() || is_last {
                return;
            }
            thread::sleep(Duration::from_secs(1).saturating_sub(since.elapsed()));
        }
    });
    pictures
}

impl View {
    fn new(pid: u32, first: Snapshot) -> Self {
        Self {
            pid,
            last: first,
            taken_at: Instant::now(),
            before: None,
            runtime: 0,
            sort: Sort::Busy,
            shows_tasks: false,
            details: None,
            looked_at: Arc::default(),
            is_paused: false,
            state: TableState::default(),
            ended: None,
        }
    }

    fn run(
        &mut self,
        terminal: &mut ratatui::DefaultTerminal,
        pictures: &Receiver<Result<Picture, String>>,
    ) -> io::Result<()> {
        loop {
            while let Ok(picture) = pictures.try_recv() {
                self.take(picture);
            }
            terminal.draw(|frame| self.draw(frame))?;
            if event::poll(Duration::from_millis(100))? && !self.handle(&event::read()?) {
                return Ok(());
            }
        }
    }

    fn take(&mut self, picture: Result<Picture, String>) {
        if let (Some(details), Ok(Picture { details: Some((task, text)), .. })) = (&mut self.details, &picture) {
            // A task that was looked at before may come late.
            if *task == details.task {
                details.text = Some(text.clone());
            }
        }
        match picture {
            Ok(_) if self.is_paused => {}
            Ok(Picture { snapshot, .. }) => {
                let last = std::mem::replace(&mut self.last, snapshot);
                self.before = Some((last, std::mem::replace(&mut self.taken_at, Instant::now())));
                self.runtime = self.runtime.min(self.last.runtimes.len().saturating_sub(1));
            }
            Err(why) => self.ended = Some(why),
        }
    }

    /// False if the user ends the view.
    #[expect(clippy::wildcard_enum_match_arm, reason = "the enum is another crate's")]
    fn handle(&mut self, event: &Event) -> bool {
        let Event::Key(key) = event else { return true };
        if key.kind != KeyEventKind::Press {
            return true;
        }
        match key.code {
            KeyCode::Esc if self.details.is_some() => self.look_at(None),
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('t') => self.shows_tasks = !self.shows_tasks,
            KeyCode::Enter => self.look_at(self.selected()),
            KeyCode::Tab => self.runtime = (self.runtime + 1) % self.last.runtimes.len().max(1),
            KeyCode::Down => self.state.select_next(),
            KeyCode::Up => self.state.select_previous(),
            KeyCode::Char(letter) => {
                if let Some((_, sort, _)) = Sort::ALL.iter().find(|(key, _, _)| *key == letter) {
                    self.sort = *sort;
                }
            }
            _ => {}
        }
        true
    }

    fn look_at(&mut self, task: Option<u64>) {
        self.looked_at.store(task.unwrap_or_default(), Ordering::Relaxed);
        self.details = task.map(|task| Details { task, text: None });
    }

    /// The rows that are shown.
    fn rows(&self) -> Vec<Row> {
        let runtime = self.last.runtimes.get(self.runtime);
        let rows = runtime.map(|runtime| if self.shows_tasks { &runtime.tasks } else { &runtime.groups });
        let mut rows = rows.cloned().unwrap_or_default();
        self.sort.sort(&mut rows);
        rows
    }

    /// The task of the selected row, of the first one if none is.
    fn selected(&self) -> Option<u64> {
        let rows = self.rows();
        let index = self.state.selected().unwrap_or_default().min(rows.len().saturating_sub(1));
        rows.get(index)?.task()
    }

    fn draw(&mut self, frame: &mut Frame<'_>) {
        let Some(runtime) = self.last.runtimes.get(self.runtime).cloned() else {
            let text = self.ended.as_deref().unwrap_or("no runtime is there now");
            return frame.render_widget(Paragraph::new(text), frame.area());
        };
        let workers = u16::try_from(runtime.workers.len().min(8)).unwrap_or(8);
        let areas = Layout::vertical([
            Constraint::Length(2),
            Constraint::Length(workers + 3),
            Constraint::Min(4),
            Constraint::Length(self.details.as_ref().map_or(0, Details::lines)),
            Constraint::Length(1),
        ]);
        let [head, middle, rows, details, foot] = areas.areas(frame.area());
        let place = format!("process {}, runtime {} of {}", self.pid, self.runtime + 1, self.last.runtimes.len());
        frame.render_widget(Paragraph::new(vec![Line::from(place), Line::from(runtime.heading.clone())]), head);
        self.draw_workers(frame, middle, &runtime);
        self.draw_rows(frame, rows);
        if let Some(shown) = &self.details {
            frame.render_widget(shown.widget(), details);
        }
        frame.render_widget(Paragraph::new(self.foot()).style(Style::new().add_modifier(Modifier::DIM)), foot);
    }

    fn foot(&self) -> String {
        if let Some(why) = &self.ended {
            return format!("{why}. q: end");
        }
        let sorts: Vec<_> = Sort::ALL.iter().map(|(key, _, name)| format!("{key} {name}")).collect();
        let pause = if self.is_paused { "p go on" } else { "p pause" };
        let rows = if self.shows_tasks { "t groups" } else { "t tasks" };
        let details = if self.details.is_some() { "Esc close" } else { "Enter waits" };
        format!("q end  {pause}  {rows}  {details}  Tab next runtime  sort: {}", sorts.join("  "))
    }

    fn draw_workers(&self, frame: &mut Frame<'_>, area: Rect, runtime: &Runtime) {
        let before = self.before.as_ref().map(|(snapshot, at)| {
            let workers =
                snapshot.runtimes.get(self.runtime).map(|runtime| runtime.workers.clone()).unwrap_or_default();
            (workers, self.taken_at.saturating_duration_since(*at))
        });
        let rows = runtime.workers.iter().enumerate().map(|(index, now)| {
            let rates = before.as_ref().and_then(|(workers, time)| Some(rates(workers.get(index)?, now, *time)));
            let cells = rates.unwrap_or_else(|| ["-", "-", "-", "-"].map(str::to_owned));
            let [busy, polls, parks, stolen] = cells;
            Cells::new([index.to_string(), busy, polls, parks, stolen, now.queued.to_string()])
        });
        let widths = [8, 8, 10, 10, 10, 8].map(Constraint::Length);
        let heads = ["WORKER", "AWAKE", "POLLS/s", "PARKS/s", "STOLEN/s", "QUEUED"];
        let table = Table::new(rows, widths).header(Cells::new(heads).style(bold())).block(Block::bordered());
        frame.render_widget(table, area);
    }

    fn draw_rows(&mut self, frame: &mut Frame<'_>, area: Rect) {
        let rows = self.rows();
        let widths = [
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Length(8),
            Constraint::Fill(1),
            Constraint::Fill(1),
        ];
        let busy = Style::new().fg(Color::Yellow);
        let lines = rows.iter().map(|row| {
            let style = if row.is_busy() { busy } else { Style::new() };
            Cells::new(row.cells().map(Cell::from)).style(style)
        });
        let selected = Style::new().add_modifier(Modifier::REVERSED);
        let table = Table::new(lines, widths).header(Cells::new(COLUMNS).style(bold())).row_highlight_style(selected);
        frame.render_stateful_widget(table.block(Block::bordered()), area, &mut self.state);
    }
}

impl Details {
    /// The height, with the frame.
    fn lines(&self) -> u16 {
        let lines = self.text.as_deref().map_or(1, |text| text.lines().count());
        u16::try_from(lines.min(12)).unwrap_or(12) + 2
    }

    fn widget(&self) -> Paragraph<'_> {
        let text = self.text.as_deref().unwrap_or("asking the process");
        Paragraph::new(text).block(Block::bordered().title(format!("task {}", self.task)))
    }
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

/// Awake in percent, and polls, parks and stolen tasks a second.
fn rates(before: &Worker, now: &Worker, time: Duration) -> [String; 4] {
    let ms = u64::try_from(time.as_millis()).unwrap_or(u64::MAX).max(1);
    let per_second = |before: u64, now: u64| (now.saturating_sub(before).saturating_mul(1000) / ms).to_string();
    let awake = now.busy_ns.saturating_sub(before.busy_ns) / 10_000 / ms;
    [
        format!("{} %", awake.min(100)),
        per_second(before.polls, now.polls),
        per_second(before.parks, now.parks),
        per_second(before.stolen, now.stolen),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::snapshot::tests::REPLY;
    use super::*;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;
    use ratatui::crossterm::event::KeyEvent;

    fn snapshot() -> Snapshot {
        Snapshot::parse(REPLY.as_bytes()).expect("it is a reply")
    }

    fn drawn(view: &mut View) -> String {
        let mut terminal = Terminal::new(TestBackend::new(140, 22)).expect("it needs no terminal");
        terminal.draw(|frame| view.draw(frame)).expect("it has room");
        terminal.backend().to_string()
    }

    fn press(view: &mut View, key: KeyCode) -> bool {
        view.handle(&Event::Key(KeyEvent::new(key, KeyModifiers::NONE)))
    }

    #[test]
    fn the_screen_has_the_runtime_its_workers_and_its_tasks_and_keys_change_it() {
        let mut view = View::new(12, snapshot());
        let text = drawn(&mut view);
        for words in
            ["process 12, runtime 1 of 1", "`web`: multi-thread", "WORKER", "Timer at src/main.rs:9:9", "50.0 %", "300"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(press(&mut view, KeyCode::Char('t')) && drawn(&mut view).contains("#7"));
        assert!(press(&mut view, KeyCode::Char('n')) && view.sort == Sort::Tasks);
        assert!(press(&mut view, KeyCode::Tab) && view.runtime == 0);
        assert!(press(&mut view, KeyCode::Down) && press(&mut view, KeyCode::Up));
        view.take(picture(None));
        assert!(drawn(&mut view).contains("0 %"));
        assert!(press(&mut view, KeyCode::Char('p')));
        view.take(Ok(Picture { snapshot: Snapshot::default(), details: None }));
        assert!(drawn(&mut view).contains("`web`"), "it is paused");
        view.take(Err("process 12 has ended".to_owned()));
        assert!(drawn(&mut view).contains("process 12 has ended"));
        assert!(!press(&mut view, KeyCode::Char('q')));
    }

    fn picture(details: Option<(u64, String)>) -> Result<Picture, String> {
        Ok(Picture { snapshot: snapshot(), details })
    }

    #[test]
    fn the_waits_of_the_selected_task_are_shown_until_they_are_closed() {
        let mut view = View::new(12, snapshot());
        // The groups by what was polled most: first task 7, then those whose oldest is task 3.
        for (presses, task) in [(1, 7), (1, 3)] {
            (0..presses).for_each(|_| assert!(press(&mut view, KeyCode::Down)));
            assert!(press(&mut view, KeyCode::Enter));
            assert_eq!(view.looked_at.load(Ordering::Relaxed), task);
            assert!(drawn(&mut view).contains("asking the process"));
            view.take(picture(Some((99, "of another task".to_owned()))));
            view.take(picture(Some((task, format!("    waits: Mutex at src/a.rs:{task}:1")))));
            let text = drawn(&mut view);
            assert!(
                text.contains(&format!("waits: Mutex at src/a.rs:{task}:1")) && text.contains("Esc close"),
                "{text}"
            );
            assert!(!text.contains("of another task"));
            assert!(press(&mut view, KeyCode::Esc), "it closes the details alone");
            assert_eq!(view.looked_at.load(Ordering::Relaxed), 0);
            assert!(!drawn(&mut view).contains("src/a.rs"));
        }
        let mut view = View::new(12, Snapshot::default());
        assert!(press(&mut view, KeyCode::Enter) && view.details.is_none());
        assert!(!press(&mut view, KeyCode::Esc));
    }

    #[test]
    fn a_process_whose_runtimes_have_ended_is_shown_as_such() {
        let mut view = View::new(12, Snapshot::default());
        assert!(drawn(&mut view).contains("no runtime is there now"));
        assert!(press(&mut view, KeyCode::Tab));
    }

    #[test]
    fn rates_are_those_of_the_time_between_two_pictures() {
        let before = Worker { polls: 100, busy_ns: 0, parks: 10, stolen: 0, queued: 0 };
        let now = Worker { polls: 300, busy_ns: 1_000_000_000, parks: 14, stolen: 2, queued: 9 };
        assert_eq!(rates(&before, &now, Duration::from_secs(2)), ["50 %", "100", "2", "1"]);
        assert_eq!(rates(&now, &before, Duration::ZERO), ["0 %", "0", "0", "0"]);
    }
}
