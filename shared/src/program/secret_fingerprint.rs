//! What tells one deployment's secret from another without giving it away.

use hmac::Mac;

use crate::hook_key::DeploymentSecret;

const LABEL: &[u8] = b"stormhook backup";
const BYTES: usize = 16;

/// The header that tells with a copy of the database which secret is in use.
pub const HEADER: &str = "stormhook-secret-fingerprint";

/// What `secret` is known by: 32 hex digits.
pub fn fingerprint(secret: &DeploymentSecret) -> String {
    let mut mac = secret.mac();
    mac.update(LABEL);
    hex::encode(&mac.finalize().into_bytes()[..BYTES])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_secret_has_one_of_its_own() {
        let of = |byte| fingerprint(&DeploymentSecret::new(vec![byte; 32]).unwrap());
        assert_eq!(of(1).len(), 32);
        assert_eq!(of(1), of(1));
        assert_ne!(of(1), of(2));
    }
}
