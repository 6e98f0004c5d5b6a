//! Sessions of the web page: who signed in, since when and until when, with a MAC under the deployment's secret. Ingresses
//! keep no sessions, so every one of them can check those that another began.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use crate::configuration::ApiKey;
use crate::domain::time::Timestamp;
use crate::hook_key::DeploymentSecret;

/// How long a session lasts that is not renewed.
pub const LIFETIME: Duration = Duration::from_secs(15 * 60);
/// How long a session can be renewed after signing in.
pub const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);

const MAC_BYTES: usize = 32;
const TIMES_BYTES: usize = 16;
const SESSION_LABEL: &[u8] = b"stormhook session 1\0";
const CSRF_LABEL: &[u8] = b"stormhook csrf 1\0";

/// A session that somebody has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The access key that signed in.
    pub access_key: String,
    /// When.
    pub began: Timestamp,
    /// Until when it is valid.
    pub expires: Timestamp,
}

impl Session {
    /// A session of `key` that begins at `now`.
    pub fn begin(key: &ApiKey, now: Timestamp) -> Self {
        Self {
            access_key: key.access_key.clone(),
            began: now,
            expires: now.plus(LIFETIME),
        }
    }

    /// The same session, valid for as long as possible from `now` on.
    #[must_use]
    pub fn renewed(&self, now: Timestamp) -> Self {
        Self {
            expires: now.plus(LIFETIME).min(self.began.plus(LONGEST)),
            ..self.clone()
        }
    }
}

/// Makes and checks the tokens of sessions.
#[derive(Clone)]
pub struct SessionKeys {
    mac: Hmac<Sha256>,
}

impl SessionKeys {
    /// Tokens under `secret`.
    pub fn new(secret: &DeploymentSecret) -> Self {
        Self { mac: secret.mac() }
    }

    /// The token of `session`, which `key` began: what its cookie holds.
    pub fn token(&self, session: &Session, key: &ApiKey) -> String {
        let mut bytes = Vec::with_capacity(TIMES_BYTES + MAC_BYTES + session.access_key.len());
        bytes.extend_from_slice(&session.began.as_millis().to_be_bytes());
        bytes.extend_from_slice(&session.expires.as_millis().to_be_bytes());
        bytes.extend_from_slice(session.access_key.as_bytes());
        let mac = self.sign(&bytes, key);
        bytes.extend_from_slice(&mac);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// The session that `token` stands for, if it was made here for one of `keys`, whose secret is still the same, and
    /// has not expired at `now`.
    pub fn verify<'a>(
        &self,
        token: &str,
        keys: &'a [ApiKey],
        now: Timestamp,
    ) -> Option<(Session, &'a ApiKey)> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (signed, mac) = bytes.split_last_chunk::<MAC_BYTES>()?;
        let (began, rest) = signed.split_first_chunk()?;
        let (expires, access_key) = rest.split_first_chunk()?;
        let access_key = std::str::from_utf8(access_key).ok()?;
        let key = keys.iter().find(|key| key.access_key == access_key)?;
        if !bool::from(self.sign(signed, key).ct_eq(mac)) {
            return None;
        }
        let session = Session {
            access_key: access_key.to_owned(),
            began: Timestamp::from_millis(i64::from_be_bytes(*began)),
            expires: Timestamp::from_millis(i64::from_be_bytes(*expires)),
        };
        (now < session.expires).then_some((session, key))
    }

    /// What a page must send along with every change in the session that began then: whoever can make a browser send
    /// the cookie cannot read this.
    pub fn csrf_token(&self, session: &Session) -> String {
        let mut mac = self.mac.clone();
        mac.update(CSRF_LABEL);
        mac.update(&session.began.as_millis().to_be_bytes());
        mac.update(session.access_key.as_bytes());
        URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
    }

    /// Whether `token` is that of the session.
    pub fn is_csrf_token(&self, token: &str, session: &Session) -> bool {
        self.csrf_token(session)
            .as_bytes()
            .ct_eq(token.as_bytes())
            .into()
    }

    fn sign(&self, bytes: &[u8], key: &ApiKey) -> [u8; MAC_BYTES] {
        let mut mac = self.mac.clone();
        mac.update(SESSION_LABEL);
        // Another secret key ends the sessions that the one before began.
        mac.update(&key.secret_sha256);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::configuration::{ProjectScope, Role};
    use proptest::prelude::*;

    fn keys(secret: u8) -> SessionKeys {
        SessionKeys::new(&DeploymentSecret::new(vec![secret; 32]).unwrap())
    }

    fn api_key(access_key: &str, secret: &str) -> ApiKey {
        ApiKey {
            access_key: access_key.to_owned(),
            secret_sha256: ApiKey::digest(secret),
            role: Role::Admin,
            projects: ProjectScope::All,
        }
    }

    proptest! {
        #[test]
        fn only_the_unchanged_token_of_the_same_key_and_secret_is_valid(at in 0_usize..80, other in "[A-Za-z0-9_-]") {
            let now = Timestamp::from_millis(1_800_000_000_000);
            let known = [api_key("ops", "one"), api_key("dev", "two")];
            let session = Session::begin(&known[0], now);
            let token = keys(1).token(&session, &known[0]);
            let found = |keys: SessionKeys, token: &str, known: &[ApiKey], now| {
                keys.verify(token, known, now).map(|(session, _)| session)
            };
            prop_assert_eq!(found(keys(1), &token, &known, now), Some(session.clone()));
            prop_assert_eq!(found(keys(2), &token, &known, now), None);
            prop_assert_eq!(found(keys(1), &token, &[api_key("ops", "changed")], now), None);
            prop_assert_eq!(found(keys(1), &token, &known[1..], now), None);
            prop_assert_eq!(found(keys(1), &token, &known, session.expires), None);
            let mut changed = token.clone();
            let at = at % token.len();
            changed.replace_range(at..=at, &other);
            prop_assert_eq!(found(keys(1), &changed, &known, now).is_some(), changed == token);
        }

        #[test]
        fn garbage_is_no_token(text in ".{0,80}") {
            let known = [api_key("ops", "one")];
            prop_assert_eq!(keys(1).verify(&text, &known, Timestamp::from_millis(0)), None);
        }
    }

    #[test]
    fn a_session_is_renewed_for_twelve_hours() {
        let now = Timestamp::from_millis(1_800_000_000_000);
        let session = Session::begin(&api_key("ops", "one"), now);
        let later = now.plus(Duration::from_secs(600));
        let renewed = session.renewed(later);
        assert_eq!(renewed.expires, later.plus(LIFETIME));
        assert_eq!(keys(1).csrf_token(&renewed), keys(1).csrf_token(&session));
        assert_eq!(
            session.renewed(now.plus(LONGEST)).expires,
            now.plus(LONGEST)
        );
    }
}
