//! A task starts when it is spawned, and its handle returns the result.

#[redd::main]
async fn main() {
    let square = redd::spawn(async {
        let number = 12;
        number * number
    });
    println!("spawned, not awaited yet");

    match square.await {
        Ok(result) => println!("the task says {result}"),
        Err(error) => println!("the task failed: {error}"),
    }
}
