//! A real browser without a window: Chromium, told what to do by WebDriver.
//!
//! Owns chromedriver, the browser behind it and a profile that is gone at the end.
//! <https://www.w3.org/TR/webdriver2/>

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{free_port, process::Leashed, tail, wait_for};

pub struct Browser {
    port: u16,
    session: String,
    process: Leashed,
    folder: TempDir,
}

/// Whether pages are drawn on white or on black.
#[derive(Clone, Copy, Debug)]
pub enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// `None`, and a word about it, where it is not installed.
    pub fn start() -> Option<Self> {
        let programs = ["chromedriver", "chromium"].map(|name| Path::new("/usr/bin").join(name));
        let [driver, chromium] = programs.map(|path: PathBuf| path.is_file().then_some(path));
        let (Some(driver), Some(chromium)) = (driver, chromium) else {
            eprintln!("SKIPPED: Chromium is not installed (tests/servers/install.sh browser)");
            return None;
        };
        let folder = tempfile::Builder::new().prefix("tidegate-browser-").tempdir().unwrap();
        let (port, log) = (free_port(), folder.path().join("log"));
        let mut command = Command::new(driver);
        command.arg(format!("--port={port}"));
        let process = Leashed::start(&command, folder.path(), &log);
        let mut browser = Self { port, session: String::new(), process, folder };
        wait_for("chromedriver", Duration::from_secs(30), || {
            browser.try_send("GET", "/status", None)
        });
        browser.session = browser.open(&chromium, &log);
        Some(browser)
    }

    fn open(&self, chromium: &Path, log: &Path) -> String {
        let profile = self.folder.path().join("profile");
        let arguments = [
            "--headless=new",
            // Root may not use the sandbox, and a test's pages are its own.
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            &format!("--user-data-dir={}", profile.display()),
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": {"binary": chromium, "args": arguments},
            "goog:loggingPrefs": {"browser": "ALL"},
        }}});
        let answer = self.try_send("POST", "/session", Some(&wanted));
        let session = answer.as_ref().and_then(|it| it["sessionId"].as_str());
        session.unwrap_or_else(|| panic!("no browser: {answer:?}\n{}", tail(log, 30))).to_owned()
    }

    pub fn go(&self, url: &str) {
        self.send("POST", "/url", &json!({"url": url}));
    }

    /// What a script returns that is run in the page.
    pub fn run(&self, script: &str) -> Value {
        self.send("POST", "/execute/sync", &json!({"script": script, "args": []}))
    }

    /// The text of one element, as it is seen; empty where there is none.
    pub fn text(&self, selector: &str) -> String {
        let said = self.run(&format!("return document.querySelector({selector:?})?.innerText"));
        said.as_str().unwrap_or_default().to_owned()
    }

    pub fn until(&self, what: &str, is: impl Fn(&Self) -> bool) {
        wait_for(what, Duration::from_secs(30), || is(self).then_some(()));
    }

    /// Errors and refusals that the page has met.
    pub fn complaints(&self) -> Vec<String> {
        let log = self.send("POST", "/se/log", &json!({"type": "browser"}));
        let entries = log.as_array().cloned().unwrap_or_default();
        entries.iter().map(|entry| entry["message"].to_string()).collect()
    }

    pub fn look(&self, width: u32, height: u32, scheme: Scheme) {
        let scheme = match scheme {
            Scheme::Light => "light",
            Scheme::Dark => "dark",
        };
        let media = [json!({"name": "prefers-color-scheme", "value": scheme})];
        self.devtools("Emulation.setEmulatedMedia", &json!({"features": media}));
        let metrics = json!({
            "width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600,
        });
        self.devtools("Emulation.setDeviceMetricsOverride", &metrics);
    }

    /// As PNG, all of the page.
    pub fn screenshot(&self) -> Vec<u8> {
        let shot = json!({"format": "png", "captureBeyondViewport": true});
        let shot = self.devtools("Page.captureScreenshot", &shot);
        decode(shot["data"].as_str().unwrap())
    }

    fn devtools(&self, command: &str, parameters: &Value) -> Value {
        let command = json!({"cmd": command, "params": parameters});
        self.send("POST", "/goog/cdp/execute", &command)
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> Value {
        let path = format!("/session/{}{path}", self.session);
        let answer = self.try_send(method, &path, Some(body)).expect("chromedriver answers");
        assert!(answer["error"].is_null(), "{path} {body}: {answer}");
        answer
    }

    fn try_send(&self, method: &str, path: &str, body: Option<&Value>) -> Option<Value> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(60))).ok()?;
        let body = body.map(Value::to_string).unwrap_or_default();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: localhost:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).ok()?;
        stream.write_all(body.as_bytes()).ok()?;
        let mut answer = read_body(BufReader::new(stream))?;
        Some(answer["value"].take())
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let path = format!("/session/{}", self.session);
        let _ = self.try_send("DELETE", &path, None);
    }
}

/// It does not hang up, whatever it is asked.
fn read_body(mut stream: impl BufRead) -> Option<Value> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let (name, value) = line.split_once(':').unwrap_or((line.trim_end(), ""));
        match name {
            "" => break,
            _ if name.eq_ignore_ascii_case("content-length") => {
                length = value.trim().parse().ok()?;
            }
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

/// Base64.
fn decode(text: &str) -> Vec<u8> {
    const SIGNS: &str = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut have) = (0_u32, 0);
    for sign in text.chars() {
        let Some(value) = SIGNS.find(sign) else { break };
        (bits, have) = (bits << 6 | value as u32, have + 6);
        if have >= 8 {
            have -= 8;
            bytes.push((bits >> have) as u8);
        }
    }
    bytes
}
