//! Leases in a process that shares its work with nobody: always granted, for good.

use async_trait::async_trait;

use crate::domain::group::Partition;
use crate::ports::Unavailable;
use crate::ports::leases::{Census, LeaseEnd, Leases, Role};

pub(super) struct EmbeddedLeases;

#[async_trait]
impl Leases for EmbeddedLeases {
    async fn announce(&self, _role: Role) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn withdraw(&self, _role: Role) -> Result<(), Unavailable> {
        Ok(())
    }

    async fn census(&self) -> Result<Census, Unavailable> {
        let me = "the only process".to_owned();
        Ok(Census {
            workers: [me.clone()].into(),
            ingresses: [me.clone()].into(),
            me,
            ..Census::default()
        })
    }

    async fn acquire(&self, _partition: Partition) -> Result<Option<LeaseEnd>, Unavailable> {
        Ok(Some(None))
    }

    async fn release(&self, _partition: Partition) -> Result<(), Unavailable> {
        Ok(())
    }

    fn ttl(&self) -> Option<std::time::Duration> {
        None
    }
}
