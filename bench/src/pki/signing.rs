//! Certificates and revocation lists, signed in a process of their own.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use countersign_testkit::{SoftToken, TOKEN_LABEL};
use serde_json::Value;

use crate::arguments::Scale;
use crate::program::build_example;
use crate::report::progress;
use crate::table::{Row, Unit};

/// How many sessions of a token are used at once.
const SESSIONS: [&str; 2] = ["1", "4"];

/// Measures keys in memory and, where SoftHSM2 is installed, in its token.
pub(crate) fn measure(profile: &str, scale: Scale, rows: &mut Vec<Row>) -> anyhow::Result<()> {
    let program = build_example(profile, "countersign-ca", "signing")?;
    let seconds = (scale.slice.as_secs_f64() * scale.rounds as f64).to_string();
    progress("certificates and lists, keys in memory");
    for found in lines(Command::new(&program).arg(&seconds))? {
        rows.extend(rows_of(&found)?);
    }
    if !SoftToken::is_installed() {
        progress("SoftHSM2 is not installed: nothing is measured in a token");
        return Ok(());
    }
    for sessions in SESSIONS {
        progress(&format!("certificates, keys in SoftHSM2, {sessions} sessions"));
        let token = SoftToken::new();
        let mut command = Command::new(&program);
        command
            .arg(&seconds)
            .args([SoftToken::module(), Path::new(TOKEN_LABEL), &token.pin()])
            .arg(sessions)
            .env("SOFTHSM2_CONF", token.configuration());
        for found in lines(&mut command)? {
            rows.extend(rows_of(&found)?);
        }
    }
    Ok(())
}

fn lines(command: &mut Command) -> anyhow::Result<Vec<Value>> {
    let output = command.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("measure signing")?;
    ensure!(output.status.success(), "signing was not measured");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().map(|line| serde_json::from_str(line).context("read a measurement")).collect()
}

/// One line of the example.
fn rows_of(found: &Value) -> anyhow::Result<Vec<Row>> {
    let number = |name: &str| {
        found.get(name).and_then(Value::as_f64).with_context(|| format!("a measurement without {name}"))
    };
    let (count, cpu, wall) = (number("count")?, number("cpuSeconds")?, number("wallSeconds")?);
    if let Some(entries) = found.get("entries").and_then(Value::as_u64) {
        let list = format!("revocation list of {entries} entries");
        return Ok(vec![
            Row::alone(
                &format!("{list}: entries/s per core"),
                Unit::Rate,
                count * entries as f64 / cpu,
                None,
            ),
            Row::alone(&format!("{list}: to make and sign"), Unit::Milliseconds, 1000.0 * wall / count, None),
            Row::alone(&format!("{list}: its size"), Unit::Kilobytes, number("octets")? / 1000.0, None),
        ]);
    }
    let key = found.get("key").and_then(Value::as_str).context("a measurement without key")?;
    let sessions = found.get("sessions").and_then(Value::as_u64);
    let Some(sessions) = sessions else {
        let what = format!("certificates/s per core, {key} issuer, key from a sealed file");
        return Ok(vec![Row::alone(&what, Unit::Rate, count / cpu, None)]);
    };
    // SoftHSM2 does its work in our process; a real token does not, and its own time counts.
    let plural = if sessions == 1 { "" } else { "s" };
    let what = format!("certificates/s, {key} issuer, key in SoftHSM2, {sessions} session{plural}");
    Ok(vec![
        Row::alone(&format!("{what}: per core"), Unit::Rate, count / cpu, None),
        Row::alone(&format!("{what}: on the wall"), Unit::Rate, count / wall, None),
    ])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_measurement_becomes_rows() {
        let timed = json!({ "what": "certificates", "key": "p256", "count": 100, "cpuSeconds": 2.0, "wallSeconds": 4.0 });
        let rows = rows_of(&timed).unwrap();
        assert_eq!((rows.len(), rows[0].own.to_bits()), (1, 50.0_f64.to_bits()));
        let mut token = timed.clone();
        token["sessions"] = 4.into();
        assert_eq!(rows_of(&token).unwrap()[1].own.to_bits(), 25.0_f64.to_bits());
        let mut list = timed;
        (list["entries"], list["octets"]) = (1000.into(), 40_000.into());
        let rows = rows_of(&list).unwrap();
        let own: Vec<f64> = rows.iter().map(|row| row.own).collect();
        assert_eq!(own, [50_000.0, 40.0, 40.0]);
        assert!(rows_of(&json!({ "count": 1 })).is_err());
    }
}
