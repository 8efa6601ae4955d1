//! smol under the names that the workloads use, so that all runtimes share their source. Items without an equivalent in
//! smol are left out.
//!
//! Each item calls one of smol's. There is one executor for the process, as in `smol::spawn`.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use smol::Executor;

static EXECUTOR: Executor<'static> = Executor::new();

/// A task that continues when its handle is dropped, as on the other runtimes.
pub struct JoinHandle<T>(Option<smol::Task<T>>);

impl<T> Future for JoinHandle<T> {
    type Output = Result<T, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let task = self.0.as_mut().expect("only `drop` takes it");
        Pin::new(task).poll(cx).map(Ok)
    }
}

impl<T> Drop for JoinHandle<T> {
    fn drop(&mut self) {
        if let Some(task) = self.0.take() {
            task.detach();
        }
    }
}

pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future<Output: Send + 'static> + Send + 'static,
{
    JoinHandle(Some(EXECUTOR.spawn(future)))
}

pub mod runtime {
    use super::*;

    /// Either threads that run the executor, or none, in which case `block_on` runs it.
    pub struct Runtime {
        threads: usize,
    }

    pub struct Builder {
        threads: usize,
    }

    impl Builder {
        pub fn new_multi_thread() -> Builder {
            Builder { threads: 1 }
        }

        pub fn new_current_thread() -> Builder {
            Builder { threads: 0 }
        }

        pub fn worker_threads(mut self, count: usize) -> Builder {
            self.threads = count;
            self
        }

        pub fn enable_all(self) -> Builder {
            self
        }

        pub fn build(self) -> Result<Runtime, Infallible> {
            for _ in 0..self.threads {
                std::thread::spawn(|| smol::block_on(EXECUTOR.run(std::future::pending::<()>())));
            }
            Ok(Runtime { threads: self.threads })
        }
    }

    impl Runtime {
        pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
        where
            F: Future<Output: Send + 'static> + Send + 'static,
        {
            spawn(future)
        }

        pub fn block_on<F: Future>(&self, future: F) -> F::Output {
            if self.threads == 0 { smol::block_on(EXECUTOR.run(future)) } else { smol::block_on(future) }
        }
    }
}

pub mod task {
    pub use smol::future::yield_now;

    use super::*;

    pub fn spawn_blocking<T: Send + 'static>(program: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
        JoinHandle(Some(smol::unblock(program)))
    }

    /// smol has no budget, so there is nothing to disable.
    pub fn unconstrained<F>(future: F) -> F {
        future
    }
}

pub mod sync {
    use super::Infallible;

    pub use smol::lock::{Mutex, RwLock};

    pub struct Semaphore(smol::lock::Semaphore);

    impl Semaphore {
        pub fn new(permits: usize) -> Semaphore {
            Semaphore(smol::lock::Semaphore::new(permits))
        }

        pub async fn acquire(&self) -> Result<smol::lock::SemaphoreGuard<'_>, Infallible> {
            Ok(self.0.acquire().await)
        }

        pub fn add_permits(&self, count: usize) {
            self.0.add_permits(count);
        }
    }

    pub mod mpsc {
        use smol::channel;

        pub struct Receiver<T>(channel::Receiver<T>);

        impl<T> Receiver<T> {
            pub async fn recv(&mut self) -> Option<T> {
                self.0.recv().await.ok()
            }
        }

        pub fn channel<T>(capacity: usize) -> (channel::Sender<T>, Receiver<T>) {
            let (sender, receiver) = channel::bounded(capacity);
            (sender, Receiver(receiver))
        }

        pub struct UnboundedSender<T>(channel::Sender<T>);

        impl<T> Clone for UnboundedSender<T> {
            fn clone(&self) -> Self {
                UnboundedSender(self.0.clone())
            }
        }

        impl<T> UnboundedSender<T> {
            pub fn send(&self, value: T) -> Result<(), channel::TrySendError<T>> {
                self.0.try_send(value)
            }
        }

        pub fn unbounded_channel<T>() -> (UnboundedSender<T>, Receiver<T>) {
            let (sender, receiver) = channel::unbounded();
            (UnboundedSender(sender), Receiver(receiver))
        }
    }
}

pub mod time {
    use std::future::Future;
    use std::time::Duration;

    use smol::Timer;
    use smol::stream::StreamExt;

    pub async fn sleep(duration: Duration) {
        Timer::after(duration).await;
    }

    pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, ()> {
        let late = async {
            Timer::after(duration).await;
            Err(())
        };
        smol::future::or(async { Ok(future.await) }, late).await
    }

    pub struct Interval(Timer);

    impl Interval {
        pub async fn tick(&mut self) {
            self.0.next().await;
        }
    }

    pub fn interval(period: Duration) -> Interval {
        Interval(Timer::interval(period))
    }
}

pub mod net {
    pub use smol::net::{TcpListener, TcpStream, UdpSocket};
}

pub mod io {
    pub use smol::io::{AsyncReadExt, AsyncSeekExt, AsyncWriteExt};
}

pub mod fs {
    pub use smol::fs::{File, OpenOptions, metadata, read};
}
