//! The streams and buckets: what each is for and how it is set up.

use std::num::NonZeroU16;
use std::time::Duration;

use async_nats::Client;
use async_nats::jetstream::context::{AccountErrorKind, CreateStreamErrorKind, GetStreamErrorKind};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, Republish, RetentionPolicy, StorageType,
};
use async_nats::jetstream::{self, Context, ErrorCode};

use super::{ConnectError, DAY, NatsOptions};
use crate::domain::group::Partitions;
use crate::ports::trigger_log::DUPLICATE_WINDOW;

pub(super) const TRIGGERS: &str = "STORMHOOK_TRIGGERS";
pub(super) const LEDGER: &str = "STORMHOOK_LEDGER";
pub(super) const RECEIVERS: &str = "KV_STORMHOOK_RECEIVERS";
pub(super) const LEASES: &str = "KV_STORMHOOK_LEASES";
pub(super) const CURSORS: &str = "KV_STORMHOOK_CURSORS";
pub(super) const RECEIVERS_PREFIX: &str = "$KV.STORMHOOK_RECEIVERS.";
pub(super) const LEASES_PREFIX: &str = "$KV.STORMHOOK_LEASES.";
pub(super) const CURSORS_PREFIX: &str = "$KV.STORMHOOK_CURSORS.";
pub(super) const TRIGGER_NOTICES: &str = "stormhook.appended.triggers";
pub(super) const LEDGER_NOTICES: &str = "stormhook.appended.ledger";
pub(super) const RECEIVER_NOTICES: &str = "stormhook.appended.receivers";

/// Where a stream says over how many partitions its groups are spread.
const PARTITIONS: &str = "stormhook.partitions";
/// How a server refuses an account, or everybody, for good.
const NOT_ENABLED: [ErrorCode; 2] = [
    ErrorCode::JETSTREAM_NOT_ENABLED,
    ErrorCode::JETSTREAM_NOT_ENABLED_FOR_ACCOUNT,
];
const TRIGGER_AGE: Duration = DAY.saturating_mul(30);
const LEDGER_AGE: Duration = DAY.saturating_mul(90);

/// What the streams turned out to be.
pub(super) struct Found {
    pub(super) partitions: Partitions,
    pub(super) is_atomic: bool,
}

/// Makes the streams and buckets that are missing, and checks those that are there.
pub(super) async fn make_or_check(
    client: &Client,
    options: &NatsOptions,
) -> Result<Found, ConnectError> {
    let jetstream = jetstream::new(client.clone());
    if let Err(error) = jetstream.query_account().await {
        let reason = describe(&error);
        // A cluster without a leader does not answer either, but its servers say that they have JetStream.
        let is_refused = matches!(error.kind(), AccountErrorKind::JetStream(error) if NOT_ENABLED.contains(&error.error_code()));
        return Err(if is_refused || !client.server_info().jetstream {
            ConnectError::NoJetStream(reason)
        } else {
            ConnectError::Leaderless {
                servers: options.addresses(),
                reason,
            }
        });
    }
    let partitions = options.partitions.unwrap_or(Partitions::DEFAULT);
    let triggers = Config {
        duplicate_window: DUPLICATE_WINDOW,
        allow_atomic_publish: client.is_server_compatible(2, 12, 0),
        ..log(
            TRIGGERS,
            "triggers",
            options,
            options.trigger_age.unwrap_or(TRIGGER_AGE),
        )
    };
    let triggers = Config {
        metadata: [(PARTITIONS.to_owned(), partitions.0.to_string())].into(),
        republish: notices(
            "stormhook.triggers.*.*",
            &format!("{TRIGGER_NOTICES}.{{{{wildcard(1)}}}}"),
        ),
        ..triggers
    };
    let triggers = make_or_get(&jetstream, TRIGGERS, triggers).await?;
    check_age(TRIGGERS, &triggers, options.trigger_age)?;
    let found = partitions_of(&triggers, options)?;
    let ledger = Config {
        republish: notices("stormhook.ledger.*.*", &format!("{LEDGER_NOTICES}.0")),
        ..log(
            LEDGER,
            "ledger",
            options,
            options.ledger_age.unwrap_or(LEDGER_AGE),
        )
    };
    let ledger = make_or_get(&jetstream, LEDGER, ledger).await?;
    check_age(LEDGER, &ledger, options.ledger_age)?;
    let receivers = Config {
        republish: notices(
            &format!("{RECEIVERS_PREFIX}receiver.*"),
            &format!("{RECEIVER_NOTICES}.0"),
        ),
        ..bucket(RECEIVERS, RECEIVERS_PREFIX, options)
    };
    make_or_get(&jetstream, RECEIVERS, receivers).await?;
    let leases = Config {
        allow_message_ttl: true,
        ..bucket(LEASES, LEASES_PREFIX, options)
    };
    make_or_get(&jetstream, LEASES, leases).await?;
    make_or_get(
        &jetstream,
        CURSORS,
        bucket(CURSORS, CURSORS_PREFIX, options),
    )
    .await?;
    for (name, stream) in [(TRIGGERS, &triggers), (LEDGER, &ledger)] {
        check_replicas(name, stream, options)?;
    }
    Ok(Found {
        partitions: found,
        is_atomic: triggers.allow_atomic_publish,
    })
}

/// A log of messages that stay until they are old.
fn log(name: &str, subject: &str, options: &NatsOptions, max_age: Duration) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("stormhook.{subject}.*.*")],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age,
        storage: StorageType::File,
        num_replicas: options.replicas.unwrap_or(1),
        allow_direct: true,
        deny_delete: true,
        ..Config::default()
    }
}

/// A bucket that keeps the last value of each key, as NATS tools make it.
fn bucket(name: &str, prefix: &str, options: &NatsOptions) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![format!("{prefix}>")],
        max_messages_per_subject: 1,
        discard: DiscardPolicy::New,
        storage: StorageType::File,
        num_replicas: options.replicas.unwrap_or(1),
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        ..Config::default()
    }
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "the configuration wants an option"
)]
fn notices(source: &str, destination: &str) -> Option<Republish> {
    Some(Republish {
        source: source.to_owned(),
        destination: destination.to_owned(),
        headers_only: true,
    })
}

/// How the stream is set up, which is made where it is missing.
async fn make_or_get(
    jetstream: &Context,
    name: &'static str,
    config: Config,
) -> Result<Config, ConnectError> {
    let not_made = |reason: String| ConnectError::NotMade {
        stream: name,
        reason,
    };
    match jetstream.get_stream(name).await {
        Ok(stream) => return Ok(stream.cached_info().config.clone()),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(error)
                if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
            _ => return Err(not_made(describe(&error))),
        },
    }
    match jetstream.create_stream(config).await {
        Ok(stream) => Ok(stream.cached_info().config.clone()),
        // Another process was faster, with other settings.
        Err(error) if matches!(error.kind(), CreateStreamErrorKind::JetStream(ref error) if error.error_code() == ErrorCode::STREAM_NAME_EXIST) =>
        {
            let stream = jetstream.get_stream(name).await;
            let stream = stream.map_err(|error| not_made(describe(&error)))?;
            Ok(stream.cached_info().config.clone())
        }
        Err(error) => Err(not_made(describe(&error))),
    }
}

/// An error with what caused it.
fn describe(error: &(dyn std::error::Error + 'static)) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

fn partitions_of(stream: &Config, options: &NatsOptions) -> Result<Partitions, ConnectError> {
    let text = stream.metadata.get(PARTITIONS);
    let found: Option<NonZeroU16> = text.and_then(|text| text.parse().ok());
    let contradiction = |found: String, wanted: String| ConnectError::Contradiction {
        stream: TRIGGERS,
        found,
        wanted,
    };
    let found = found.map(Partitions).ok_or_else(|| {
        contradiction(
            format!("no number of partitions in its metadata ({PARTITIONS})"),
            "that it is Stormhook's".to_owned(),
        )
    })?;
    match options.partitions {
        Some(wanted) if wanted != found => Err(contradiction(
            format!("{} partitions", found.0),
            wanted.0.to_string(),
        )),
        _ => Ok(found),
    }
}

fn check_age(
    stream: &'static str,
    config: &Config,
    wanted: Option<Duration>,
) -> Result<(), ConnectError> {
    match wanted {
        Some(wanted) if wanted != config.max_age => Err(ConnectError::Contradiction {
            stream,
            found: format!("a retention of {} s", config.max_age.as_secs()),
            wanted: format!("{} s", wanted.as_secs()),
        }),
        _ => Ok(()),
    }
}

fn check_replicas(
    stream: &'static str,
    config: &Config,
    options: &NatsOptions,
) -> Result<(), ConnectError> {
    match options.replicas {
        Some(wanted) if wanted != config.num_replicas => Err(ConnectError::Contradiction {
            stream,
            found: format!("{} replicas", config.num_replicas),
            wanted: wanted.to_string(),
        }),
        _ => Ok(()),
    }
}
