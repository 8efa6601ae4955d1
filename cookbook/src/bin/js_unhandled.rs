//! A panic that no code looks at. Without this function, redd prints a line, and the process goes on.

use redd::runtime::Builder;
use redd::sync::mpsc;

fn main() -> std::io::Result<()> {
    let (report, mut reports) = mpsc::unbounded_channel();
    let runtime = Builder::new_multi_thread()
        .enable_all()
        .on_unhandled_panic(move |task| drop(report.send(task.message().unwrap_or("a panic").to_owned())))
        .build()?;
    runtime.block_on(async {
        drop(redd::spawn(async { panic!("no such page") }));
        if let Some(message) = reports.recv().await {
            println!("unhandled: {message}");
        }
        println!("the program goes on");
    });
    Ok(())
}
