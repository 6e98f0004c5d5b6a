//! What the JSON of machines and their pools says: Cluster API's MachineDeployments, v1beta1 and v1beta2, and the machine
//! pools of Rancher 2's clusters that they are made from. Pure.

use serde_json::Value;
use stormhook_shared::decide::HostSeen;
use stormhook_shared::domain::selector::Selector;
use stormhook_shared::domain::time::Timestamp;

use super::workload;

pub(super) const GROUP: &str = "cluster.x-k8s.io";
pub(super) const RANCHER_GROUP: &str = "provisioning.cattle.io";
/// On a machine: its pool.
pub(super) const POOL_LABEL: &str = "cluster.x-k8s.io/deployment-name";
/// On a machine: it goes first when its pool gets smaller, whatever the pool's delete policy.
pub(super) const DELETE_ANNOTATION: &str = "cluster.x-k8s.io/delete-machine";
const CLUSTER_LABEL: &str = "cluster.x-k8s.io/cluster-name";
const RANCHER_POOL_LABEL: &str = "rke.cattle.io/rke-machine-pool-name";

/// Some machines that are alike, and as many as somebody says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pool {
    pub(super) namespace: String,
    /// The MachineDeployment's.
    pub(super) name: String,
    pub(super) replicas: u32,
    pub(super) version: String,
    /// Where Rancher keeps its size: there the MachineDeployment's is only a copy.
    pub(super) rancher: Option<RancherPool>,
}

/// A machine pool of a cluster in the same namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RancherPool {
    pub(super) cluster: String,
    pub(super) name: String,
}

impl Pool {
    /// The pool of a MachineDeployment.
    pub(super) fn of(deployment: &Value) -> Option<Self> {
        let metadata = &deployment["metadata"];
        let labels = &deployment["spec"]["template"]["metadata"]["labels"];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let rancher = text(&labels[CLUSTER_LABEL]).zip(text(&labels[RANCHER_POOL_LABEL]));
        Some(Self {
            namespace: text(&metadata["namespace"])?,
            name: text(&metadata["name"])?,
            replicas: number(&deployment["spec"]["replicas"]).unwrap_or(1),
            version: workload::version(deployment)?,
            rancher: rancher.map(|(cluster, name)| RancherPool { cluster, name }),
        })
    }

    pub(super) fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}

/// Whether a MachineDeployment, or what it makes, carries the labels.
pub(super) fn is_selected(selector: &Selector, deployment: &Value) -> bool {
    let mut labels = workload::labels(&deployment["spec"]["template"]);
    labels.extend(workload::labels(deployment));
    selector.matches(&labels) && !workload::is_leaving(deployment)
}

/// A machine as a host of its pool; `None` if it is on its way out.
pub(super) fn see(machine: &Value, is_manager: bool) -> Option<HostSeen> {
    if workload::is_leaving(machine) || phase(machine) == "Deleting" {
        return None;
    }
    let metadata = &machine["metadata"];
    let (namespace, name) = (metadata["namespace"].as_str()?, metadata["name"].as_str()?);
    let created = metadata["creationTimestamp"].as_str().unwrap_or_default();
    Some(HostSeen {
        id: format!("{namespace}/{name}"),
        name: name.to_owned(),
        created_at: created.parse().unwrap_or(Timestamp::from_millis(0)),
        is_working: is_healthy(machine),
        is_cloneable: true,
        is_manager,
    })
}

/// Why a machine will not become a node by itself.
pub(super) fn failure(machine: &Value) -> Option<String> {
    let status = &machine["status"];
    let told = status["failureMessage"].as_str();
    if phase(machine) != "Failed" && told.is_none() {
        return None;
    }
    Some(told.unwrap_or("no reason given").to_owned())
}

pub(super) fn phase(machine: &Value) -> &str {
    machine["status"]["phase"].as_str().unwrap_or_default()
}

/// The place of a pool in a Rancher cluster, and its size; pools without one have one machine.
pub(super) fn rancher_quantity(cluster: &Value, pool: &str) -> Option<(usize, u32)> {
    let pools = cluster["spec"]["rkeConfig"]["machinePools"].as_array()?;
    let place = pools.iter().position(|one| one["name"] == pool)?;
    let quantity = number(&pools[place]["quantity"]).unwrap_or(1);
    Some((place, quantity))
}

/// Whether a pool of a Rancher cluster has nodes that manage the cluster.
pub(super) fn manages(cluster: &Value, place: usize) -> bool {
    let pool = &cluster["spec"]["rkeConfig"]["machinePools"][place];
    pool["etcdRole"] == true || pool["controlPlaneRole"] == true
}

pub(super) fn number(value: &Value) -> Option<u32> {
    value.as_u64().and_then(|number| u32::try_from(number).ok())
}

/// As Cluster API judges it when it chooses which machines go.
fn is_healthy(machine: &Value) -> bool {
    let status = &machine["status"];
    let conditions = status["conditions"].as_array();
    let is_false = |kind: &str| {
        let mut all = conditions.into_iter().flatten();
        all.any(|condition| condition["type"] == kind && condition["status"] == "False")
    };
    status["nodeRef"].is_object()
        && failure(machine).is_none()
        && !is_false("NodeHealthy")
        && !is_false("HealthCheckSucceeded")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn machine(status: &Value) -> Value {
        json!({"metadata": {"namespace": "fleet", "name": "web-1", "creationTimestamp": "2026-11-25T10:00:00Z"},
            "status": status})
    }

    #[test]
    fn a_machine_without_a_node_or_with_a_failed_check_does_not_work() {
        let node = json!({"name": "node1"});
        let check = |kind: &str| json!([{"type": kind, "status": "False"}]);
        for (status, expected) in [
            (json!({"phase": "Running", "nodeRef": node}), true),
            (json!({"phase": "Provisioning"}), false),
            (json!({"phase": "Failed", "nodeRef": node}), false),
            (
                json!({"nodeRef": node, "conditions": check("NodeHealthy")}),
                false,
            ),
            (
                json!({"nodeRef": node, "conditions": check("HealthCheckSucceeded")}),
                false,
            ),
            (
                json!({"nodeRef": node, "conditions": check("BootstrapReady")}),
                true,
            ),
        ] {
            let seen = see(&machine(&status), false).unwrap();
            assert_eq!(seen.is_working, expected, "{status}");
            assert_eq!(seen.id, "fleet/web-1");
        }
        assert!(see(&machine(&json!({"phase": "Deleting"})), false).is_none());
    }

    #[test]
    fn a_pool_is_found_by_its_labels_and_by_those_of_its_machines() {
        let deployment = json!({
            "metadata": {"namespace": "fleet", "name": "prod-web", "resourceVersion": "3", "labels": {"role": "web"}},
            "spec": {"replicas": 3, "template": {"metadata": {"labels": {
                "cluster.x-k8s.io/cluster-name": "prod", "rke.cattle.io/rke-machine-pool-name": "web"}}}},
        });
        let selector = |key| Selector::parse(key).unwrap();
        assert!(is_selected(&selector("role=web"), &deployment));
        assert!(is_selected(
            &selector("rke.cattle.io/rke-machine-pool-name=web"),
            &deployment
        ));
        assert!(!is_selected(&selector("role=db"), &deployment));
        let pool = Pool::of(&deployment).unwrap();
        assert_eq!((pool.id().as_str(), pool.replicas), ("fleet/prod-web", 3));
        assert_eq!(pool.rancher.unwrap().cluster, "prod");
    }

    #[test]
    fn a_rancher_pool_without_a_quantity_has_one_machine() {
        let cluster = json!({"spec": {"rkeConfig": {"machinePools": [
            {"name": "etcd", "quantity": 3, "etcdRole": true}, {"name": "web"}]}}});
        assert_eq!(rancher_quantity(&cluster, "etcd"), Some((0, 3)));
        assert_eq!(rancher_quantity(&cluster, "web"), Some((1, 1)));
        assert_eq!(rancher_quantity(&cluster, "db"), None);
        assert!(manages(&cluster, 0) && !manages(&cluster, 1));
    }
}
