//! Proves that seed 003's deployment in examples/tunnel comes up on this machine, passes the seed's checks and
//! ends again.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_norway::Value;

use tempfile::TempDir;

use crate::harness::{until, within};
use crate::program::repository;

/// What was brought up; it ends with this.
struct Deployment(TempDir);

impl Deployment {
    fn command(&self, name: &str) -> Command {
        let mut command = Command::new(repository().join("examples/tunnel").join(name));
        command.arg(self.0.path().join("run")).stdin(Stdio::null()).env_clear();
        command.env("COUNTERSIGN", env!("CARGO_BIN_EXE_countersign")).env("PORT", "0");
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command
    }

    fn script(&self, name: &str) -> Output {
        let mut command = self.command(name);
        // What stays in the background must not hold what is read here.
        let (out, said) = (self.0.path().join("out"), self.0.path().join("said"));
        let file = |path: &Path| fs_err::File::create(path).unwrap().into_file();
        let status = command.stdout(file(&out)).stderr(file(&said)).status().unwrap();
        let read = |path: &Path| fs_err::read(path).unwrap();
        Output { status, stdout: read(&out), stderr: read(&said) }
    }

    fn must(&self, name: &str) -> String {
        let output = self.script(name);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let logs = ["server.log", "api.log"]
            .map(|log| fs_err::read_to_string(self.0.path().join("run").join(log)).unwrap_or_default());
        assert!(
            output.status.success(),
            "{name}: {}{}\n{}",
            text(&output.stdout),
            text(&output.stderr),
            logs.join("\n")
        );
        text(&output.stdout)
    }
}

impl Drop for Deployment {
    fn drop(&mut self) {
        let _ended = self.script("down.sh");
    }
}

#[test]
fn it_passes_the_seeds_checks() {
    let deployment = Deployment(tempfile::tempdir().unwrap());
    let said = deployment.must("up.sh");
    assert!(said.contains("door     https://ceneca-agent.enterprise.internal:"), "{said}");
    let checked = deployment.must("check.sh");
    assert_eq!(checked.lines().filter(|line| line.starts_with("ok ")).count(), 8, "{checked}");
    deployment.must("down.sh");
}

/// The service of compose.yaml, and the volumes that it declares.
fn service() -> (Value, Value) {
    let text = fs_err::read_to_string(repository().join("examples/tunnel/compose.yaml")).unwrap();
    let compose: Value = serde_norway::from_str(&text).unwrap();
    let services = compose["services"].as_mapping().unwrap();
    assert_eq!(services.len(), 1);
    (compose["services"]["tunnel"].clone(), compose["volumes"].clone())
}

fn words(list: &Value) -> Vec<String> {
    list.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_path_in_the_compose_file_is_there() {
    let (service, declared) = service();
    for volume in words(&service["volumes"]) {
        let host = volume.split(":/").next().unwrap();
        let is_there = match host {
            "${COUNTERSIGN:?the program}" => true,
            relative if relative.starts_with('.') => {
                repository().join("examples/tunnel").join(relative).join("tunnel/up.sh").exists()
            }
            named => declared.as_mapping().unwrap().contains_key(named),
        };
        assert!(is_there, "{volume}");
    }
    assert_eq!(words(&service["command"]), ["/examples/tunnel/stay.sh", "/run/ceneca"]);
    let environment = service["environment"].as_mapping().unwrap();
    let names: Vec<_> = environment.keys().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["COUNTERSIGN", "PORT"], "what up.sh reads");
}

#[tokio::test]
async fn what_the_container_runs_stays_is_well_and_comes_up_again() {
    let deployment = Deployment(tempfile::tempdir().unwrap());
    let run = deployment.0.path().join("run");
    let (service, _) = service();
    let health = words(&service["healthcheck"]["test"]);
    assert_eq!(health[0], "CMD");
    for _time in 0..2 {
        drop(fs_err::remove_file(run.join("api.port")));
        let mut command = deployment.command("stay.sh");
        let log = fs_err::File::create(deployment.0.path().join("stay.log")).unwrap().into_file();
        let mut container = command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        until("it is up", async || {
            assert_eq!(container.try_wait().unwrap(), None, "it stays");
            fs_err::read_to_string(run.join("api.port")).is_ok_and(|port| !port.is_empty())
        })
        .await;
        let ports = fs_err::read_to_string(run.join("ports.json")).unwrap();
        let ports: serde_json::Value = serde_json::from_str(&ports).unwrap();
        let (folder, port) = (run.to_str().unwrap(), ports["tcpDoors"]["agent"].to_string());
        let here = |word: &String| word.replace("/run/ceneca", folder).replace("8787", &port);
        let checked: Vec<String> = health.iter().skip(1).map(here).collect();
        until("it is well", async || {
            let checked = Command::new(&checked[0]).args(&checked[1..]).output().unwrap();
            checked.status.success()
        })
        .await;
        assert_eq!(container.try_wait().unwrap(), None, "it stays");
        kill_process(Pid::from_child(&container), Signal::TERM).unwrap();
        assert!(within(std::time::Duration::from_secs(60), &mut container).await, "it ends");
        assert!(container.wait().unwrap().success());
    }
}
