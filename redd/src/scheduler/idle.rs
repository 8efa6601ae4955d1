//! temp
use std::sync::atomic::*;
#[derive(Debug)]
pub(crate) struct Idle(AtomicU64);
pub(crate) enum OnWake { WriteToken, Nothing }
pub(crate) enum OnLeave { Search, Continue }
const S: u64 = 1<<1; const R: u64 = 1<<17; const T: u64 = 1;
pub(crate) fn after_remote_push() { fence(Ordering::SeqCst) }
fn sl(w: u64)->u64{(w>>1)&0xffff} fn se(w:u64)->u64{(w>>17)&0xffff}
impl Idle {
    pub(crate) fn new() -> Self { Self(AtomicU64::new(0)) }
    pub(crate) fn wake_one(&self) -> OnWake { let mut w = self.0.load(Ordering::Relaxed); loop { if se(w)>0 || sl(w)==0 || w&T!=0 { return OnWake::Nothing } match self.0.compare_exchange(w, w|T, Ordering::SeqCst, Ordering::Relaxed) { Ok(_)=>return OnWake::WriteToken, Err(x)=>w=x } } }
    pub(crate) fn take_token(&self) -> bool { self.0.fetch_and(!T, Ordering::SeqCst) & T != 0 }
    pub(crate) fn start_search(&self, limit: usize) -> bool { let w = self.0.load(Ordering::Relaxed); if se(w) as usize >= limit { return false } self.0.fetch_add(R, Ordering::SeqCst); true }
    pub(crate) fn end_search(&self) -> bool { se(self.0.fetch_sub(R, Ordering::SeqCst)) == 1 }
    pub(crate) fn enter_park(&self, was: bool) { if was { self.0.fetch_add(S.wrapping_sub(R), Ordering::SeqCst); } else { self.0.fetch_add(S, Ordering::SeqCst); } fence(Ordering::SeqCst) }
    pub(crate) fn cancel_park(&self) { self.0.fetch_sub(S, Ordering::SeqCst); }
    pub(crate) fn leave_park(&self, token: bool) -> OnLeave { if token { let mut w = self.0.load(Ordering::SeqCst); loop { match self.0.compare_exchange(w, ((w-S)&!T)+R, Ordering::SeqCst, Ordering::SeqCst) { Ok(_)=>return OnLeave::Search, Err(x)=>w=x } } } else { self.0.fetch_sub(S, Ordering::SeqCst); OnLeave::Continue } }
}
