//! The view on a terminal.

use std::io;
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
    /// Single tasks that were polled, instead of groups.
    is_hot: bool,
    is_paused: bool,
    state: TableState,
    /// Why there are no more pictures.
    ended: Option<String>,
}

/// Shows the view until the user ends it.
pub(super) fn show(
    pid: u32,
    first: Snapshot,
    fetch: impl Fn() -> Result<Snapshot, String> + Send + 'static,
) -> Result<(), String> {
    let pictures = fetch_all(fetch);
    let mut terminal = ratatui::try_init().map_err(|error| format!("the terminal cannot be used: {error}"))?;
    let mut view = View::new(pid, first);
    let result = view.run(&mut terminal, &pictures);
    ratatui::restore();
    result.map_err(|error| format!("the terminal cannot be used: {error}"))
}

/// Pictures, one after the other, until the view ends or the process does.
fn fetch_all(fetch: impl Fn() -> Result<Snapshot, String> + Send + 'static) -> Receiver<Result<Snapshot, String>> {
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
            is_hot: false,
            is_paused: false,
            state: TableState::default(),
            ended: None,
        }
    }

    fn run(
        &mut self,
        terminal: &mut ratatui::DefaultTerminal,
        pictures: &Receiver<Result<Snapshot, String>>,
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

    fn take(&mut self, picture: Result<Snapshot, String>) {
        match picture {
            Ok(_) if self.is_paused => {}
            Ok(snapshot) => {
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
            KeyCode::Char('q') | KeyCode::Esc => return false,
            KeyCode::Char('c') if key.modifiers.contains(KeyModifiers::CONTROL) => return false,
            KeyCode::Char('p') => self.is_paused = !self.is_paused,
            KeyCode::Char('t') => self.is_hot = !self.is_hot,
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
            Constraint::Length(1),
        ]);
        let [head, middle, rows, foot] = areas.areas(frame.area());
        let place = format!("process {}, runtime {} of {}", self.pid, self.runtime + 1, self.last.runtimes.len());
        frame.render_widget(Paragraph::new(vec![Line::from(place), Line::from(runtime.heading.clone())]), head);
        self.draw_workers(frame, middle, &runtime);
        self.draw_rows(frame, rows, if self.is_hot { runtime.hot } else { runtime.groups });
        frame.render_widget(Paragraph::new(self.foot()).style(Style::new().add_modifier(Modifier::DIM)), foot);
    }

    fn foot(&self) -> String {
        if let Some(why) = &self.ended {
            return format!("{why}. q: end");
        }
        let sorts: Vec<_> = Sort::ALL.iter().map(|(key, _, name)| format!("{key} {name}")).collect();
        let pause = if self.is_paused { "p go on" } else { "p pause" };
        let rows = if self.is_hot { "t groups" } else { "t tasks" };
        format!("q end  {pause}  {rows}  Tab next runtime  sort: {}", sorts.join("  "))
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

    fn draw_rows(&mut self, frame: &mut Frame<'_>, area: Rect, mut rows: Vec<Row>) {
        self.sort.sort(&mut rows);
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
            let style = if row.busy >= 500 { busy } else { Style::new() };
            Cells::new(row.cells().map(Cell::from)).style(style)
        });
        let selected = Style::new().add_modifier(Modifier::REVERSED);
        let table = Table::new(lines, widths).header(Cells::new(COLUMNS).style(bold())).row_highlight_style(selected);
        frame.render_stateful_widget(table.block(Block::bordered()), area, &mut self.state);
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
        let mut terminal = Terminal::new(TestBackend::new(140, 16)).expect("it needs no terminal");
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
        view.take(Ok(snapshot()));
        assert!(drawn(&mut view).contains("0 %"));
        assert!(press(&mut view, KeyCode::Char('p')));
        view.take(Ok(Snapshot::default()));
        assert!(drawn(&mut view).contains("`web`"), "it is paused");
        view.take(Err("process 12 has ended".to_owned()));
        assert!(drawn(&mut view).contains("process 12 has ended"));
        assert!(!press(&mut view, KeyCode::Char('q')));
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
