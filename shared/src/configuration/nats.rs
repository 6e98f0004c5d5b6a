//! The section `[nats]`: what the backbone's address leaves open.

use std::num::{NonZeroU16, NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{BackboneChoice, Border, ConfigurationError};
use crate::domain::group::Partitions;

const DAY_SECONDS: u64 = 24 * 60 * 60;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NatsFile {
    credentials_file: Option<PathBuf>,
    nkey_file: Option<PathBuf>,
    ca_file: Option<PathBuf>,
    cert_file: Option<PathBuf>,
    key_file: Option<PathBuf>,
    partitions: Option<NonZeroU16>,
    replicas: Option<NonZeroUsize>,
    trigger_days: Option<NonZeroU32>,
    ledger_days: Option<NonZeroU32>,
    timeout_seconds: Option<NonZeroU32>,
    lease_ttl_seconds: Option<NonZeroU32>,
}

/// The backbone with what the section says of it.
pub(super) fn apply(
    border: &Border<'_>,
    backbone: Option<BackboneChoice>,
    file: Option<NatsFile>,
) -> Result<Option<BackboneChoice>, ConfigurationError> {
    let Some(file) = file else {
        return Ok(backbone);
    };
    let Some(BackboneChoice::Nats(mut options)) = backbone else {
        return Err(border.invalid(
            "nats",
            "the backbone is not NATS; remove this section, or write backbone = \"nats://host:4222\"",
        ));
    };
    options.certificate = match (file.cert_file, file.key_file) {
        (Some(certificate), Some(key)) => Some((border.path(&certificate), border.path(&key))),
        (None, None) => None,
        _ => {
            return Err(border.invalid(
                "nats.cert_file",
                "a certificate and its key_file come together",
            ));
        }
    };
    let path = |path: Option<PathBuf>| path.map(|path| border.path(&path));
    let seconds = |count: NonZeroU32| Duration::from_secs(count.get().into());
    let days = |count: NonZeroU32| Duration::from_secs(u64::from(count.get()) * DAY_SECONDS);
    options.credentials_file = path(file.credentials_file);
    options.nkey_file = path(file.nkey_file);
    options.ca_file = path(file.ca_file);
    options.partitions = file.partitions.map(Partitions);
    options.replicas = file.replicas.map(NonZeroUsize::get);
    options.trigger_age = file.trigger_days.map(days);
    options.ledger_age = file.ledger_days.map(days);
    options.timeout = file.timeout_seconds.map_or(options.timeout, seconds);
    options.lease_ttl = file.lease_ttl_seconds.map_or(options.lease_ttl, seconds);
    Ok(Some(BackboneChoice::Nats(options)))
}
