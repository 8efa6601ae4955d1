#[redd::main]
async fn main() {
    let name = String::from("fry");
    let task = redd::spawn(async { println!("{name}") });
    task.await.unwrap();
}
