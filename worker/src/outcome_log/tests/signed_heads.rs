//! Heads that are signed and recorded are compared with the log that they come into.

use stormhook_shared::audit::chain::ChainHash;
use stormhook_shared::audit::head::SigningKey;
use stormhook_shared::domain::ledger::Entry;
use stormhook_shared::domain::time::Timestamp;

use super::world::{Fate, SEED, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_whose_chain_is_not_what_was_signed_tells_it() {
    let world = World::new();
    let one = world.start("one", Fate::Answers);
    world.record(5, 10).await;
    one.complete(world.through().await).await;
    one.sign().await;
    one.complete(world.through().await).await;
    assert!(one.is_ready());
    assert_eq!(one.metrics.outcome_log_contradictions.get(), 0);
    // The deployment's own key, on a chain that this worker does not have.
    let key = SigningKey::from_seed(&SEED).unwrap();
    let forged = key.sign(3, ChainHash::START, Timestamp::now());
    world.record_head(Entry::Signed(forged)).await;
    one.tells("signed heads", "for entry 3, which has").await;
    assert_eq!(one.metrics.outcome_log_contradictions.get(), 1);
    let beyond = key.sign(300, ChainHash::START, Timestamp::now());
    world.record_head(Entry::Signed(beyond)).await;
    one.tells("signed heads", "for entry 300, which is not here")
        .await;
    assert_eq!(one.metrics.outcome_log_contradictions.get(), 2);
    world.end(vec![one]).await;
}
