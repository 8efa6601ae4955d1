//! Pages of hand-made recordings, read back; and pages for the browser.

use super::*;
use crate::example;
use crate::page::tests::{HOSTILE, assert_is_sound, data_of, keep_for_browser, with_steps};
use crate::recording::Event;
use crate::schedule::tests::recording;

/// Reads the numbers of a column.
fn numbers(column: &Value) -> (u64, Vec<u64>) {
    let digit = |byte: u8| match byte {
        b'A'..=b'Z' => byte - b'A',
        b'a'..=b'z' => byte - b'a' + 26,
        b'0'..=b'9' => byte - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        other => panic!("no digit: {other}"),
    };
    let text = column["bytes"].as_str().expect("a text").trim_end_matches('=').as_bytes();
    let mut bytes: Vec<u8> = Vec::new();
    for chunk in text.chunks(4) {
        let group = chunk.iter().fold(0_u32, |group, byte| group << 6 | u32::from(digit(*byte)));
        let group = group << (6 * (4 - chunk.len()));
        bytes.extend(&group.to_be_bytes()[1..chunk.len()]);
    }
    let mut numbers = Vec::new();
    let (mut number, mut shift) = (0, 0);
    for byte in bytes {
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte < 0x80 {
            numbers.push(number);
            (number, shift) = (0, 0);
        }
    }
    assert_eq!(shift, 0, "the last number is complete");
    (column["count"].as_u64().expect("a number"), numbers)
}

fn read(page: &str) -> Value {
    assert_is_sound(TEMPLATE, page);
    serde_json::from_str(data_of(page)).expect("it is JSON")
}

#[test]
fn a_page_has_the_spans_causes_locks_and_marks_of_the_recording() {
    let page = write(&recording(&[
        (0, 0, What::PollStart { task: 1 }),
        (2, 0, What::Spawn { task: 700, by: Some(1) }),
        (4, 0, What::PollStart { task: 700 }),
        (300, 0, What::PollEnd { task: 700, has_ended: true }),
        (301, 0, What::LockWait { task: 1 }),
        (310, 0, What::PollEnd { task: 1, has_ended: false }),
        (320, 2, What::ClosureStart { id: 9 }),
        (321, 2, What::LockGrant { task: 1, by: None }),
        (330, 2, What::Wake { task: 3, by: None }),
        (331, 2, What::Panic { task: 700 }),
        (340, 2, What::LatePoll { task: 0 }),
    ]));
    let data = read(&page);
    // Start, length, owner, and flags: 4 has a start, 8 has an end, 16 is the last; above them the depth.
    let spans = vec![0, 310, 0, 12, 4, 296, 3, 4 + 8 + 16 + (1 << 6), 320, 20, 4, 2 + 4];
    assert_eq!(numbers(&data["spans"]), (3, spans));
    assert_eq!(
        data["threads"].as_array().expect("a list").iter().map(|of| of["spans"].clone()).collect::<Vec<_>>(),
        [2, 0, 1]
    );
    assert_eq!(numbers(&data["causes"]), (2, vec![2, 1, 1, 3, 2, 328, 4, 0, 2, 0]));
    assert_eq!(numbers(&data["locks"]), (1, vec![301, 0, 0, 21, 0, 2]));
    assert_eq!(numbers(&data["marks"]), (2, vec![331, 5, 4, 9, 4, 0]));
    assert_eq!(data["places"], json!(["src/a.rs:1:1", "src/a.rs:2:1", "src/a.rs:3:1", ""]));
    assert_eq!(data["tasks"][3], json!([700, null, 3, null, 1, 296, 296, 2, 2, 0, 3]));
    assert_eq!(data["tasks"][4], json!([9, null, 3, null, 0, 20, 20, 0, 0, 0, 4]));
    assert_eq!(data["tasks"][0], json!([1, null, 0, null, 1, 14, 310, 0, 0, 20, 0]));
    assert_eq!((&data["end_ns"], &data["events"], &data["lost"]), (&json!(340), &json!(11), &json!(0)));
}

/// Names that would do harm; events that were lost; polls that are open at both ends; a task that moves between threads.
fn torn() -> Recording {
    let mut recording = recording(&[
        (0, 1, What::Unpark),
        (1_000, 0, What::PollEnd { task: 1, has_ended: false }),
        (2_000, 0, What::Wake { task: 1, by: Some(2) }),
        (2_000, 1, What::PollStart { task: 1 }),
        (3_000, 1, What::PollEnd { task: 1, has_ended: false }),
        (3_000, 2, What::PollStart { task: 1 }),
        (4_000, 2, What::LatePoll { task: 1 }),
        (5_000, 0, What::LockWait { task: 3 }),
        (6_000, 0, What::ClosureStart { id: 20 }),
        (7_000, 1, What::Wake { task: 9, by: None }),
    ]);
    recording.lost = 77;
    recording.program = HOSTILE.to_owned();
    recording.threads[1].name = HOSTILE.to_owned();
    recording.threads[2].name = String::new();
    recording.tasks[0].name = Some(HOSTILE.to_owned());
    recording.tasks[1].spawned_at = HOSTILE.to_owned();
    recording
}

#[test]
fn names_are_data() {
    let data = read(&write(&torn()));
    for name in [&data["program"], &data["threads"][1]["name"], &data["tasks"][0][1], &data["places"][1]] {
        assert_eq!(name, HOSTILE);
    }
    assert_eq!(data["lost"], 77);
}

#[test]
fn an_empty_recording_makes_a_page() {
    let data = read(&write(&Recording::default()));
    assert_eq!((&data["spans"]["count"], &data["end_ns"]), (&json!(0), &json!(0)));
}

#[test]
fn base64_is_that_of_the_examples_of_its_standard() {
    let pairs = [
        ("", ""),
        ("f", "Zg=="),
        ("fo", "Zm8="),
        ("foo", "Zm9v"),
        ("foob", "Zm9vYg=="),
        ("fooba", "Zm9vYmE="),
        ("foobar", "Zm9vYmFy"),
    ];
    for (bytes, text) in pairs {
        assert_eq!(base64(bytes.as_bytes()), text);
    }
    assert_eq!(base64(&[0xfb, 0xff, 0xbf]), "+/+/");
}

/// What the page says that it drew, when it shows everything.
fn drawn(recording: &Recording, threads: usize) -> String {
    let schedule = Schedule::of(recording);
    let parks = schedule.spans.iter().filter(|span| span.kind == SpanKind::Park).count();
    format!(
        "events={} threads={threads} tasks={} spans={} drawn={}",
        recording.events.len(),
        schedule.tasks.len(),
        schedule.spans.len(),
        schedule.spans.len() - parks
    )
}

/// Uses the page as a person would.
const STEPS: &str = "
    const seen = [];
    const press = text => [...document.querySelectorAll('button')].find(each => each.textContent === text).click();
    const key = name => dispatchEvent(new KeyboardEvent('keydown', {key: name}));
    const heads = () => [...at('detail').querySelectorAll('h2, h3')].map(each => each.textContent.split(/ for | of /)[0]).join('+');
    press('Longest polls'); document.querySelector('#list tbody tr').click();
    draw(); seen.push(`poll of ${label(chosenTask)}, ${heads()}`);
    seen.push(`zoomed ${view.to - view.from < end / 4}`);
    const before = chosen; key('n'); seen.push(`next ${spans.from[chosen] > spans.to[before] && spans.owner[chosen] === spans.owner[before]}`);
    key('p'); seen.push(`back ${chosen === before}`);
    const size = view.to - view.from; key('w'); seen.push(`in ${view.to - view.from < size}`); key('s');
    const left = view.from; key('d'); seen.push(`moved ${view.from > left}`);
    key('Escape'); seen.push(`none ${chosen}`); key('0');
    seen.push(`all ${view.from <= 0 && view.to >= end}`);
    at('search').value = 'COMPACTION store'; at('search').dispatchEvent(new Event('input')); press('Tasks');
    seen.push(`found ${document.querySelectorAll('#list tbody tr').length}`);
    at('search').value = ''; at('search').dispatchEvent(new Event('input'));
    press('Longest queued'); document.querySelector('#list tbody tr').click(); draw();
    seen.push(`arrows ${drawnArrows > 0}`);
    press('Waits for locks'); document.querySelector('#list tbody tr').click(); seen.push(heads());
    // A click on the middle of a poll chooses it.
    key('0'); choose(before, true); draw();
    const px = x((spans.from[before] + spans.to[before]) / 2), py = middleOf(spans.thread[before]);
    seen.push(`hit ${spanAt(px, py) === before}`);
    document.documentElement.dataset.drawn = seen.join('; ');";

const STEPS_DRAWN: &str = "poll of compaction, Poll+Woken by+Queued+Woke+compaction (task 2); zoomed true; next true; back true; in true; \
                           moved true; none -1; all true; found 1; arrows true; \
                           Poll+Woken by+Had waited+Queued+Woke+task 18+Waits+Locks that it handed over; hit true";

/// A task that waited for a lock.
const LOCK: &str = "
    document.querySelectorAll('#views button')[3].click();
    document.querySelectorAll('#list tbody tr')[0].click();
    draw();
    document.documentElement.dataset.drawn = `waits=${lockBefore(chosen) === lockRows[0]}`;";

/// The picture in the guide: the wait that was behind the longest poll.
const PICTURE: &str = "
    const best = waitRows.find(span => { const [by, overlap] = meanwhile(span); return by >= 0 && spans.flags[by] & IS_LATE && wokenBy(span).length > 0; });
    choose(best === undefined ? waitRows[0] : best);
    const from = causes.at[spans.cause[chosen]], size = spans.to[chosen] - from;
    setView(from - size * .7, spans.to[chosen] + size * .9);
    document.querySelectorAll('#views button')[2].click();
    draw();
    document.documentElement.dataset.drawn = `arrows=${drawnArrows > 1}`;";

#[test]
fn pages_for_the_browser() {
    let played = example::recording(20_000);
    let page = write(&played);
    keep_for_browser("timeline", &page, &drawn(&played, 5));
    keep_for_browser("timeline-steps", &with_steps(&page, STEPS), STEPS_DRAWN);
    keep_for_browser("timeline-picture", &with_steps(&page, PICTURE), "arrows=true");
    keep_for_browser("timeline-lock", &with_steps(&page, LOCK), "waits=true");
    keep_for_browser("timeline-torn", &write(&torn()), &drawn(&torn(), 3));
    keep_for_browser("timeline-empty", &write(&Recording::default()), &drawn(&Recording::default(), 0));
    let one = Event { at_ns: 0, thread: 0, what: What::Park };
    let one = Recording { events: vec![one], ..recording(&[]) };
    keep_for_browser("timeline-one", &write(&one), &drawn(&one, 1));
    // As much as a few threads record in seconds. The lane sets the variable, and only a browser has a use for this page.
    if std::env::var_os("REDD_PAGES").is_some() {
        let many = example::recording(1_000_000);
        keep_for_browser("timeline-many", &write(&many), &drawn(&many, 5));
    }
}

#[test]
fn a_page_of_many_events_is_small_for_each() {
    let events = 30_000;
    let data = read(&write(&example::recording(events)));
    let columns = ["spans", "causes", "locks", "marks"].map(|of| data[of]["bytes"].as_str().map_or(0, str::len));
    let bytes: usize = columns.iter().sum();
    assert!(bytes < 8 * events, "{bytes} bytes for {events} events");
}
