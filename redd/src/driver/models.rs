//! Models of a registration: events, clears, waiters and the reuse of a slot, in every order.
