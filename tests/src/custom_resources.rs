//! A double of an API server, for custom resources alone. The control plane of the other stories cannot stand in: version
//! 1.20 built with Go 1.19 ends when it is given a custom resource (a defect of its JSON library, cured in 1.22). This keeps
//! to the conventions that matter: versions and conflicts, the scale subresource, label selectors, merge patches (RFC 7386)
//! and JSON patches (RFC 6902).

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::up::Up;

/// A running double; it stops when this is dropped.
pub struct CustomResources {
    world: Arc<Mutex<World>>,
    address: String,
    server: JoinHandle<()>,
}

/// A sort of things: its group, the versions that are served (the preferred one first), and its plural and kind.
#[derive(Debug, Clone)]
pub struct Sort {
    /// Like `cluster.x-k8s.io`.
    pub group: &'static str,
    /// Like `["v1beta2", "v1beta1"]`.
    pub versions: Vec<&'static str>,
    /// Like `machines`.
    pub plural: &'static str,
    /// Like `Machine`.
    pub kind: &'static str,
    /// Where its scale is in `spec`, if it has one.
    pub scale: Option<&'static str>,
}

#[derive(Default)]
struct World {
    sorts: Vec<Sort>,
    /// By plural, namespace and name.
    objects: BTreeMap<[String; 3], Value>,
    version: u64,
    refuses_scales: bool,
}

/// The status and the body of an answer.
type Answer = (u16, Value);

impl CustomResources {
    /// Starts one that knows these sorts of things.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start(sorts: &[Sort]) -> Self {
        let world = Arc::new(Mutex::new(World {
            sorts: sorts.to_vec(),
            ..World::default()
        }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it listens").to_string();
        let serving = Arc::clone(&world);
        let server = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, Arc::clone(&serving)));
            }
        });
        Self {
            world,
            address,
            server,
        }
    }

    /// Starts `stormhook up` with this as project 1a5.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn up(&self, folder: &Path) -> Up {
        let cluster =
            json!({"name": "double", "cluster": {"server": format!("http://{}", self.address)}});
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "double", "clusters": [cluster],
            "users": [{"name": "double", "user": {"token": "any"}}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "double"}}],
        });
        std::fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).expect("it is writable");
        let text = "[projects.1a5]\nplatform = \"kubernetes\"\nkubeconfig = \"kubeconfig\"\n";
        let path = folder.join("stormhook.toml");
        std::fs::write(&path, text).expect("it is writable");
        let path = path.to_str().expect("a path in plain letters");
        Up::start_with(&folder.join("data"), &["--config", path]).await
    }

    /// Adds a thing.
    pub fn create(&self, plural: &str, namespace: &str, name: &str, mut object: Value) {
        let mut world = lock(&self.world);
        world.version += 1;
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["name"] = json!(name);
        metadata["resourceVersion"] = json!(world.version.to_string());
        let second = world.version % 60;
        metadata["creationTimestamp"] = json!(format!("2026-01-01T00:00:{second:02}Z"));
        world.objects.insert(key(plural, namespace, name), object);
    }

    /// A thing as it is.
    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<Value> {
        let world = lock(&self.world);
        world.objects.get(&key(plural, namespace, name)).cloned()
    }

    /// All things of a sort.
    pub fn all(&self, plural: &str) -> Vec<Value> {
        let world = lock(&self.world);
        let of_sort = world.objects.iter().filter(|(key, _)| key[0] == plural);
        of_sort.map(|(_, object)| object.clone()).collect()
    }

    /// Changes a thing.
    ///
    /// # Panics
    /// When it is not there.
    pub fn merge(&self, plural: &str, namespace: &str, name: &str, change: &Value) {
        let mut world = lock(&self.world);
        let found = world.objects.get(&key(plural, namespace, name));
        let mut object = found.expect("it is there").clone();
        merge(&mut object, change);
        world.put(key(plural, namespace, name), object);
    }

    /// Takes a thing away.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        lock(&self.world)
            .objects
            .remove(&key(plural, namespace, name));
    }

    /// From now on, an admission webhook refuses other scales.
    pub fn refuse_scales(&self) {
        lock(&self.world).refuses_scales = true;
    }
}

impl Drop for CustomResources {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl World {
    fn answer(&mut self, method: &str, target: &str, body: &Value, content_type: &str) -> Answer {
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let parts: Vec<_> = path.trim_matches('/').split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["version"]) => (200, json!({"gitVersion": "v1.34.0-double"})),
            ("POST", ["apis", "authorization.k8s.io", ..]) => (201, body.clone()),
            ("GET", ["apis", group]) => self.group(group),
            ("GET", ["apis", group, version]) => self.resources(group, version),
            ("GET", ["apis", _, _, plural]) => self.list(plural, None, query),
            ("GET", ["apis", _, _, "namespaces", namespace, plural]) => {
                self.list(plural, Some(namespace), query)
            }
            (
                _,
                [
                    "apis",
                    _,
                    _,
                    "namespaces",
                    namespace,
                    plural,
                    name,
                    rest @ ..,
                ],
            ) => {
                let key = key(plural, namespace, name);
                let Some(object) = self.objects.get(&key).cloned() else {
                    return status(404, &format!("{plural} \"{name}\" not found"));
                };
                match (method, rest) {
                    ("GET", []) => (200, object),
                    ("GET", ["scale"]) => self.scale_of(plural, &object),
                    ("PUT", ["scale"]) => self.scale(plural, key, object, body),
                    ("PATCH", []) if content_type.contains("json-patch") => {
                        self.operate(key, object, body)
                    }
                    ("PATCH", []) => {
                        let mut object = object;
                        merge(&mut object, body);
                        (200, self.put(key, object))
                    }
                    _ => status(405, "method not allowed"),
                }
            }
            _ => status(404, "the server could not find the requested resource"),
        }
    }

    fn group(&self, group: &str) -> Answer {
        let Some(sort) = self.sorts.iter().find(|sort| sort.group == group) else {
            return status(404, "no such group");
        };
        let versions: Vec<_> = sort
            .versions
            .iter()
            .map(|version| json!({"version": version}))
            .collect();
        (
            200,
            json!({"kind": "APIGroup", "preferredVersion": versions[0], "versions": versions}),
        )
    }

    fn resources(&self, group: &str, version: &str) -> Answer {
        let served = |sort: &&Sort| sort.group == group && sort.versions.contains(&version);
        let resources: Vec<_> = self
            .sorts
            .iter()
            .filter(served)
            .flat_map(|sort| {
                let scale = sort
                    .scale
                    .map(|_| json!({"name": format!("{}/scale", sort.plural), "kind": "Scale"}));
                [json!({"name": sort.plural, "kind": sort.kind})]
                    .into_iter()
                    .chain(scale)
            })
            .collect();
        (
            200,
            json!({"kind": "APIResourceList", "resources": resources}),
        )
    }

    fn list(&self, plural: &str, namespace: Option<&str>, query: &str) -> Answer {
        let wanted = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("labelSelector="))
            .map(|selector| selector.replace("%3D", "=").replace("%2F", "/"));
        let is_wanted = |object: &Value| {
            wanted.as_ref().is_none_or(|selector| {
                let (label, value) = selector.split_once('=').expect("a pair");
                object["metadata"]["labels"][label] == value
            })
        };
        let items: Vec<_> = self
            .objects
            .iter()
            .filter(|(key, _)| key[0] == plural && namespace.is_none_or(|one| key[1] == one))
            .filter(|(_, object)| is_wanted(object))
            .map(|(_, object)| object.clone())
            .collect();
        let version = self.version.to_string();
        (
            200,
            json!({"kind": "List", "metadata": {"resourceVersion": version}, "items": items}),
        )
    }

    fn scale_of(&self, plural: &str, object: &Value) -> Answer {
        let sort = self.sorts.iter().find(|sort| sort.plural == plural);
        let Some(field) = sort.and_then(|sort| sort.scale) else {
            return status(404, "it has no scale");
        };
        let spec = json!({"replicas": object["spec"][field]});
        (
            200,
            json!({"kind": "Scale", "metadata": object["metadata"], "spec": spec}),
        )
    }

    fn scale(&mut self, plural: &str, key: [String; 3], mut object: Value, body: &Value) -> Answer {
        if self.refuses_scales {
            let message = "admission webhook \"budget.example.org\" denied the request: too dear";
            return status(403, message);
        }
        if body["metadata"]["resourceVersion"] != object["metadata"]["resourceVersion"] {
            return status(409, "the object has been modified");
        }
        let sort = self.sorts.iter().find(|sort| sort.plural == plural);
        let Some(field) = sort.and_then(|sort| sort.scale) else {
            return status(404, "it has no scale");
        };
        object["spec"][field] = body["spec"]["replicas"].clone();
        self.put(key, object);
        (200, body.clone())
    }

    fn operate(&mut self, key: [String; 3], mut object: Value, operations: &Value) -> Answer {
        let version = object["metadata"]["resourceVersion"].clone();
        for operation in operations.as_array().into_iter().flatten() {
            let path = operation["path"].as_str().unwrap_or_default();
            let (parent, field) = path.rsplit_once('/').unwrap_or_default();
            let (wanted, value) = (&operation["op"], operation["value"].clone());
            if wanted == "test" && object.pointer(path) != Some(&value) {
                return status(422, "the test of a JSON patch failed");
            }
            if wanted != "test" {
                let Some(parent) = object.pointer_mut(parent) else {
                    return status(422, "a JSON patch leads nowhere");
                };
                parent[field] = value;
            }
        }
        if object["metadata"]["resourceVersion"] != version {
            return status(409, "the object has been modified");
        }
        (200, self.put(key, object))
    }

    fn put(&mut self, key: [String; 3], mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(key, object.clone());
        object
    }
}

async fn serve(mut stream: TcpStream, world: Arc<Mutex<World>>) -> Option<()> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 8192];
    let (head, body) = loop {
        let read = stream
            .read(&mut buffer)
            .await
            .ok()
            .filter(|read| *read > 0)?;
        bytes.extend_from_slice(&buffer[..read]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let length = header(head, "content-length").map_or(0, |text| text.parse().unwrap_or(0));
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let mut line = head.split_whitespace();
    let (method, target) = (line.next()?, line.next()?);
    let content_type = header(&head, "content-type").unwrap_or_default();
    let body = serde_json::from_str(&body).unwrap_or(Value::Null);
    let (code, answer) = lock(&world).answer(method, target, &body, &content_type);
    let text = answer.to_string();
    let answer = format!(
        "HTTP/1.1 {code} X\r\ncontent-type: application/json\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{text}",
        text.len()
    );
    stream.write_all(answer.as_bytes()).await.ok()
}

fn header(head: &str, name: &str) -> Option<String> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_owned())
    })
}

/// RFC 7386.
fn merge(object: &mut Value, change: &Value) {
    let Value::Object(fields) = change else {
        *object = change.clone();
        return;
    };
    if !object.is_object() {
        *object = json!({});
    }
    for (field, value) in fields {
        match object.as_object_mut() {
            Some(object) if value.is_null() => drop(object.remove(field)),
            _ => merge(&mut object[field], value),
        }
    }
}

fn status(code: u16, message: &str) -> Answer {
    (
        code,
        json!({"kind": "Status", "apiVersion": "v1", "code": code, "message": message}),
    )
}

fn key(plural: &str, namespace: &str, name: &str) -> [String; 3] {
    [plural, namespace, name].map(str::to_owned)
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}
