//! Proves that what deploy/ has for packages, containers and clusters is sound: the Debian packages hold what a machine
//! needs and their linter is content, an image's root has every library of its program, the compose file and the chart
//! say what their own programs take and refuse what is missing, and every setting and command in them exists.
//! Trials with what cannot run everywhere are scripts/try-deb and scripts/try-images.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use regex::Regex;
use serde::Deserialize as _;
use serde_norway::Value;

use crate::harness::agent_program;
use crate::program::{repository, run};

/// Runs a program, which must be there.
fn ran<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> Output {
    Command::new(program).args(arguments).current_dir(repository()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What a program prints that must succeed.
#[track_caller]
fn said<S: AsRef<OsStr>>(program: impl AsRef<OsStr>, arguments: &[S]) -> String {
    let output = ran(program, arguments);
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// A program that this machine may have: from the folder into which scripts/test installs, or from the path.
fn tool(installed: &str) -> Option<PathBuf> {
    let name = Path::new(installed).file_name().unwrap();
    let mut places = vec![repository().join("crates/countersign/tests/deployment").join(installed)];
    let path = std::env::var_os("PATH").unwrap();
    places.extend(std::env::split_paths(&path).map(|folder| folder.join(name)));
    let found = places.into_iter().find(|place| place.is_file());
    if found.is_none() {
        let mut log = std::io::stderr();
        writeln!(log, "left out: {} cannot be installed here", name.display()).unwrap();
    }
    found
}

fn programs() -> PathBuf {
    agent_program().parent().unwrap().to_owned()
}

#[test]
fn the_packages_hold_what_a_machine_needs_and_their_linter_is_content() {
    if tool("bin/dpkg-shlibdeps").is_none() {
        return;
    }
    let out = tempfile::tempdir().unwrap();
    let (programs, folder) = (programs(), out.path().to_str().unwrap());
    let arguments = ["--programs", programs.to_str().unwrap(), "--out", folder, "--fast"];
    let made = said(repository().join("scripts/build-deb"), &arguments);
    let packages: Vec<&str> = made.lines().collect();
    let held = [
        "/usr/bin/countersign /lib/systemd/system/countersign.service /lib/systemd/system/countersign-edge.service \
         /usr/lib/sysusers.d/countersign.conf /usr/lib/tmpfiles.d/countersign.conf /etc/countersign-server/environment \
         /usr/share/man/man1/countersign-serve.1.gz /usr/share/bash-completion/completions/countersign \
         /usr/share/doc/countersign/copyright /usr/share/doc/countersign/third-party.gz",
        "/usr/bin/countersign-agent /lib/systemd/system/countersign-agent.service \
         /usr/lib/sysusers.d/countersign-agent.conf /usr/share/man/man1/countersign-agent.1.gz \
         /usr/share/man/man1/countersign-agent-enroll.1.gz /usr/share/bash-completion/completions/countersign-agent",
    ];
    assert_eq!(packages.len(), held.len());
    for (package, held) in packages.iter().zip(held) {
        let contents = said("dpkg-deb", &["--contents", package]);
        for path in held.split_whitespace() {
            assert!(contents.contains(&format!(" .{path}\n")), "{path} is not in {package}:\n{contents}");
        }
        let control = said("dpkg-deb", &["--field", package]);
        assert!(control.contains("\nDepends: ") && control.contains("libc6 (>= "), "{control}");
        let scripts = said("dpkg-deb", &["--info", package]);
        assert_eq!(scripts.contains(" conffiles "), held.contains("/etc/"), "{scripts}");
    }
    if let Some(lintian) = tool("bin/lintian") {
        let found = ran(lintian, &packages);
        assert!(found.status.success(), "{}{}", text(&found.stdout), text(&found.stderr));
    }
}

#[test]
fn a_package_of_programs_that_are_not_there_is_refused() {
    let nothing = tempfile::tempdir().unwrap();
    let folder = nothing.path().to_str().unwrap();
    let refused = ran(repository().join("scripts/build-deb"), &["--programs", folder, "--out", folder]);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("there is no "), "{}", text(&refused.stderr));
}

#[test]
fn the_root_of_an_image_has_all_that_its_program_needs() {
    let out = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_countersign");
    said(repository().join("deploy/container/root"), &[out.path().to_str().unwrap(), program]);
    let system = out.path().join("system");
    let loaders: Vec<PathBuf> = ["lib64", "lib"]
        .iter()
        .filter_map(|folder| fs_err::read_dir(system.join(folder)).ok())
        .flat_map(|entries| entries.map(|entry| entry.unwrap().path()))
        .filter(|path| path.is_file())
        .collect();
    let [loader] = &loaders[..] else { panic!("one loader, not {loaders:?}") };
    let libraries = file_below(&system.join("lib"), "libc.so.6");
    let inside = system.join("usr/bin/countersign");
    // Nothing of this machine is looked at but the kernel.
    let arguments: [&OsStr; 5] = [
        "--inhibit-cache".as_ref(),
        "--library-path".as_ref(),
        libraries.parent().unwrap().as_ref(),
        inside.as_ref(),
        "--version".as_ref(),
    ];
    assert!(said(loader, &arguments).starts_with("countersign "));
    let passwd = fs_err::read_to_string(system.join("etc/passwd")).unwrap();
    assert!(passwd.starts_with("countersign:x:65532:65532:"), "{passwd}");
    let notices = fs_err::read_to_string(system.join("usr/share/doc/countersign/third-party")).unwrap();
    assert!(
        notices.contains("  rustls 0.") && notices.contains("Copyright"),
        "the licences of what is linked"
    );
    for absent in ["bin/sh", "usr/bin/sh"] {
        assert!(!system.join(absent).exists(), "{absent}");
    }
}

/// The file of this name, at most one folder down.
#[track_caller]
fn file_below(folder: &Path, name: &str) -> PathBuf {
    let below = fs_err::read_dir(folder).unwrap().map(|entry| entry.unwrap().path().join(name));
    below.chain([folder.join(name)]).find(|path| path.is_file()).unwrap()
}

#[test]
fn images_are_of_nothing_but_ours_and_run_as_nobody() {
    let text = fs_err::read_to_string(repository().join("deploy/container/Containerfile")).unwrap();
    for image in ["countersign", "countersign-agent"] {
        let stage = text.split(&format!("\nFROM scratch AS {image}\n")).nth(1).unwrap();
        let stage = stage.split("\nFROM ").next().unwrap();
        assert!(stage.contains("\nUSER 65532:65532\n") && stage.contains("\nHEALTHCHECK "), "{stage}");
        let entry = format!("\nENTRYPOINT [\"/usr/bin/{image}\"]\n");
        assert!(stage.contains(&entry), "{stage}");
    }
}

fn documents(text: &str) -> Vec<Value> {
    let documents = serde_norway::Deserializer::from_str(text);
    let read = |document| {
        let mut value = Value::deserialize(document).unwrap();
        value.apply_merge().unwrap();
        value
    };
    documents.map(read).filter(|value| !value.is_null()).collect()
}

/// Every variable of ours that a file sets.
fn assert_settings_exist(text: &str) {
    let reference = fs_err::read_to_string(repository().join("docs/reference/countersign.toml")).unwrap();
    let word = Regex::new("COUNTERSIGN_[A-Z0-9_]+").unwrap();
    let known: BTreeSet<&str> = word.find_iter(&reference).map(|found| found.as_str()).collect();
    let own = ["COUNTERSIGN_CONFIG", "COUNTERSIGN_IMAGE", "COUNTERSIGN_AGENT_IMAGE"];
    for found in word.find_iter(text).map(|found| found.as_str()).filter(|name| !own.contains(name)) {
        assert!(known.contains(found), "{found} is no setting");
    }
}

/// Every command that a list of words begins is one of the program's.
fn assert_command_exists(words: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let plain = words.iter().take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let asked: Vec<&str> = plain.copied().chain(["--help"]).collect();
    let answer = run(folder.path(), &[], &asked);
    assert_eq!(answer.code, 0, "{words:?}: {}", answer.stderr);
}

fn words(list: &Value) -> Vec<&str> {
    list.as_sequence().unwrap().iter().map(|word| word.as_str().unwrap()).collect()
}

fn compose_file() -> PathBuf {
    repository().join("deploy/container/compose.yaml")
}

#[test]
fn every_word_of_the_compose_file_is_known() {
    let text = fs_err::read_to_string(compose_file()).unwrap();
    assert_settings_exist(&text);
    let compose = documents(&text).remove(0);
    let services = compose["services"].as_mapping().unwrap();
    let names: Vec<&str> = services.keys().map(|name| name.as_str().unwrap()).collect();
    assert_eq!(names, ["postgres", "authority", "edge-1", "edge-2", "agent"]);
    for (name, service) in services.iter().filter(|(name, _)| *name != "postgres") {
        assert_eq!(service["read_only"].as_bool(), Some(true), "{name:?}");
        assert_eq!(words(&service["cap_drop"]), ["ALL"], "{name:?}");
        let health = words(&service["healthcheck"]["test"]);
        assert_eq!(health[0], "CMD", "{name:?}");
        if health[1] == "/usr/bin/countersign" {
            assert_command_exists(&words(&service["command"]));
            assert_command_exists(&health[2..]);
        }
    }
}

#[test]
fn compose_takes_the_file_and_wants_a_password() {
    let Some(compose) = tool("python/bin/docker-compose") else { return };
    let file = compose_file();
    let asked = |password: Option<&str>| {
        let mut command = Command::new(&compose);
        command.arg("--file").arg(&file).args(["--profile", "device", "config", "--services"]);
        command.env_remove("POSTGRES_PASSWORD").envs(password.map(|word| ("POSTGRES_PASSWORD", word)));
        text(&command.output().unwrap().stdout)
    };
    let taken = asked(Some("a password"));
    assert_eq!(taken.lines().collect::<BTreeSet<_>>().len(), 5, "{taken}");
    assert_eq!(asked(None), "", "no installation without a password");
}

/// The chart with values from its `ci` folder and these besides.
fn rendered(helm: &Path, values: &[&str]) -> Output {
    let chart = repository().join("deploy/helm/countersign");
    let mut command = Command::new(helm);
    command.args(["template", "fleet"]).arg(&chart).args(["--kube-version", "1.30.0"]);
    if !values.is_empty() {
        command.arg("--values").arg(chart.join("ci/whole-values.yaml"));
    }
    command.args(values).output().unwrap()
}

/// Those of a kind among what was rendered.
fn of_kind<'a>(objects: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    objects.iter().filter(move |object| object["kind"].as_str() == Some(kind))
}

#[test]
fn the_chart_is_clean_and_a_cluster_takes_what_it_makes() {
    let Some(helm) = tool("bin/helm") else { return };
    let chart = repository().join("deploy/helm/countersign");
    let values = chart.join("ci/whole-values.yaml");
    let (chart, values) = (chart.to_str().unwrap(), values.to_str().unwrap());
    said(&helm, &["lint", "--strict", "--kube-version", "1.30.0", chart, "--values", values]);

    let output = rendered(&helm, &["--set", "maxUnavailable=1"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let objects = documents(&text(&output.stdout));
    for (kind, count) in [
        ("StatefulSet", 2),
        ("PodDisruptionBudget", 2),
        ("NetworkPolicy", 2),
        ("Service", 4),
        ("PodMonitor", 1),
    ] {
        assert_eq!(of_kind(&objects, kind).count(), count, "{kind}");
    }
    assert_settings_exist(&text(&output.stdout));
    of_kind(&objects, "StatefulSet").for_each(assert_closed);
    for settings in of_kind(&objects, "ConfigMap") {
        assert_configuration(settings["data"]["countersign.toml"].as_str().unwrap());
    }

    if let Some(validate) = tool("python/bin/kubernetes-validate") {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs_err::write(file.path(), &output.stdout).unwrap();
        let path = file.path().to_str().unwrap();
        for version in ["1.25", "1.30", "1.34"] {
            said(&validate, &["--strict", "--kubernetes-version", version, path]);
        }
    }
}

fn assert_configuration(text: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs_err::write(folder.path().join("c.toml"), text).unwrap();
    let answer = run(folder.path(), &[], &["config", "check", "--config", "c.toml"]);
    assert_eq!(answer.code, 0, "{}", answer.stderr);
}

/// A pod that may do nothing but what its program does.
fn assert_closed(set: &Value) {
    let pod = &set["spec"]["template"]["spec"];
    assert_eq!(pod["automountServiceAccountToken"].as_bool(), Some(false));
    assert_eq!(pod["enableServiceLinks"].as_bool(), Some(false), "they would be taken for settings");
    assert_eq!(pod["securityContext"]["runAsNonRoot"].as_bool(), Some(true));
    let container = &pod["containers"][0];
    let security = &container["securityContext"];
    assert_eq!(security["readOnlyRootFilesystem"].as_bool(), Some(true));
    assert_eq!(security["allowPrivilegeEscalation"].as_bool(), Some(false));
    assert_eq!(words(&security["capabilities"]["drop"]), ["ALL"]);
    assert_command_exists(&words(&container["args"]));
    assert!(container["readinessProbe"].is_mapping());
}

#[test]
fn the_chart_refuses_what_would_not_serve() {
    let Some(helm) = tool("bin/helm") else { return };
    for (values, named) in [
        (vec![], "publicNames"),
        (vec!["--set", "edges.caFingerprint="], "caFingerprint"),
        (vec!["--set", "authority.database.url=postgresql://me:secret@db.example.com/x"], "url"),
        (vec!["--set", "authority.keyEncryptionKey.secret="], "keyEncryptionKey"),
        (vec!["--set", "authority.replica=3"], "replica"),
    ] {
        let refused = rendered(&helm, &values);
        assert!(!refused.status.success(), "{values:?}");
        assert!(text(&refused.stderr).contains(named), "{values:?}: {}", text(&refused.stderr));
    }
}
