//! The annotated sample: every setting with what it is for, its flag, its variable and its default.

use super::environment::variable_of;
use super::settings::{Setting, Shown, all};

const HEAD: &str = "\
# Countersign configuration. Every setting is optional and no file is needed: remove the # in
# front of what you want to change. A flag wins over the environment, which wins over this file.
# `countersign config check --config FILE` says everything that is wrong, with its line.
";

/// The sample, a TOML document in which every setting is commented out.
pub(crate) fn sample() -> String {
    let mut text = HEAD.to_owned();
    let mut section = "";
    for setting in all() {
        let (table, key) = setting.key.rsplit_once('.').unwrap_or(("", setting.key));
        if table != section {
            section = table;
            text.push_str(&header(setting, table));
        }
        text.push_str(&entry(setting, key));
    }
    text
}

/// A table may stand there empty, an entry of a list may not.
fn header(setting: &Setting, table: &str) -> String {
    if setting.is_in_list() { format!("\n#[[{table}]]\n") } else { format!("\n[{table}]\n") }
}

fn entry(setting: &Setting, key: &str) -> String {
    let doc = setting.doc.lines().map(|line| format!("# {line}\n")).collect::<String>();
    let value = setting.sample.replace('\n', "\n#");
    format!("\n{doc}{}#{key} = {value}\n", ways(setting))
}

fn ways(setting: &Setting) -> String {
    if setting.is_in_list() {
        return match setting.shown {
            Shown::Default => "# The default is shown.\n".to_owned(),
            Shown::Example => String::new(),
        };
    }
    let variable = variable_of(setting.key);
    let ways = if setting.flag.is_empty() { variable } else { format!("{}, {variable}", setting.flag) };
    match setting.shown {
        Shown::Default => format!("# {ways}. The default is shown.\n"),
        Shown::Example => format!("# {ways}.\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::ConfigFile;
    use super::super::raw::Raw;
    use super::*;

    /// The sample with every setting in force.
    fn uncommented() -> String {
        let strip = |line: &str| match line.strip_prefix('#') {
            Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => rest.to_owned(),
            _ => line.to_owned(),
        };
        sample().lines().map(|line| strip(line) + "\n").collect()
    }

    #[test]
    fn the_sample_is_right_as_it_stands_and_with_every_setting_in_force() {
        for text in [sample(), uncommented()] {
            let mut problems = Vec::new();
            let raw = ConfigFile::from_text("sample", &text).parse::<Raw>(&mut problems);
            assert!(problems.is_empty(), "{problems:#?}");
            let entries = raw.host.len()
                + raw.route.len()
                + raw.egress.len()
                + raw.rule.len()
                + raw.list.len()
                + raw.monitor.len()
                + raw.tcp_door.len();
            assert_eq!(entries, if text == sample() { 0 } else { 7 });
        }
    }
}
