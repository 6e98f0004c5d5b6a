//! The contract of questions and answers.

use std::sync::Arc;

use futures::FutureExt;
use stormhook_shared::ports::Backbone;
use stormhook_shared::ports::platform::TargetKind;
use stormhook_shared::ports::questions::{Answer, Question};

/// Questions are answered while somebody serves, and refused before and after.
pub async fn only_who_serves_is_asked(backbone: &Backbone) {
    let question = || Question::Targets {
        project: "1a5".parse().unwrap(),
        of: TargetKind::Service,
    };
    let questions = &backbone.questions;
    assert!(questions.ask(question()).await.is_err());
    let answerer = Arc::new(|_| async { Answer::Targets(Vec::new()) }.boxed());
    let serving = questions.serve(answerer).await.unwrap();
    assert_eq!(
        questions.ask(question()).await.unwrap(),
        Answer::Targets(Vec::new())
    );
    drop(serving);
    assert!(questions.ask(question()).await.is_err());
}
