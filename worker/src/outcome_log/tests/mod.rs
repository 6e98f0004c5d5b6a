//! Outcome logs of several workers over one ledger that forgets: fetched from each other, and compared with signed heads.

mod fetching;
mod signed_heads;
mod world;
