//! The connection: addresses, credentials, TLS, and what the server must be able to do.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event, ServerAddr};
use url::Url;

use super::{ConnectError, NatsOptions};
use crate::telemetry::Readiness;

/// The part's name in `/readyz`.
const PART: &str = "NATS";

/// How often the server is asked for a sign of life. It is left for another one after three questions without an answer:
/// a server that was cut off closes nothing, and leases end in the meantime.
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Tells the log how a connection is, and `/readyz` whether it is there: until everything on it is made or checked, what is
/// told of that counts.
pub(super) struct Teller {
    /// The connection's name.
    name: &'static str,
    readiness: Arc<Readiness>,
    is_telling: Mutex<bool>,
}

impl Teller {
    /// One that tells nothing yet.
    pub(super) fn new(name: &'static str, readiness: Arc<Readiness>) -> Arc<Self> {
        Arc::new(Self {
            name,
            readiness,
            is_telling: Mutex::new(false),
        })
    }

    /// Tells how the connection is, from now on.
    pub(super) fn begin(&self, client: &Client) {
        let mut is_telling = self.lock();
        *is_telling = true;
        self.report(client.connection_state() == State::Connected);
    }

    fn tell(&self, event: &Event) {
        let is_telling = self.lock();
        let is_connected = match event {
            Event::Connected => {
                tracing::info!(connection = self.name, "connected to NATS");
                true
            }
            Event::Disconnected | Event::Closed => {
                tracing::warn!(connection = self.name, %event, "the connection to NATS was lost");
                false
            }
            _ => return tracing::warn!(connection = self.name, %event, "NATS"),
        };
        if *is_telling {
            self.report(is_connected);
        }
    }

    fn report(&self, is_connected: bool) {
        let state = if is_connected {
            Ok(())
        } else {
            Err("there is no connection to a server".to_owned())
        };
        self.readiness.report(PART, state);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, bool> {
        self.is_telling
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to one of the servers. `teller` hears of every loss of the connection and of its return.
pub(super) async fn connect(
    options: &NatsOptions,
    teller: &Arc<Teller>,
) -> Result<Client, ConnectError> {
    let Servers {
        addresses,
        user,
        is_tls,
    } = parse(&options.servers)?;
    let mut connect = ConnectOptions::new()
        .name(teller.name)
        .request_timeout(Some(options.timeout))
        .connection_timeout(options.timeout)
        .ping_interval(PING_INTERVAL)
        .require_tls(is_tls)
        .event_callback({
            let teller = Arc::clone(teller);
            move |event| {
                teller.tell(&event);
                std::future::ready(())
            }
        });
    match user {
        User::None => {}
        User::Password(user, password) => connect = connect.user_and_password(user, password),
        User::Token(token) => connect = connect.token(token),
    }
    if let Some(path) = &options.credentials_file {
        connect = connect.credentials_file(path).await.map_err(|error| {
            ConnectError::Options(format!("the credentials file {}: {error}", path.display()))
        })?;
    }
    if let Some(path) = &options.nkey_file {
        let seed = tokio::fs::read_to_string(path).await.map_err(|error| {
            ConnectError::Options(format!("the nkey file {}: {error}", path.display()))
        })?;
        connect = connect.nkey(seed.trim().to_owned());
    }
    if let Some(path) = &options.ca_file {
        connect = connect.add_root_certificates(path.clone());
    }
    if let Some((certificate, key)) = &options.certificate {
        connect = connect.add_client_certificate(certificate.clone(), key.clone());
    }
    let servers = options.addresses();
    let client = connect.connect(addresses).await.map_err(|error| {
        let reason = error.to_string();
        match error.kind() {
            ConnectErrorKind::Authentication | ConnectErrorKind::AuthorizationViolation => {
                ConnectError::Unauthorized { servers, reason }
            }
            _ => ConnectError::Unreachable { servers, reason },
        }
    })?;
    if client.is_server_compatible(2, 11, 0) {
        Ok(client)
    } else {
        Err(ConnectError::TooOld {
            found: client.server_info().version,
        })
    }
}

struct Servers {
    addresses: Vec<ServerAddr>,
    user: User,
    is_tls: bool,
}

enum User {
    None,
    Password(String, String),
    Token(String),
}

impl NatsOptions {
    /// The servers' addresses, without passwords.
    pub fn addresses(&self) -> String {
        let Ok(servers) = parse(&self.servers) else {
            return "an address that cannot be read".to_owned();
        };
        let addresses = servers.addresses.iter();
        addresses
            .map(|address| format!("{}:{}", address.host(), address.port()))
            .collect::<Vec<_>>()
            .join(", ")
    }
}

/// Reads `nats://user:password@a:4222,b:4222`: scheme and user are those of the first address.
fn parse(servers: &str) -> Result<Servers, ConnectError> {
    let wrong = |reason: String| {
        ConnectError::Options(format!(
            "the backbone's address: {reason}; write it like nats://user:password@host:4222,other:4222"
        ))
    };
    let mut addresses = Vec::new();
    let mut user = User::None;
    let mut scheme = "nats".to_owned();
    for (number, text) in servers.split(',').map(str::trim).enumerate() {
        let text = if text.contains("://") {
            text.to_owned()
        } else {
            format!("{scheme}://{text}")
        };
        let mut url: Url = text.parse().map_err(|error| wrong(format!("{error}")))?;
        if number == 0 {
            url.scheme().clone_into(&mut scheme);
            user = user_of(&url);
        }
        // The user is given apart: servers that are heard of later have none in their addresses.
        let is_bare = url.set_username("").is_ok() && url.set_password(None).is_ok();
        if !is_bare || !matches!(url.scheme(), "nats" | "tls") {
            return Err(wrong(
                "it begins with neither nats:// nor tls://".to_owned(),
            ));
        }
        let address: Result<ServerAddr, _> = url.as_str().parse();
        addresses.push(address.map_err(|error| wrong(error.to_string()))?);
    }
    Ok(Servers {
        addresses,
        user,
        is_tls: scheme == "tls",
    })
}

fn user_of(url: &Url) -> User {
    let decoded = |text: &str| {
        let pair = format!("x={}", text.replace('+', "%2B"));
        url::form_urlencoded::parse(pair.as_bytes())
            .next()
            .map_or_else(String::new, |(_, value)| value.into_owned())
    };
    match (url.username(), url.password()) {
        ("", _) => User::None,
        (user, Some(password)) => User::Password(decoded(user), decoded(password)),
        (token, None) => User::Token(decoded(token)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_share_the_user_of_the_first() {
        let servers = parse("nats://us%40er:p+w@a:4222,b:4223, c").unwrap();
        let hosts: Vec<_> = servers
            .addresses
            .iter()
            .map(|address| format!("{}:{}", address.host(), address.port()))
            .collect();
        assert_eq!(hosts, ["a:4222", "b:4223", "c:4222"]);
        assert!(
            matches!(servers.user, User::Password(user, password) if user == "us@er" && password == "p+w")
        );
        assert!(!servers.is_tls);
        assert!(parse("tls://a").unwrap().is_tls);
        assert!(matches!(parse("nats://t@a").unwrap().user, User::Token(token) if token == "t"));
        for wrong in ["http://a:4222", "nats://", "nats://a:port"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
