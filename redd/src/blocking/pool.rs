//! temp
use std::collections::VecDeque;
use std::io;
use std::sync::{Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;
pub(crate) trait Work: Send {
    fn run(self);
    fn cancel(self);
    fn is_mandatory(&self) -> bool;
}
#[derive(Debug)]
pub(crate) struct PoolConfig {
    pub max_threads: usize,
    pub keep_alive: Duration,
}
#[derive(Debug)]
pub(crate) enum Refusal {
    Shutdown,
    NoThread(io::Error),
}
#[derive(Debug)]
pub(crate) struct Refused<W> {
    pub work: W,
    pub reason: Refusal,
}
#[derive(Debug)]
struct In<W> {
    q: VecDeque<W>,
    idle: usize,
    threads: usize,
    shut: bool,
    h: Vec<JoinHandle<()>>,
}
#[derive(Debug)]
pub(crate) struct Pool<W> {
    c: PoolConfig,
    i: Mutex<In<W>>,
    v: Condvar,
}
impl<W: Work> Pool<W> {
    pub(crate) fn new(c: PoolConfig) -> Self {
        Self {
            c,
            i: Mutex::new(In {
                q: VecDeque::new(),
                idle: 0,
                threads: 0,
                shut: false,
                h: vec![],
            }),
            v: Condvar::new(),
        }
    }
    pub(crate) fn submit(
        &self,
        work: W,
        spawn: &dyn Fn(usize) -> io::Result<JoinHandle<()>>,
    ) -> Result<(), Refused<W>> {
        let mut i = self.i.lock().unwrap();
        if i.shut {
            drop(i);
            return Err(Refused {
                work,
                reason: Refusal::Shutdown,
            });
        }
        i.q.push_back(work);
        if i.idle < i.q.len() && i.threads < self.c.max_threads {
            match spawn(i.threads) {
                Ok(h) => {
                    i.threads += 1;
                    i.h.push(h)
                }
                Err(e) if i.threads == 0 => {
                    let work = i.q.pop_back().unwrap();
                    drop(i);
                    return Err(Refused {
                        work,
                        reason: Refusal::NoThread(e),
                    });
                }
                Err(_) => {}
            }
        } else {
            self.v.notify_one();
        }
        Ok(())
    }
    pub(crate) fn run_thread(&self, _n: usize, _s: &dyn Fn(usize) -> io::Result<JoinHandle<()>>) {
        let mut i = self.i.lock().unwrap();
        loop {
            if let Some(w) = i.q.pop_front() {
                let c = i.shut && !w.is_mandatory();
                drop(i);
                if c {
                    w.cancel()
                } else {
                    w.run()
                }
                i = self.i.lock().unwrap();
                continue;
            }
            if i.shut {
                break;
            }
            i.idle += 1;
            let (g, t) = self.v.wait_timeout(i, self.c.keep_alive).unwrap();
            i = g;
            i.idle -= 1;
            if t.timed_out() && i.q.is_empty() {
                break;
            }
        }
        i.threads -= 1;
    }
    pub(crate) fn shutdown(&self) {
        self.i.lock().unwrap().shut = true;
        self.v.notify_all();
    }
    pub(crate) fn join_all(&self, t: Option<Duration>) -> bool {
        if t.is_some() {
            return true;
        }
        let h = std::mem::take(&mut self.i.lock().unwrap().h);
        for h in h {
            if h.thread().id() != std::thread::current().id() {
                let _ = h.join();
            }
        }
        true
    }
    pub(crate) fn threads(&self) -> usize {
        self.i.lock().unwrap().threads
    }
    pub(crate) fn idle_threads(&self) -> usize {
        self.i.lock().unwrap().idle
    }
    pub(crate) fn queue_depth(&self) -> usize {
        self.i.lock().unwrap().q.len()
    }
}
