//! What rules cost: the same requests through a door with none, with ten and with a thousand.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

use crate::arguments::Scale;
use crate::client::Profile;
use crate::fleet::Device;
use crate::installation::{Installation, Room};
use crate::measures::requests;
use crate::report::progress;
use crate::site::Site;
use crate::table::{Row, Unit};
use crate::work::Work;

/// How many there are, in turns.
const COUNTS: [usize; 3] = [0, 10, 1000];

/// The seeds' own, none of which blocks the bench's request.
const SEEDS: [&str; 2] = [
    r#"(http.request.uri.path matches "^/api/v1/agents/[a-f0-9]+/" and not http.request.uri.path contains "/enroll" and not http.request.uri.path contains "/renew-cert" and not cf.tls_client_auth.cert_verified)"#,
    r#"(http.request.uri.path contains "/api/") and not cf.tls_client_auth.cert_verified"#,
];

/// Above them in the configuration.
const MARK: &str = "\n# Rules of the bench\n";

/// Measures it; the door that it leaves has no rules.
pub(crate) async fn measure(
    site: &Site,
    mut door: Installation,
    devices: &[Device],
    (scale, rows): (Scale, &mut Vec<Row>),
) -> anyhow::Result<Installation> {
    let mut works: [Work; COUNTS.len()] = Default::default();
    for _round in 0..scale.rounds {
        for (count, work) in COUNTS.into_iter().zip(&mut works) {
            progress(&format!("requests, {count} rules"));
            door = with_rules(site, door, count).await?;
            let server = (door.process(), door.door);
            let measured =
                requests::measure(site, Profile::LikeForLike, server, devices, scale.slice).await?;
            work.extend(measured.0);
        }
    }
    let rates = works.map(|work| work.per_core());
    let [none, ..] = rates;
    for (count, rate) in COUNTS.into_iter().zip(rates) {
        let what = format!("requests/s per core, {count} rules");
        rows.push(Row::alone(&what, Unit::Rate, rate, None));
        if count > 0 {
            let cost = (1.0 / rate - 1.0 / none) * 1_000_000.0;
            let what = format!("processor time of {count} rules, each request");
            rows.push(Row::alone(&what, Unit::Microseconds, cost, None));
        }
    }
    with_rules(site, door, 0).await
}

async fn with_rules(site: &Site, door: Installation, count: usize) -> anyhow::Result<Installation> {
    door.start_after(site, Room::OneCore, |folder| write(folder, count)).await
}

/// Writes so many rules into the configuration, in the place of those that are there.
fn write(folder: &Path, count: usize) -> anyhow::Result<()> {
    let file = folder.join("countersign.toml");
    let text = fs_err::read_to_string(&file).context("read a configuration")?;
    let rest = text.split_once(MARK).map_or(text.as_str(), |(rest, _old)| rest);
    fs_err::write(&file, format!("{rest}{MARK}{}", rules(count))).context("write a configuration")
}

fn rules(count: usize) -> String {
    let own = (0..count).map(|number| {
        format!(r#"http.request.uri.path eq "/closed/{number}" and not cf.tls_client_auth.cert_verified"#)
    });
    let all = SEEDS.iter().map(|rule| (*rule).to_owned()).chain(own);
    all.take(count).enumerate().fold(String::new(), |mut text, (number, rule)| {
        // Nothing is ever refused by a text in memory.
        write!(text, "[[rule]]\nname = \"r{number}\"\nexpression = '{rule}'\n").unwrap_or_default();
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_many_rules_are_written_as_are_asked_for() {
        assert_eq!(rules(0), "");
        assert_eq!(rules(10).matches("[[rule]]").count(), 10);
        let folder = tempfile::tempdir().unwrap();
        fs_err::write(folder.path().join("countersign.toml"), "data_dir = \"x\"\n").unwrap();
        for count in [1000, 3, 0] {
            write(folder.path(), count).unwrap();
            let text = fs_err::read_to_string(folder.path().join("countersign.toml")).unwrap();
            assert!(text.starts_with("data_dir"));
            assert_eq!(text.matches("[[rule]]").count(), count);
        }
    }
}
