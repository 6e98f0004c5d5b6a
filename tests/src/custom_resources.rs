//! A double of an API server, for custom resources alone. The control plane of the other stories cannot stand in: version
//! 1.20 built with Go 1.19 ends when it is given a custom resource (a defect of its JSON library, cured in 1.22). This keeps
//! to the conventions that matter: versions, generations and conflicts, the scale and status subresources, label selectors,
//! watches, finalizers and owners, merge patches (RFC 7386) and JSON patches (RFC 6902). Secrets are kept here too.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
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
    /// What happened, with the version that the world had then.
    events: Vec<Event>,
    /// Tells those who watch that something happened.
    news: watch::Sender<u64>,
    refuses_scales: bool,
}

/// Something that happened to a thing.
#[derive(Clone)]
struct Event {
    version: u64,
    sort: &'static str,
    key: [String; 3],
    object: Value,
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
        self.up_with(folder, "", "").await
    }

    /// The same with further lines at the top of the configuration, and for the project.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn up_with(&self, folder: &Path, top: &str, project: &str) -> Up {
        let text = format!("{top}\n{}{project}\n", self.project(folder));
        let path = folder.join("stormhook.toml");
        std::fs::write(&path, text).expect("it is writable");
        let path = path.to_str().expect("a path in plain letters");
        Up::start_with(&folder.join("data"), &["--config", path]).await
    }

    /// The configuration of this as project 1a5, with a kubeconfig in `folder`.
    ///
    /// # Panics
    /// When that cannot be written.
    pub fn project(&self, folder: &Path) -> String {
        let cluster =
            json!({"name": "double", "cluster": {"server": format!("http://{}", self.address)}});
        let kubeconfig = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "double", "clusters": [cluster],
            "users": [{"name": "double", "user": {"token": "any"}}],
            "contexts": [{"name": "double", "context": {"cluster": "double", "user": "double"}}],
        });
        std::fs::write(folder.join("kubeconfig"), kubeconfig.to_string()).expect("it is writable");
        "[projects.1a5]\nplatform = \"kubernetes\"\nkubeconfig = \"kubeconfig\"\n".to_owned()
    }

    /// Adds a thing.
    pub fn create(&self, plural: &str, namespace: &str, name: &str, mut object: Value) {
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["name"] = json!(name);
        lock(&self.world).create(key(plural, namespace, name), object);
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

    /// Deletes a thing: at once, or when its last finalizer is gone.
    ///
    /// # Panics
    /// When it is not there.
    pub fn delete(&self, plural: &str, namespace: &str, name: &str) {
        let mut world = lock(&self.world);
        let (code, answer) = world.delete(key(plural, namespace, name), &Value::Null);
        assert_eq!(code, 200, "{answer}");
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
        let path = path.trim_matches('/');
        // The group of the oldest sorts has no name.
        let path = path
            .strip_prefix("api/")
            .map(|rest| format!("apis//{rest}"));
        let path = path.unwrap_or_else(|| {
            target
                .split('?')
                .next()
                .unwrap_or(target)
                .trim_matches('/')
                .to_owned()
        });
        let parts: Vec<_> = path.split('/').collect();
        match (method, &parts[..]) {
            ("GET", ["version"]) => (200, json!({"gitVersion": "v1.34.0-double"})),
            ("POST", ["apis", "authorization.k8s.io", ..]) => (201, body.clone()),
            ("GET", ["apis", group]) => self.group(group),
            ("GET", ["apis", group, version]) => self.resources(group, version),
            ("GET", ["apis", _, _, plural]) => self.list(plural, None, query),
            ("GET", ["apis", _, _, "namespaces", namespace, plural]) => {
                self.list(plural, Some(namespace), query)
            }
            ("POST", ["apis", _, _, "namespaces", namespace, plural]) => {
                let name = body["metadata"]["name"].as_str().unwrap_or_default();
                let key = key(plural, namespace, name);
                if self.objects.contains_key(&key) {
                    return status(409, &format!("{plural} \"{name}\" already exists"));
                }
                (201, self.create(key, body.clone()))
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
                    ("PATCH", ["status"]) => {
                        let mut object = object;
                        merge(&mut object["status"], &body["status"]);
                        (200, self.put(key, object))
                    }
                    ("PATCH", []) => {
                        let wanted = &body["metadata"]["resourceVersion"];
                        if !wanted.is_null() && *wanted != object["metadata"]["resourceVersion"] {
                            return status(409, "the object has been modified");
                        }
                        let mut object = object;
                        merge(&mut object, body);
                        (200, self.put(key, object))
                    }
                    ("DELETE", []) => self.delete(key, &body["preconditions"]["uid"]),
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
            json!({"kind": "List", "apiVersion": "v1", "metadata": {"resourceVersion": version}, "items": items}),
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
            if wanted == "test" {
                // What is not there is as good as null.
                if object.pointer(path).unwrap_or(&Value::Null) != &value {
                    return status(422, "the test of a JSON patch failed");
                }
                continue;
            }
            match object.pointer_mut(parent) {
                None => return status(422, "a JSON patch leads nowhere"),
                Some(Value::Array(list)) => match (wanted.as_str(), field.parse::<usize>()) {
                    (Some("remove"), Ok(place)) if place < list.len() => drop(list.remove(place)),
                    (Some("add"), _) if field == "-" => list.push(value),
                    _ => return status(422, "a JSON patch leads nowhere"),
                },
                Some(parent) => parent[field] = value,
            }
        }
        if object["metadata"]["resourceVersion"] != version {
            return status(409, "the object has been modified");
        }
        (200, self.put(key, object))
    }

    fn create(&mut self, key: [String; 3], mut object: Value) -> Value {
        let next = self.version + 1;
        let metadata = &mut object["metadata"];
        metadata["uid"] = json!(format!("uid-{next}"));
        metadata["generation"] = json!(1);
        let second = next % 60;
        metadata["creationTimestamp"] = json!(format!("2026-01-01T00:00:{second:02}Z"));
        self.put(key, object)
    }

    /// Writes a thing down. One that is being deleted goes with its last finalizer.
    fn put(&mut self, key: [String; 3], mut object: Value) -> Value {
        self.version += 1;
        let metadata = &mut object["metadata"];
        metadata["resourceVersion"] = json!(self.version.to_string());
        let old = self.objects.get(&key);
        if old.is_some_and(|old| old["spec"] != object["spec"]) {
            let generation = object["metadata"]["generation"].as_u64().unwrap_or(0);
            object["metadata"]["generation"] = json!(generation + 1);
        }
        let metadata = &object["metadata"];
        let is_kept = metadata["finalizers"]
            .as_array()
            .is_some_and(|held| !held.is_empty());
        let sort = if !metadata["deletionTimestamp"].is_null() && !is_kept {
            "DELETED"
        } else if old.is_none() {
            "ADDED"
        } else {
            "MODIFIED"
        };
        self.events.push(Event {
            version: self.version,
            sort,
            key: key.clone(),
            object: object.clone(),
        });
        self.news.send_replace(self.version);
        if sort == "DELETED" {
            self.objects.remove(&key);
            self.collect_garbage(&object["metadata"]["uid"]);
        } else {
            self.objects.insert(key, object.clone());
        }
        object
    }

    fn delete(&mut self, key: [String; 3], uid: &Value) -> Answer {
        let Some(mut object) = self.objects.get(&key).cloned() else {
            return status(404, "not found");
        };
        if !uid.is_null() && *uid != object["metadata"]["uid"] {
            return status(409, "the UID is another");
        }
        object["metadata"]["deletionTimestamp"] = json!("2026-01-02T00:00:00Z");
        (200, self.put(key, object))
    }

    /// Deletes what the thing with this UID owned.
    fn collect_garbage(&mut self, uid: &Value) {
        let is_owned = |object: &Value| {
            let owners = object["metadata"]["ownerReferences"].as_array();
            owners
                .into_iter()
                .flatten()
                .any(|owner| owner["uid"] == *uid)
        };
        let owned = self.objects.iter().filter(|(_, object)| is_owned(object));
        for key in owned.map(|(key, _)| key.clone()).collect::<Vec<_>>() {
            self.delete(key, &Value::Null);
        }
    }

    /// What happened to things of a sort after this version, each as a line, and the version now.
    fn lines_since(&self, version: u64, plural: &str, namespace: Option<&str>) -> (String, u64) {
        let mut lines = String::new();
        for event in &self.events {
            let [of_sort, within, _] = &event.key;
            if event.version > version
                && of_sort == plural
                && namespace.is_none_or(|one| one == within)
            {
                let line = json!({"type": event.sort, "object": event.object});
                lines.push_str(&format!("{line}\n"));
            }
        }
        (lines, self.version)
    }
}

/// What a request wants to be told of from then on: the plural, the namespace, and after which version.
fn watched(method: &str, target: &str) -> Option<(String, Option<String>, u64)> {
    let (path, query) = target.split_once('?')?;
    let pairs: BTreeMap<_, _> = query
        .split('&')
        .filter_map(|pair| pair.split_once('='))
        .collect();
    if method != "GET" || !matches!(pairs.get("watch"), Some(&("true" | "1"))) {
        return None;
    }
    let parts: Vec<_> = path.trim_matches('/').split('/').collect();
    let namespace = parts.iter().position(|part| *part == "namespaces");
    let namespace = namespace.and_then(|place| parts.get(place + 1));
    let version = pairs.get("resourceVersion")?.parse().ok()?;
    Some((
        (*parts.last()?).to_owned(),
        namespace.map(|name| (*name).to_owned()),
        version,
    ))
}

/// Tells what happens until the other side has enough.
async fn tell(
    stream: &mut TcpStream,
    world: &Mutex<World>,
    (plural, namespace, mut version): (String, Option<String>, u64),
) -> Option<()> {
    let head = "HTTP/1.1 200 X\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).await.ok()?;
    let mut news = lock(world).news.subscribe();
    let mut buffer = [0; 1];
    loop {
        let (lines, now) = lock(world).lines_since(version, &plural, namespace.as_deref());
        version = now;
        stream.write_all(lines.as_bytes()).await.ok()?;
        tokio::select! {
            changed = news.changed() => changed.ok()?,
            // It says nothing more, unless it goes.
            _ = stream.read(&mut buffer) => return None,
        }
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
    if let Some(wanted) = watched(method, target) {
        return tell(&mut stream, &world, wanted).await;
    }
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
