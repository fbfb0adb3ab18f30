//! A browser without a window, driven over WebDriver (W3C), and the checks of axe.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use countersign_testkit::Connection;
use serde_json::{Value, json};

use super::waiting::eventually;
use crate::program::repository;

/// How long a page may take to show something.
const PATIENCE: Duration = Duration::from_secs(20);

/// By what WebDriver calls an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// Chromium with its driver; both end with the test.
pub(crate) struct Browser {
    driver: Child,
    address: SocketAddr,
}

/// Somebody's window: its cookies are its own.
pub(crate) struct Window<'a> {
    browser: &'a Browser,
    session: String,
    site: String,
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _gone = self.driver.kill();
        let _ended = self.driver.wait();
    }
}

impl Browser {
    /// Starts it; `None`, said aloud, where none is installed.
    pub(crate) fn start() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut driver) = command.spawn() else {
            let mut log = std::io::stderr();
            writeln!(log, "left out: there is no chromedriver here").unwrap();
            return None;
        };
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| {
            let line = line.unwrap();
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse::<u16>().ok()
        });
        // What it says later is of no interest, and must not block it.
        std::thread::spawn(move || lines.for_each(drop));
        let address = SocketAddr::from(([127, 0, 0, 1], port.unwrap()));
        Some(Self { driver, address })
    }

    async fn call(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        let mut connection = Connection::plain(self.address).await.unwrap();
        let answer = connection.json(method, path, None, body).await.unwrap();
        assert_eq!(answer.status, 200, "{method} {path} {}", answer.text());
        answer.json()["value"].clone()
    }

    /// A window with no cookies, for pages of this server.
    pub(crate) async fn window(&self, site: SocketAddr) -> Window<'_> {
        self.window_at(&format!("http://{site}")).await
    }

    /// The same, for pages of a server that has a name.
    pub(crate) async fn window_at(&self, site: &str) -> Window<'_> {
        let arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"];
        let options = json!({ "args": arguments });
        let wanted = json!({ "capabilities": { "alwaysMatch": { "goog:chromeOptions": options } } });
        let made = self.call("POST", "/session", Some(&wanted)).await;
        let session = made["sessionId"].as_str().unwrap().to_owned();
        Window { browser: self, session, site: site.to_owned() }
    }
}

impl Window<'_> {
    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        self.browser.call(method, &path, (method == "POST").then_some(body)).await
    }

    /// Goes to a page.
    pub(crate) async fn go(&self, path: &str) {
        self.call("POST", "/url", &json!({ "url": format!("{}{path}", self.site) })).await;
    }

    /// What a script gives.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] })).await
    }

    async fn element(&self, selector: &str) -> String {
        let what = format!("an element {selector}");
        let wanted = json!({ "using": "css selector", "value": selector });
        let found = eventually(PATIENCE, &what, async || {
            let found = self.call("POST", "/elements", &wanted).await;
            found[0][ELEMENT].as_str().map(ToOwned::to_owned)
        });
        found.await
    }

    /// Clicks on what a person would, as soon as it is there.
    pub(crate) async fn click(&self, selector: &str) {
        let element = self.element(selector).await;
        self.call("POST", &format!("/element/{element}/click"), &json!({})).await;
    }

    /// Writes into a field.
    pub(crate) async fn write(&self, selector: &str, text: &str) {
        let element = self.element(selector).await;
        self.call("POST", &format!("/element/{element}/clear"), &json!({})).await;
        self.call("POST", &format!("/element/{element}/value"), &json!({ "text": text })).await;
    }

    /// What is to be read on the page.
    pub(crate) async fn text(&self) -> String {
        self.run("return document.querySelector('main')?.innerText ?? ''").await.as_str().unwrap().to_owned()
    }

    /// Waits until the page says this.
    pub(crate) async fn reads(&self, words: &str) {
        let said = eventually(PATIENCE, words, async || self.text().await.contains(words).then_some(()));
        said.await;
    }

    /// Waits until the page follows what changes.
    pub(crate) async fn is_live(&self) {
        let live = "return document.documentElement.dataset.live === 'on'";
        eventually(PATIENCE, "a live page", async || (self.run(live).await == true).then_some(())).await;
    }

    /// Plugs a security key in that somebody touches whenever it asks (WebAuthn, section 11): its name.
    pub(crate) async fn security_key(&self) -> String {
        let key = json!({ "protocol": "ctap2", "transport": "usb", "isUserConsenting": true });
        self.call("POST", "/webauthn/authenticator", &key).await.as_str().unwrap().to_owned()
    }

    /// The passkeys in a security key.
    pub(crate) async fn passkeys(&self, key: &str) -> Vec<Value> {
        let path = format!("/webauthn/authenticator/{key}/credentials");
        self.call("GET", &path, &Value::Null).await.as_array().unwrap().clone()
    }

    /// Puts another passkey in the place of those in a security key.
    pub(crate) async fn replace_passkeys(&self, key: &str, passkey: &Value) {
        let path = format!("/webauthn/authenticator/{key}/credential");
        self.call("DELETE", &format!("{path}s"), &Value::Null).await;
        self.call("POST", &path, passkey).await;
    }

    /// Shows pages as somebody sees them who wants `light` or `dark`, on a screen so wide.
    pub(crate) async fn look(&self, theme: &str, width: u32) {
        let theme = json!({ "features": [{ "name": "prefers-color-scheme", "value": theme }] });
        let screen = json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600 });
        for (command, params) in
            [("Emulation.setEmulatedMedia", theme), ("Emulation.setDeviceMetricsOverride", screen)]
        {
            self.call("POST", "/goog/cdp/execute", &json!({ "cmd": command, "params": params })).await;
        }
    }

    /// What axe finds serious about the page: the rule, and where.
    pub(crate) async fn barriers(&self, axe: &str) -> Vec<String> {
        let script = format!(
            "{axe}; const done = arguments[arguments.length - 1];
             axe.run(document, {{ resultTypes: ['violations'] }}).then((found) => done(found.violations
                 .filter((one) => one.impact === 'serious' || one.impact === 'critical')
                 .map((one) => one.id + ': ' + one.nodes.map((node) => node.target + ' ' + node.failureSummary)
                     .join(' | '))));"
        );
        let found = self.call("POST", "/execute/async", &json!({ "script": script, "args": [] })).await;
        found.as_array().unwrap().iter().map(|one| one.as_str().unwrap().to_owned()).collect()
    }

    /// Ends it.
    pub(crate) async fn close(self) {
        self.call("DELETE", "", &Value::Null).await;
    }
}

/// The source of axe, installed where it is not yet; `None`, said aloud: it cannot be here.
pub(crate) fn axe() -> Option<String> {
    let folder: PathBuf = repository().join("crates/countersign/tests/browser");
    let source = folder.join("node_modules/axe-core/axe.min.js");
    if !source.exists() {
        let mut npm = Command::new("npm");
        npm.args(["install", "--no-audit", "--no-fund", "--no-package-lock"]).current_dir(&folder);
        if !npm.output().is_ok_and(|ran| ran.status.success()) {
            let mut log = std::io::stderr();
            writeln!(log, "left out: axe-core cannot be installed here").unwrap();
            return None;
        }
    }
    Some(fs_err::read_to_string(source).unwrap())
}
