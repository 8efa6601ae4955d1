//! Code that does not await goes to the blocking pool.

fn digits_of_factorial(n: u32) -> usize {
    let mut digits = vec![1_u8];
    for factor in 2..=n {
        let mut carry = 0;
        for digit in &mut digits {
            let product = u32::from(*digit) * factor + carry;
            *digit = (product % 10) as u8;
            carry = product / 10;
        }
        while carry > 0 {
            digits.push((carry % 10) as u8);
            carry /= 10;
        }
    }
    digits.len()
}

#[redd::main]
async fn main() {
    let slow = redd::task::spawn_blocking(|| digits_of_factorial(1000));
    println!("1000! has {} digits", slow.await.expect("it does not panic"));
}
