//! Outcome logs of several workers over one ledger that forgets: fetched from each other, and compared with signed heads. And
//! pages of history while triggers come in.

mod fetching;
mod paging;
mod signed_heads;
mod world;
