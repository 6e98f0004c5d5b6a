//! Sizes and hashes of the files in a backup, so that damage is noticed when it is restored.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// The files of a backup by their names.
pub type Sums = BTreeMap<String, Sum>;

/// What a file is known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sum {
    bytes: u64,
    sha256: String,
}

impl Sum {
    /// That of the file at `path`.
    pub fn of(path: &Path) -> Result<Self> {
        let file = File::open(path).with_context(|| format!("read {}", path.display()))?;
        Summing::new(file).end()
    }
}

/// Sums up what is read through it.
pub struct Summing<R> {
    inner: R,
    bytes: u64,
    digest: Sha256,
}

impl<R: Read> Summing<R> {
    /// Nothing was read yet.
    pub fn new(inner: R) -> Self {
        Self {
            inner,
            bytes: 0,
            digest: Sha256::new(),
        }
    }

    /// Reads what is left. Returns the sum of all.
    pub fn end(mut self) -> Result<Sum> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(Sum {
            bytes: self.bytes,
            sha256: hex::encode(self.digest.finalize()),
        })
    }
}

impl<R: Read> Read for Summing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.digest.update(&buffer[..count]);
        self.bytes += count as u64;
        Ok(count)
    }
}

/// Refuses files that are not those that were `written`.
pub fn compare(written: &Sums, found: &Sums) -> Result<()> {
    for (name, sum) in written {
        match found.get(name) {
            Some(other) if other == sum => {}
            Some(other) if other.bytes == sum.bytes => {
                bail!("it is damaged: {name} in it is not as it was written")
            }
            Some(other) => bail!(
                "it is damaged: {name} in it had {} bytes when it was written, and has {}",
                sum.bytes,
                other.bytes
            ),
            None => bail!("it is damaged: {name} is missing in it"),
        }
    }
    match found.keys().find(|name| !written.contains_key(*name)) {
        Some(name) => bail!("it is damaged: {name} was not in it when it was written"),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sums(files: &[(&str, &str)]) -> Sums {
        let sum = |text: &str| Summing::new(text.as_bytes()).end().unwrap();
        let files = files.iter();
        files
            .map(|(name, text)| ((*name).to_owned(), sum(text)))
            .collect()
    }

    #[test]
    fn every_difference_is_named() {
        let written = sums(&[("database", "abc"), ("secret", "s")]);
        compare(&written, &written).unwrap();
        for (found, says) in [
            (
                sums(&[("database", "abd"), ("secret", "s")]),
                "database in it is not as",
            ),
            (
                sums(&[("database", "ab"), ("secret", "s")]),
                "had 3 bytes when it was written, and has 2",
            ),
            (sums(&[("database", "abc")]), "secret is missing"),
            (
                sums(&[("database", "abc"), ("secret", "s"), ("more", "")]),
                "more was not in it",
            ),
        ] {
            let error = compare(&written, &found).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn what_is_read_in_parts_has_the_same_sum() {
        let mut summing = Summing::new(&b"abc"[..]);
        summing.read_exact(&mut [0; 2]).unwrap();
        let sum = summing.end().unwrap();
        assert_eq!(sum, Summing::new(&b"abc"[..]).end().unwrap());
        assert!(sum.sha256.starts_with("ba7816bf"), "{}", sum.sha256);
    }
}
