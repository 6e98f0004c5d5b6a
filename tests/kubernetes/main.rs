//! Stories on a real Kubernetes API server. Each starts a control plane of its own, which has no nodes: what kubelets and
//! Cluster API would do, the stories do themselves.
#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "whatever is not as a test expects ends the test"
)]

mod contract;
mod custom_scales;
mod forwarding;
mod machines;
mod many;
mod receivers;
mod rights;
mod scaling;
mod upgrades;
