use std::rc::Rc;

#[redd::main]
async fn main() {
    let task = redd::spawn(async {
        let name = Rc::new("fry");
        redd::task::yield_now().await;
        println!("{name}");
    });
    task.await.unwrap();
}
