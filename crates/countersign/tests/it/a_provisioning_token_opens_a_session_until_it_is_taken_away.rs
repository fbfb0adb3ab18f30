//! Proves that a device without a certificate gets in at the listener for tokens, and there alone, by the token that
//! was set for it, onto its own topics; that whatever else it shows is refused with a reason of its own; and that its
//! live session ends within a second of whatever ends it: a new token, none any more, quarantine, its tenant
//! suspended, or certificates enforced.

use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{Device, Installation, Mosquitto, Running, Time, done, until};

/// Within which a session is to be over.
const AT_ONCE: Duration = Duration::from_secs(1);

const TOKENS: &str = "[mqtt_door]\ntoken_listen = \"127.0.0.1:0\"\n";

/// A device of acme's that has no certificate to show.
struct Legacy<'a> {
    installation: &'a Installation,
    device: Device,
    token: String,
}

impl<'a> Legacy<'a> {
    async fn of(installation: &'a Installation, name: &str) -> Self {
        let key = installation.admin().enrollment_key(json!({ "tenant": "acme" })).await.key;
        let own = countersign_testkit::TestKey::generate(countersign_testkit::KeyKind::P256);
        let device = Device::enrol_with(installation, &key, name, own).await;
        fs_err::write(installation.folder().join("root.pem"), installation.root_pem()).unwrap();
        let mut legacy = Self { installation, device, token: String::new() };
        legacy.token = legacy.set().await;
        legacy
    }

    fn path(&self) -> String {
        format!("/devices/{}/provisioning-token", self.device.id)
    }

    /// Sets a fresh one.
    async fn set(&self) -> String {
        let set = done(&self.installation.admin().call("PUT", &self.path(), Some(&json!({}))).await);
        set["token"].as_str().unwrap().to_owned()
    }

    fn topic(&self, rest: &str) -> String {
        format!("tenant/acme/device/{}/{rest}", self.device.name)
    }

    fn client(&self, program: &str, token: Option<&str>) -> Command {
        let mut command = Command::new(program);
        let port = self.installation.ports()["mqttTokens"].to_string();
        command.current_dir(self.installation.folder()).args(["-V", "mqttv5", "-q", "1"]);
        command.args(["-h", "127.0.0.1", "-p", &port, "--cafile", "root.pem"]);
        command.args(["-u", &format!("acme/{}", self.device.name)]);
        command.args(token.into_iter().flat_map(|token| ["-P", token]));
        command
    }

    fn say(&self, token: Option<&str>, topic: &str, message: &str) -> Output {
        self.client("mosquitto_pub", token).args(["-t", topic, "-m", message]).output().unwrap()
    }

    fn says_telemetry(&self, token: &str) -> bool {
        self.say(Some(token), &self.topic("telemetry"), GOOD).status.success()
    }

    /// Listens, and does so by the time it returns: it has heard of the command that waits for it.
    async fn listening(&self) -> Running {
        let log = self.installation.folder().join(format!("{}.heard", self.device.name));
        let heard = fs_err::File::create(&log).unwrap().into_file();
        let mut command = self.client("mosquitto_sub", Some(&self.token));
        command.args(["-t", &self.topic("commands")]).stdout(heard).stderr(Stdio::null());
        let process = Running::start(&mut command);
        until("it listens", async || fs_err::read_to_string(&log).unwrap().contains("ping")).await;
        process
    }
}

const GOOD: &str = r#"{"site_id":"default","metrics":{"temp":22.5}}"#;

async fn opened(config: &str) -> Installation {
    let installation = Installation::configured(config, Time::Real).await;
    done(&installation.admin().post("/tenants", &json!({ "slug": "acme", "name": "Acme" })).await);
    installation
}

/// How often sessions were cut.
fn cuts(installation: &Installation) -> usize {
    installation.log().matches("end=Cut").count()
}

async fn is_told(installation: &Installation, code: &str) {
    let code = format!("code=\"{code}\"");
    until(&code, async || installation.log().contains(&code)).await;
}

#[tokio::test]
async fn only_the_token_that_was_set_opens_it_and_only_for_its_own_device() {
    let installation = opened(TOKENS).await;
    let (pump, fan) = (Legacy::of(&installation, "pump").await, Legacy::of(&installation, "fan").await);
    assert!(pump.says_telemetry(&pump.token));
    let taken = done(&installation.admin().get("/telemetry").await);
    assert_eq!(taken["messages"][0]["device"], "pump", "{taken}");

    assert!(!pump.says_telemetry(&fan.token), "another's");
    is_told(&installation, "TOKEN_INVALID").await;
    assert!(!pump.say(None, &pump.topic("telemetry"), GOOD).status.success());
    is_told(&installation, "TOKEN_MISSING").await;
    done(&installation.admin().call("DELETE", &fan.path(), None).await);
    assert!(!fan.says_telemetry(&fan.token), "removed");
    is_told(&installation, "TOKEN_NOT_SET_IN_REGISTRY").await;
    done(&installation.admin().get(&fan.path()).await);

    let mut nobody = Command::new("mosquitto_pub");
    let port = installation.ports()["mqttTokens"].to_string();
    nobody.current_dir(installation.folder()).args(["-h", "127.0.0.1", "-p", &port, "--cafile", "root.pem"]);
    nobody.args(["-u", "acme/nobody", "-P", &pump.token, "-t", "a", "-m", "b"]);
    assert!(!nobody.output().unwrap().status.success());
    is_told(&installation, "AUTH_FAILED").await;

    let strange = pump.say(Some(&pump.token), &fan.topic("telemetry"), GOOD);
    assert!(String::from_utf8_lossy(&strange.stderr).contains("Not authorized"), "{strange:?}");
    let aside = async || done(&installation.admin().get("/quarantined-messages").await)["messages"].clone();
    until("it is set aside", async || aside().await[0]["reason"] == "TOPIC_IDENTITY_MISMATCH").await;
    assert_eq!(aside().await[0]["device"], "pump", "by the token, whatever the topic");
    let events = installation.admin().audit("").await;
    let named = |name: &str| events.iter().filter(|entry| entry.event == name).count();
    assert_eq!((named("token.provisioning_set"), named("token.provisioning_removed")), (2, 1));
    let all = serde_json::to_string(&events).unwrap();
    assert!(!all.contains(&pump.token) && !installation.log().contains(&pump.token), "nobody reads it");
}

#[tokio::test]
async fn without_the_listener_a_token_opens_nothing() {
    let installation = opened(TOKENS).await;
    let pump = Legacy::of(&installation, "pump").await;
    let usual = installation.ports()["mqttDoor"].to_string();
    let mut at_the_door = Command::new("mosquitto_pub");
    at_the_door.current_dir(installation.folder()).args([
        "-h",
        "127.0.0.1",
        "-p",
        &usual,
        "--cafile",
        "root.pem",
    ]);
    at_the_door.args(["-u", "acme/pump", "-P", &pump.token, "-t", &pump.topic("telemetry"), "-m", GOOD]);
    assert!(!at_the_door.output().unwrap().status.success(), "there certificates are asked for");
    let closed = Installation::start().await;
    assert_eq!(closed.ports()["mqttTokens"], Value::Null);
}

#[tokio::test]
async fn whatever_ends_it_ends_it_at_once() {
    let installation = opened(TOKENS).await;
    let admin = installation.admin();
    let mut pump = Legacy::of(&installation, "pump").await;
    let enforcement = async |mode: &str| {
        let path = "/agents/org/acme/settings/mtls";
        done(&admin.call("PATCH", path, Some(&json!({ "enforcement": mode }))).await);
    };
    admin.queue_command(pump.device.id, &json!({ "type": "ping" })).await;
    for ending in ["replaced", "removed", "enforced", "suspended", "quarantined"] {
        let listening = pump.listening().await;
        let (before, began) = (cuts(&installation), Instant::now());
        match ending {
            "replaced" => drop(pump.set().await),
            "removed" => drop(done(&admin.call("DELETE", &pump.path(), None).await)),
            "enforced" => enforcement("enforce").await,
            "suspended" => drop(done(&admin.post("/tenants/acme/suspend", &json!({})).await)),
            _ => drop(done(&admin.quarantine(pump.device.id, "test").await)),
        }
        until(ending, async || cuts(&installation) > before).await;
        assert!(began.elapsed() < AT_ONCE, "{ending}: {:?}", began.elapsed());
        drop(listening);
        assert!(!pump.says_telemetry(&pump.token), "{ending}");
        match ending {
            "replaced" | "removed" => pump.token = pump.set().await,
            "enforced" => {
                is_told(&installation, "CERT_REQUIRED").await;
                enforcement("observe").await;
            }
            "suspended" => drop(done(&admin.post("/tenants/acme/resume", &json!({})).await)),
            _ => {}
        }
    }
}

#[tokio::test]
async fn messages_bear_it_where_that_is_asked_and_nobody_reads_it() {
    let broker = Mosquitto::start().await;
    let config = format!(
        "{TOKENS}require_token = true\nupstream = \"tcp://{}\"\ningest = \"database\"\n",
        broker.address
    );
    let installation = opened(&config).await;
    let pump = Legacy::of(&installation, "pump").await;
    let log = installation.folder().join("broker.heard");
    let (host, port) = (broker.address.ip().to_string(), broker.address.port().to_string());
    let here = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(["-h", &host, "-p", &port]).args(arguments);
        command
    };
    let kept = here("mosquitto_pub", &["-r", "-t", "tenant/kept", "-m", "hello"]).output().unwrap();
    assert!(kept.status.success(), "{kept:?}");
    let mut witness = here("mosquitto_sub", &["-t", "tenant/#"]);
    let heard = || fs_err::read_to_string(&log).unwrap_or_default();
    let witness = Running::start(witness.stdout(fs_err::File::create(&log).unwrap().into_file()));
    until("the witness listens", async || heard().contains("hello")).await;

    let proved = |token: &str| {
        json!({ "site_id": "default", "metrics": { "temp": 22.5 }, "provision_token": token }).to_string()
    };
    for (version, token) in [("mqttv5", &pump.token), ("mqttv311", &pump.token)] {
        let mut command = pump.client("mosquitto_pub", Some(token));
        let said =
            command.args(["-V", version, "-t", &pump.topic("telemetry"), "-m", &proved(token)]).output();
        assert!(said.unwrap().status.success(), "{version}");
    }
    for message in [GOOD.to_owned(), proved("another token altogether")] {
        assert!(pump.say(Some(&pump.token), &pump.topic("telemetry"), &message).status.success());
    }
    let taken = done(&installation.admin().get("/telemetry").await);
    assert_eq!(taken["messages"].as_array().unwrap().len(), 2, "{taken}");
    let aside = done(&installation.admin().get("/quarantined-messages").await);
    let reasons: Vec<&Value> =
        aside["messages"].as_array().unwrap().iter().map(|one| &one["reason"]).collect();
    assert_eq!(reasons, ["TOKEN_INVALID", "TOKEN_MISSING"]);
    let hidden = pump.say(Some(&pump.token), &pump.topic("telemetry"), &format!("[{}]", proved(&pump.token)));
    assert!(String::from_utf8_lossy(&hidden.stderr).contains("Not authorized"), "{hidden:?}");

    until("the broker has what is right", async || heard().matches("22.5").count() >= 2).await;
    drop(witness);
    assert_eq!(heard().matches("22.5").count(), 2, "what is set aside goes nowhere: {}", heard());
    assert!(!heard().contains("provision_token") && !heard().contains(&pump.token), "{}", heard());
    assert!(!taken.to_string().contains(&pump.token) && !aside.to_string().contains(&pump.token));
}

#[tokio::test]
async fn the_command_line_sets_shows_and_removes_it() {
    let installation = opened(TOKENS).await;
    let pump = Legacy::of(&installation, "pump").await;
    let key = done(&installation.admin().post("/api-tokens", &json!({ "name": "m" })).await);
    fs_err::write(installation.folder().join("token"), key["token"].as_str().unwrap()).unwrap();
    let run = |arguments: &[&str]| {
        let common = ["--token-file", "token", "--ports-file", "ports.json"];
        installation.run(&[&["device", "provisioning-token"], arguments, &common].concat())
    };
    let set = run(&["set", "acme/pump"]);
    assert!(pump.says_telemetry(set.stdout.trim()), "{} {}", set.stdout, set.stderr);
    assert!(!pump.says_telemetry(&pump.token), "replaced");
    assert!(run(&["show", "acme/pump"]).stdout.starts_with("set "));

    fs_err::write(installation.folder().join("own"), "burnt-into-the-device-0001\n").unwrap();
    let own = run(&["set", "acme/pump", "--own-token-file", "own"]);
    assert_eq!((own.code, own.stdout.as_str()), (0, ""), "{}", own.stderr);
    assert!(pump.says_telemetry("burnt-into-the-device-0001"));
    fs_err::write(installation.folder().join("own"), "short\n").unwrap();
    let short = run(&["set", "acme/pump", "--own-token-file", "own"]);
    assert!(short.code != 0 && short.stderr.contains("20 to 256"), "{}", short.stderr);
    assert_eq!(run(&["remove", "acme/pump"]).stdout, "removed\n");
    assert_eq!(run(&["show", "acme/pump"]).stdout, "none\n");
}
