//! A real browser: headless Chromium, driven through chromedriver, and what users do with the web page in it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tempfile::TempDir;
use thirtyfour::prelude::*;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::wait;

const DRIVER: &str = "chromedriver";
const BROWSER: &str = "chromium";

/// A browser with one page open.
pub struct Browser {
    driver: WebDriver,
    _child: Child,
    _profile: TempDir,
    /// Where the page is.
    pub address: String,
}

/// Whether there is a browser. Where there is none, this is said; in continuous integration it is an error.
///
/// # Panics
/// In continuous integration, when there is none.
pub fn is_missing() -> bool {
    let is_there = |program: &str| {
        let found = std::process::Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        found.is_ok_and(|status| status.success())
    };
    if is_there(DRIVER) && is_there(BROWSER) {
        return false;
    }
    assert!(
        std::env::var_os("CI").is_none(),
        "{BROWSER} or {DRIVER} is missing: run scripts/install-test-tools"
    );
    eprintln!(
        "skipped: {BROWSER} or {DRIVER} is missing, so the web page is not tested; run scripts/install-test-tools"
    );
    true
}

impl Browser {
    /// Opens the page at the address of an ingress.
    ///
    /// # Panics
    /// When the browser does not start.
    pub async fn open(address: &str) -> Self {
        let mut child = Command::new(DRIVER)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("chromedriver starts");
        let port = port(&mut child).await;
        let profile = tempfile::tempdir().expect("a folder for the browser");
        let mut options = DesiredCapabilities::chrome();
        for argument in [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-dev-shm-usage",
            "--enable-precise-memory-info",
            "--js-flags=--expose-gc",
            "--lang=en-GB",
            "--window-size=1440,900",
        ] {
            options.add_arg(argument).expect("an argument");
        }
        let folder = format!("--user-data-dir={}", profile.path().display());
        options.add_arg(&folder).expect("an argument");
        let driver = WebDriver::new(format!("http://127.0.0.1:{port}"), options)
            .await
            .expect("the browser starts");
        let browser = Self {
            driver,
            _child: child,
            _profile: profile,
            address: address.to_owned(),
        };
        browser.go(&format!("{address}/")).await;
        browser
    }

    /// Opens the page and signs in with a key.
    ///
    /// # Panics
    /// When that is refused.
    pub async fn signed_in(address: &str, key: (&str, &str)) -> Self {
        let browser = Self::open(address).await;
        browser.sign_in(key).await;
        browser.see("nav a[aria-current]").await;
        browser
    }

    /// Fills in the sign-in form and sends it.
    ///
    /// # Panics
    /// When there is no such form.
    pub async fn sign_in(&self, (access_key, secret_key): (&str, &str)) {
        self.fill("input[name=accessKey]", access_key).await;
        self.fill("input[name=secretKey]", secret_key).await;
        self.click("form .primary").await;
    }

    /// Goes to an address.
    ///
    /// # Panics
    /// When that cannot be loaded.
    pub async fn go(&self, address: &str) {
        self.driver.goto(address).await.expect("it is loaded");
    }

    /// Goes to one of the page's places in the project, like `receivers`.
    ///
    /// # Panics
    /// When the browser does not answer.
    pub async fn visit(&self, place: &str) {
        let script = "location.hash = arguments[0]";
        self.run(script, &[json!(format!("#/1a5/{place}"))]).await;
    }

    /// Runs a script in the page, and returns what it returns.
    ///
    /// # Panics
    /// When it fails.
    pub async fn run(&self, script: &str, arguments: &[Value]) -> Value {
        let result = self.driver.execute(script, arguments.to_vec()).await;
        result.expect("the script runs").json().clone()
    }

    /// The element that `css` names, once it is there and to be seen.
    ///
    /// # Panics
    /// When it does not appear.
    pub async fn see(&self, css: &str) -> WebElement {
        wait::until(css, || async {
            let found = self.driver.find(By::Css(css)).await;
            let element = found.map_err(|_| "no such element".to_owned())?;
            match element.is_displayed().await {
                Ok(true) => Ok(element),
                _ => Err("a hidden element".to_owned()),
            }
        })
        .await
    }

    /// Waits until the element that `css` names has `text` in it.
    ///
    /// # Panics
    /// When it never has.
    pub async fn read(&self, css: &str, text: &str) {
        wait::until(&format!("{text:?} in {css}"), || async {
            let seen = self.text(css).await;
            if seen.contains(text) {
                Ok(())
            } else {
                Err(seen)
            }
        })
        .await;
    }

    /// The text of everything that `css` names; empty where there is nothing.
    ///
    /// # Panics
    /// When the browser does not answer.
    pub async fn text(&self, css: &str) -> String {
        let script = "return [...document.querySelectorAll(arguments[0])].map((one) => one.innerText).join('\\n')";
        let text = self.run(script, &[json!(css)]).await;
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Clicks on what `css` names, once that can be clicked.
    ///
    /// # Panics
    /// When it never can.
    pub async fn click(&self, css: &str) {
        wait::until(&format!("a click on {css}"), || async {
            let element = self.see(css).await;
            element.click().await.map_err(|error| error.to_string())
        })
        .await;
    }

    /// Clicks on the button, link or menu item with this text inside of what `css` names.
    ///
    /// # Panics
    /// When there is none.
    pub async fn press(&self, css: &str, text: &str) {
        let script = "const all = [...document.querySelectorAll(`${arguments[0]} button, ${arguments[0]} a`)];
            const found = all.find((one) => one.innerText.trim() === arguments[1] && !one.disabled);
            if (found) found.click();
            return Boolean(found)";
        wait::until(&format!("{text:?} in {css}"), || async {
            match self.run(script, &[json!(css), json!(text)]).await {
                Value::Bool(true) => Ok(()),
                _ => Err(self.text(css).await),
            }
        })
        .await;
    }

    /// Chooses an action from the menu of a receiver in the table.
    ///
    /// # Panics
    /// When there is none.
    pub async fn act(&self, receiver: &str, action: &str) {
        self.click(&format!("button[aria-label=\"Actions for {receiver}\"]"))
            .await;
        self.press("[role=menu]", action).await;
    }

    /// Types `text` into the empty field that `css` names, in place of what is in it.
    ///
    /// # Panics
    /// When there is no such field.
    pub async fn fill(&self, css: &str, text: &str) {
        let field = self.see(css).await;
        field.clear().await.expect("it can be emptied");
        field.send_keys(text).await.expect("it takes keys");
    }

    /// Chooses the option with this value.
    ///
    /// # Panics
    /// When there is none.
    pub async fn choose(&self, css: &str, value: &str) {
        self.click(&format!("{css} option[value=\"{value}\"]"))
            .await;
    }

    /// Makes the page so wide, without and with what surrounds it.
    ///
    /// # Panics
    /// When the browser refuses.
    pub async fn resize(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        let method = "Emulation.setDeviceMetricsOverride";
        let set = self.driver.cdp().send_raw(method, size).await;
        set.expect("the browser takes the size");
    }

    /// Writes a picture of the whole page to the folder of the tests' artefacts.
    ///
    /// # Panics
    /// When it cannot be written.
    pub async fn picture(&self, name: &str) {
        let height = self
            .run("return document.documentElement.scrollHeight", &[])
            .await;
        let width = self.run("return innerWidth", &[]).await;
        let clip = json!({"x": 0, "y": 0, "width": width, "height": height, "scale": 1});
        let options = json!({"format": "png", "captureBeyondViewport": true, "clip": clip});
        let tools = self.driver.cdp();
        let taken = tools.send_raw("Page.captureScreenshot", options).await;
        let data = taken.expect("a picture")["data"].clone();
        let data = data.as_str().expect("it is a text");
        let bytes = STANDARD.decode(data).expect("it is base64");
        let folder = artefacts();
        std::fs::create_dir_all(&folder).expect("a folder for pictures");
        std::fs::write(folder.join(format!("{name}.png")), bytes).expect("the picture is kept");
    }

    /// The cookies of the page.
    ///
    /// # Panics
    /// When the browser does not tell.
    pub async fn cookies(&self) -> Vec<Cookie> {
        self.driver.get_all_cookies().await.expect("cookies")
    }

    /// Goes into the first frame of the page. Returns the text that is in it.
    ///
    /// # Panics
    /// When there is none.
    pub async fn text_of_frame(&self) -> String {
        let frame = self.see("iframe").await;
        frame.enter_frame().await.expect("it can be entered");
        let body = self.driver.find(By::Css("body")).await;
        let text = match body {
            Ok(body) => body.text().await.unwrap_or_default(),
            Err(_) => String::new(),
        };
        self.driver
            .enter_default_frame()
            .await
            .expect("it can be left");
        text
    }

    /// Closes the browser.
    ///
    /// # Panics
    /// When it does not close.
    pub async fn close(self) {
        self.driver.quit().await.expect("it closes");
    }
}

/// Where pictures are kept.
pub fn artefacts() -> PathBuf {
    let test = std::env::current_exe().expect("a running program has a path");
    let target = test.ancestors().nth(3).unwrap_or_else(|| Path::new("."));
    target.join("screenshots")
}

/// The port that chromedriver says it took.
async fn port(child: &mut Child) -> u16 {
    let stdout = child.stdout.take().expect("it is piped");
    let mut lines = BufReader::new(stdout).lines();
    let told = async {
        while let Ok(Some(line)) = lines.next_line().await {
            let port = line
                .strip_suffix('.')
                .and_then(|line| line.rsplit("on port ").next()?.parse().ok());
            if let Some(port) = port {
                return port;
            }
        }
        panic!("chromedriver ended");
    };
    let port = tokio::time::timeout(Duration::from_secs(60), told);
    let port = port.await.expect("chromedriver tells its port");
    // It goes on writing, and must not stop at a full pipe.
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    port
}
