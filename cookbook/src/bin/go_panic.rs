//! A panic ends its task. The handle returns it.

async fn load(page: u32) -> String {
    assert!(page < 10, "no such page");
    format!("page {page}")
}

#[redd::main]
async fn main() {
    match redd::spawn(load(10)).await {
        Ok(page) => println!("loaded {page}"),
        Err(error) => {
            let payload = error.into_panic();
            println!("it failed: {}", payload.downcast_ref::<&str>().unwrap_or(&"a panic without a text"));
        }
    }
    println!("the program goes on");
}
