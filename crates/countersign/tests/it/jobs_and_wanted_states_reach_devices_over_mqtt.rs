//! Proves that the state which a device is to have, and its parts of jobs, reach it over MQTT when it begins to
//! listen and as they come; that what it says is on record; and that nothing is told that was called off, or
//! is wanted of a device that is served nowhere.

use serde_json::{Value, json};

use crate::harness::{Device, Installation, MqttDevice, done, until};

/// Runs one of our commands with a token, and reads what it prints.
fn told(installation: &Installation, arguments: &[&str]) -> Value {
    let common = ["--token-file", "token", "--ports-file", "ports.json", "--json"];
    let ran = installation.run(&[arguments, &common].concat());
    serde_json::from_str(&ran.stdout).unwrap_or_else(|_| panic!("{} {}", ran.stdout, ran.stderr))
}

async fn installed() -> (Installation, Device, MqttDevice) {
    let installation = super::start().await;
    let token = done(&installation.admin().post("/api-tokens", &json!({ "name": "m" })).await);
    fs_err::write(installation.folder().join("token"), token["token"].as_str().unwrap()).unwrap();
    let device = Device::enrol(&installation, "pump-1").await;
    let mqtt = MqttDevice::of(&installation, &device).await;
    (installation, device, mqtt)
}

#[tokio::test]
async fn a_wanted_state_is_told_until_it_is_replaced_and_the_devices_word_is_on_record() {
    let (installation, device, mqtt) = installed().await;
    let id = device.id.to_string();
    let first = told(&installation, &["device", "shadow", "desire", &id, "{\"interval\":30}"]);
    assert_eq!((&first["desired"]["version"], &first["reported"]), (&json!(1), &Value::Null));

    let listener = mqtt.listen(&["shadow/desired"], &[]);
    until("what waited is told", async || listener.heard().len() == 1).await;
    let (topic, said) = listener.heard().remove(0);
    assert_eq!((topic.as_str(), &said["version"]), ("shadow/desired", &json!(1)));
    assert_eq!(said["desired"], json!({ "interval": 30 }));
    told(&installation, &["device", "shadow", "desire", &id, "{\"interval\":60}"]);
    until("what comes is told", async || listener.heard().len() == 2).await;
    assert_eq!(listener.heard()[1].1["desired"], json!({ "interval": 60 }));
    drop(listener);

    mqtt.say("shadow/reported", &json!({ "version": 2, "reported": { "interval": 60 } }));
    let shadow = told(&installation, &["device", "shadow", "show", &id]);
    assert_eq!((&shadow["desired"]["version"], &shadow["reported"]["version"]), (&json!(2), &json!(2)));
    assert_eq!(shadow["reported"]["state"], json!({ "interval": 60 }));

    let again = mqtt.listen(&["shadow/desired"], &[]);
    until("it is told again", async || again.heard().len() == 1).await;
    assert_eq!(again.heard()[0].1["version"], 2);

    let path = format!("/devices/{id}/shadow");
    let none = installation.admin().call("PUT", &path, Some(&json!({ "desired": 7 }))).await;
    assert_eq!((none.status, none.code().as_str()), (400, "INVALID_REQUEST"));
    done(&installation.admin().quarantine(device.id, "test").await);
    let barred = installation.admin().call("PUT", &path, Some(&json!({ "desired": {} }))).await;
    assert_eq!((barred.status, barred.code().as_str()), (409, "DEVICE_STATE"));
}

#[tokio::test]
async fn each_device_hears_of_its_part_of_a_job_and_what_is_called_off_is_not_told() {
    let (installation, device, mqtt) = installed().await;
    let other = Device::enrol(&installation, "pump-2").await;
    let (one, two) = (device.id.to_string(), other.id.to_string());
    let off = told(&installation, &["job", "create", "flush", "--device", &one]);
    let off = off["id"].as_str().unwrap().to_owned();
    assert_eq!(told(&installation, &["job", "cancel", &off])["ended"], 1);
    assert_eq!(told(&installation, &["job", "cancel", &off])["ended"], 0);

    let document = "{\"version\":\"2.1\"}";
    let both = ["--device", &one, "--device", &two, "--document", document];
    let job = told(&installation, &[&["job", "create", "firmware"], &both[..]].concat());
    let job = job["id"].as_str().unwrap().to_owned();
    let listener = mqtt.listen(&["jobs/#", "commands"], &[]);
    until("its part is told", async || !listener.heard().is_empty()).await;
    let heard = listener.heard();
    // One that is offered while its device begins to listen may be told twice.
    let Some(((topic, part), more)) = heard.split_first() else { panic!("{heard:?}") };
    assert!(more.iter().all(|again| again.1 == *part), "{heard:?}");
    assert_eq!(
        (topic, &part["job"], &part["name"]),
        (&format!("jobs/{job}"), &json!(job), &json!("firmware"))
    );
    assert_eq!(part["document"], json!({ "version": "2.1" }));
    mqtt.say("commands/ack", &json!({ "id": part["id"], "status": "completed" }));

    let progress = told(&installation, &["job", "show", &job]);
    let parts: Vec<(&Value, &Value)> =
        progress["parts"].as_array().unwrap().iter().map(|part| (&part["device"], &part["status"])).collect();
    let (done_one, waiting) = ((&json!("pump-1"), &json!("completed")), (&json!("pump-2"), &json!("queued")));
    assert_eq!(parts, [done_one, waiting]);
    let cancelled = told(&installation, &["job", "show", &off]);
    assert_eq!(cancelled["parts"][0]["status"], "expired");
    let listed = told(&installation, &["job", "list"]);
    let names: Vec<&Value> = listed["jobs"].as_array().unwrap().iter().map(|job| &job["name"]).collect();
    assert_eq!(names, ["firmware", "flush"]);

    // All or none: one of them is served nowhere.
    done(&installation.admin().quarantine(other.id, "test").await);
    let body = json!({ "name": "firmware", "devices": [one, two] });
    let refused = installation.admin().post("/jobs", &body).await;
    assert_eq!((refused.status, refused.code().as_str()), (409, "DEVICE_STATE"));
    assert_eq!(told(&installation, &["job", "list"])["jobs"].as_array().unwrap().len(), 2);
}
