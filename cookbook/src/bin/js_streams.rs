//! Lines of a stream, one after the other.

use redd::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, duplex};

#[redd::main]
async fn main() -> std::io::Result<()> {
    // A pipe in memory, with room for 8 bytes: the writer waits for the reader.
    let (mut sink, source) = duplex(8);
    let writer = redd::spawn(async move {
        for chunk in ["GET /\nGET /ab", "out\nPOST /login\n"] {
            sink.write_all(chunk.as_bytes()).await?;
        }
        std::io::Result::Ok(())
    }); // Dropping `sink` is the end of the stream.

    let mut lines = BufReader::new(source).lines();
    let mut count = 0;
    while let Some(line) = lines.next_line().await? {
        println!("{}", line.to_lowercase());
        count += 1;
    }
    writer.await??;
    println!("{count} lines");
    Ok(())
}
