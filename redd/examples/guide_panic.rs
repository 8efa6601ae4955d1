//! A panic ends its task and nothing else.

#[redd::main]
async fn main() {
    let task = redd::spawn(async {
        let prices = [3, 5];
        let index = prices.len();
        prices[index]
    });

    let error = task.await.expect_err("there is no third price");
    println!("is_panic: {}, is_cancelled: {}", error.is_panic(), error.is_cancelled());
    println!("the program goes on");
}
