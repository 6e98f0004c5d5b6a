//! Takes a pool of machines to the size that was planned. Cluster API or Rancher makes and removes the machines; this
//! sets the size, marks those that are to go, waits, and takes the marks back when it comes to nothing.

use serde_json::{Value, json};
use stormhook_shared::decide::{Growth, HostsSeen, Seen};
use stormhook_shared::domain::ledger::HostRef;
use stormhook_shared::domain::outcome::Code;
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::ports::platform::{Notes, PlatformError, Step};

use super::Kubernetes;
use super::answer::{self, Failure, passing};
use super::connection::Patch;
use super::machine::{self, Pool, RancherPool};

/// The pool was given its new size.
const SET: &str = "size set";
/// How many pools a sentence names.
const MOST_NAMED: usize = 5;

/// A pool's way from one size to another.
pub(super) struct Resize<'a> {
    pub(super) pool: &'a HostRef,
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) remove: &'a [HostRef],
}

/// A pool's size, and where it is kept.
struct Size {
    current: u32,
    change: Change,
    manages: bool,
}

/// The call that sets a size: path, and the body that is missing only the size.
enum Change {
    Scale {
        path: String,
        pool: Pool,
    },
    Quantity {
        path: String,
        version: Value,
        place: usize,
        name: String,
    },
}

impl Kubernetes {
    /// The machines of the one pool that carries the labels.
    pub(super) async fn see_machines(&self, selector: &Selector) -> Result<Seen, PlatformError> {
        let mut pools = self.pools(selector).await?;
        let Some(pool) = pools.pop() else {
            return Ok(Seen::Hosts(HostsSeen {
                hosts: Vec::new(),
                growth: Growth::Clones {
                    names_in_use: Default::default(),
                },
            }));
        };
        if !pools.is_empty() {
            let mut names: Vec<_> = pools.iter().take(MOST_NAMED).map(Pool::id).collect();
            names.push(pool.id());
            let reason = format!(
                "{} machine pools carry the label {selector}, and only one can be scaled: {}",
                pools.len() + 1,
                names.join(", ")
            );
            return Ok(Seen::Unsupported { reason });
        }
        let size = match self.size(&pool).await? {
            Ok(size) => size,
            Err(reason) => return Ok(Seen::Gone { reason }),
        };
        let machines = self.machines(&pool).await?;
        let hosts: Vec<_> = machines
            .iter()
            .filter_map(|one| machine::see(one, size.manages))
            .collect();
        if u32::try_from(hosts.len()) != Ok(size.current) {
            let message = format!(
                "the pool {} has {} machines on its way to {}: waiting for that to end",
                pool.id(),
                hosts.len(),
                size.current
            );
            return Err(passing(message, true));
        }
        Ok(Seen::Hosts(HostsSeen {
            hosts,
            growth: Growth::Resized {
                pool: HostRef {
                    id: pool.id(),
                    name: pool.name,
                },
            },
        }))
    }

    /// Makes the calls that are due now.
    pub(super) async fn resize(
        &self,
        resize: &Resize<'_>,
        notes: &mut Notes,
    ) -> Result<Step, PlatformError> {
        let removed = |reason| Step::Failed {
            code: Code::NoHostsWithLabel,
            message: reason,
        };
        let Some(pool) = self.pool(resize.pool).await? else {
            let reason = format!("the pool {} was removed", resize.pool.id);
            return Ok(removed(reason));
        };
        let size = match self.size(&pool).await? {
            Ok(size) => size,
            Err(reason) => return Ok(removed(reason)),
        };
        let machines = self.machines(&pool).await?;
        if size.current == resize.to {
            return Ok(progress(resize, &pool, &machines));
        }
        if size.current != resize.from {
            self.unmark(resize, &machines, notes).await?;
            let reason = format!(
                "somebody else set the pool {} to {}",
                pool.id(),
                size.current
            );
            // Whether ours was set before that, nobody can know, or it was.
            return Ok(if notes.is_resumed || notes.has_begun(SET) {
                Step::Failed {
                    code: Code::Uncertain,
                    message: reason,
                }
            } else {
                Step::Overtaken { reason }
            });
        }
        self.mark(resize, &machines, notes).await?;
        if let Err(error) = notes.permit(self.connection.change_timeout()) {
            if error == PlatformError::DeadlineOver {
                let machines = self.machines(&pool).await?;
                self.unmark(resize, &machines, notes).await?;
            }
            return Err(error);
        }
        match self.set(&size.change, resize.to).await {
            Ok(_) => {
                notes.begin(SET);
                Ok(Step::Underway {
                    what: format!("the pool {} was set to {}", pool.id(), resize.to),
                })
            }
            // Look again: it may be another size now.
            Err(Failure::Conflict(what)) => Ok(Step::Underway { what }),
            Err(failure) => {
                let error = failure.of_change();
                if let PlatformError::Transient {
                    is_untouched: false,
                    ..
                } = error
                {
                    notes.begin(SET);
                }
                if let PlatformError::Refused { .. } = error {
                    // Read again: the marks were set after the list was read.
                    let machines = self.machines(&pool).await?;
                    self.unmark(resize, &machines, notes).await?;
                }
                Err(error)
            }
        }
    }

    /// The pools that carry the labels.
    async fn pools(&self, selector: &Selector) -> Result<Vec<Pool>, PlatformError> {
        let Some(sort) = self.sort(machine::GROUP, "machinedeployments").await? else {
            return Ok(Vec::new());
        };
        let mut pools = Vec::new();
        for namespace in self.namespaces() {
            let found = self
                .connection
                .list(&sort.path(namespace), None, |deployment| {
                    machine::is_selected(selector, deployment)
                        .then(|| Pool::of(deployment))
                        .flatten()
                })
                .await?;
            if found.is_none() {
                self.discovery.forget(&sort);
            }
            pools.extend(found.unwrap_or_default());
        }
        Ok(pools)
    }

    async fn pool(&self, pool: &HostRef) -> Result<Option<Pool>, PlatformError> {
        let Some((namespace, name)) = pool.id.split_once('/') else {
            return Ok(None);
        };
        let Some(sort) = self.sort(machine::GROUP, "machinedeployments").await? else {
            return Ok(None);
        };
        let found = self.connection.get(&sort.path_of(namespace, name)).await;
        Ok(answer::optional(found)?.as_ref().and_then(Pool::of))
    }

    async fn machines(&self, pool: &Pool) -> Result<Vec<Value>, PlatformError> {
        let Some(sort) = self.sort(machine::GROUP, "machines").await? else {
            return Ok(Vec::new());
        };
        let labels = format!("{}={}", machine::POOL_LABEL, pool.name);
        let path = sort.path(Some(&pool.namespace));
        let found = self
            .connection
            .list(&path, Some(&labels), |machine| Some(machine.clone()))
            .await?;
        Ok(found.unwrap_or_default())
    }

    /// The size of a pool, where it is kept; or that this is gone.
    async fn size(&self, pool: &Pool) -> Result<Result<Size, String>, PlatformError> {
        if let Some(rancher) = &pool.rancher
            && let Some(cluster) = self.rancher_cluster(pool, rancher).await?
        {
            let (path, cluster) = cluster;
            let Some((place, current)) = machine::rancher_quantity(&cluster, &rancher.name) else {
                return Ok(Err(format!(
                    "the cluster {} has no machine pool {}",
                    rancher.cluster, rancher.name
                )));
            };
            return Ok(Ok(Size {
                current,
                manages: machine::manages(&cluster, place),
                change: Change::Quantity {
                    path,
                    version: cluster["metadata"]["resourceVersion"].clone(),
                    place,
                    name: rancher.name.clone(),
                },
            }));
        }
        let Some(sort) = self.sort(machine::GROUP, "machinedeployments").await? else {
            return Ok(Err(format!("the pool {} was removed", pool.id())));
        };
        Ok(Ok(Size {
            current: pool.replicas,
            manages: false,
            change: Change::Scale {
                path: sort.path_of(&pool.namespace, &pool.name) + "/scale",
                pool: pool.clone(),
            },
        }))
    }

    async fn rancher_cluster(
        &self,
        pool: &Pool,
        rancher: &RancherPool,
    ) -> Result<Option<(String, Value)>, PlatformError> {
        let Some(sort) = self.sort(machine::RANCHER_GROUP, "clusters").await? else {
            return Ok(None);
        };
        let path = sort.path_of(&pool.namespace, &rancher.cluster);
        let found = answer::optional(self.connection.get(&path).await)?;
        Ok(found.map(|cluster| (path, cluster)))
    }

    /// Sets a pool's size, if nobody changed what it was read from.
    async fn set(&self, change: &Change, to: u32) -> Result<Value, Failure> {
        match change {
            Change::Scale { path, pool } => {
                let scale = json!({
                    "apiVersion": "autoscaling/v1", "kind": "Scale",
                    "metadata": {"namespace": pool.namespace, "name": pool.name, "resourceVersion": pool.version},
                    "spec": {"replicas": to},
                });
                self.connection.put(path, &scale).await
            }
            Change::Quantity {
                path,
                version,
                place,
                name,
            } => {
                let pool = format!("/spec/rkeConfig/machinePools/{place}");
                let operations = json!([
                    {"op": "test", "path": format!("{pool}/name"), "value": name},
                    // A version that is not there any more is a conflict.
                    {"op": "replace", "path": "/metadata/resourceVersion", "value": version},
                    {"op": "add", "path": format!("{pool}/quantity"), "value": to},
                ]);
                self.connection
                    .patch(path, Patch::Operations, &operations)
                    .await
            }
        }
    }

    async fn mark(
        &self,
        resize: &Resize<'_>,
        machines: &[Value],
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        self.annotate(resize, machines, notes, true).await
    }

    async fn unmark(
        &self,
        resize: &Resize<'_>,
        machines: &[Value],
        notes: &mut Notes,
    ) -> Result<(), PlatformError> {
        self.annotate(resize, machines, notes, false).await
    }

    /// Marks the machines that are to go, or takes the mark from those that have it.
    async fn annotate(
        &self,
        resize: &Resize<'_>,
        machines: &[Value],
        notes: &mut Notes,
        is_marked: bool,
    ) -> Result<(), PlatformError> {
        let Some(sort) = self.sort(machine::GROUP, "machines").await? else {
            return Ok(());
        };
        let value = if is_marked {
            json!("stormhook")
        } else {
            Value::Null
        };
        let change = json!({"metadata": {"annotations": {machine::DELETE_ANNOTATION: value}}});
        for host in resize.remove {
            let Some((namespace, name)) = host.id.split_once('/') else {
                continue;
            };
            let found = machines.iter().find(|one| one["metadata"]["name"] == name);
            let mark = found.map(|one| &one["metadata"]["annotations"][machine::DELETE_ANNOTATION]);
            let is_due = match mark {
                None => false,
                // Somebody else's mark is not taken away.
                Some(mark) if is_marked => mark.is_null(),
                Some(mark) => mark == "stormhook",
            };
            if !is_due {
                continue;
            }
            let timeout = self.connection.change_timeout();
            if is_marked {
                notes.permit(timeout)?;
            } else {
                notes.permit_last(timeout)?;
            }
            let path = sort.path_of(namespace, name);
            match self.connection.patch(&path, Patch::Merge, &change).await {
                // Marked or not, it is on its way out.
                Ok(_) | Err(Failure::NotFound(_)) => {}
                Err(failure) => return Err(failure.of_change()),
            }
        }
        Ok(())
    }
}

/// How far a pool is whose size is the goal.
fn progress(resize: &Resize<'_>, pool: &Pool, machines: &[Value]) -> Step {
    let there = |host: &&HostRef| {
        machines
            .iter()
            .any(|one| one["metadata"]["name"] == host.name.as_str())
    };
    let leaving: Vec<_> = resize.remove.iter().filter(there).collect();
    if let Some(host) = leaving.first() {
        let what = format!("{} of the pool {} is being removed", host.name, pool.id());
        return Step::Underway { what };
    }
    if resize.to < resize.from {
        return Step::Done;
    }
    let seen: Vec<_> = machines
        .iter()
        .filter_map(|one| Some((machine::see(one, false)?, one)))
        .collect();
    let working = seen.iter().filter(|(host, _)| host.is_working).count();
    let goal = usize::try_from(resize.to).unwrap_or(usize::MAX);
    let failed: Vec<_> = seen
        .iter()
        .filter_map(|(host, one)| Some(format!("{}: {}", host.name, machine::failure(one)?)))
        .collect();
    if seen.len() >= goal && working + failed.len() >= goal && !failed.is_empty() {
        return Step::Failed {
            code: Code::ProvisioningFailed,
            message: format!(
                "{} of {goal} machines of the pool {} failed: {}",
                failed.len(),
                pool.id(),
                failed.join("; ")
            ),
        };
    }
    if working < goal {
        let what = format!(
            "{working} of {goal} machines of the pool {} work",
            pool.id()
        );
        return Step::Underway { what };
    }
    Step::Done
}
