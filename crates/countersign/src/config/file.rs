//! Reads the configuration file so that one mistake does not hide the others.

use std::ops::Range;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigError, Origin, Problem};

/// The text of a file, or no file at all.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConfigFile {
    path: PathBuf,
    text: String,
}

impl ConfigFile {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = fs_err::read_to_string(path)
            .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
        Ok(Self { path: path.to_owned(), text })
    }

    /// A file with this text.
    #[cfg(test)]
    pub(crate) fn from_text(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.to_owned() }
    }

    /// Where a part of the text stands.
    pub(crate) fn origin(&self, span: &Range<usize>) -> Origin {
        let before = self.text.get(..span.start).unwrap_or(&self.text);
        Origin::File { path: self.path.clone(), line: before.matches('\n').count() + 1 }
    }

    /// The folder that relative paths in the file start from.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new(""))
    }

    /// Parses the text. Each entry that is unknown or of the wrong type is taken out and becomes a
    /// problem, until the rest is right.
    pub(crate) fn parse<R: DeserializeOwned + Default>(&self, problems: &mut Vec<Problem>) -> R {
        let (mut document, syntax) = DeTable::parse_recoverable(&self.text);
        if !syntax.is_empty() {
            problems.extend(syntax.iter().map(|error| self.problem(String::new(), error)));
            return R::default();
        }
        loop {
            let error = match R::deserialize(toml::Deserializer::from(document.clone())) {
                Ok(raw) => return raw,
                Err(error) => error,
            };
            let taken = error.span().and_then(|span| take_out(document.get_mut(), span.start));
            let gone_on = taken.is_some();
            problems.push(self.problem(taken.unwrap_or_default(), &error));
            if !gone_on {
                return R::default();
            }
        }
    }

    fn problem(&self, key: String, error: &toml::de::Error) -> Problem {
        let origin = self.origin(&error.span().unwrap_or(0..0));
        let said = error.message();
        let message = match said.strip_prefix("unknown field `").and_then(|rest| rest.split('`').next()) {
            Some(_name) => said.replacen("unknown field", "unknown setting", 1).replace('`', ""),
            None => said.to_owned(),
        };
        Problem { origin, key, message }
    }
}

/// Removes the innermost entry that covers a place in the text, and says which one it was.
fn take_out(table: &mut DeTable<'_>, at: usize) -> Option<String> {
    let mut found = None;
    for (key, value) in table.iter_mut() {
        let name: &str = key.get_ref();
        let inner = match value.get_mut() {
            DeValue::Table(inner) => take_out(inner, at),
            DeValue::Array(items) => items.iter_mut().find_map(|item| take_out_of_item(item, at)),
            DeValue::String(_) | DeValue::Integer(_) | DeValue::Float(_) => None,
            DeValue::Boolean(_) | DeValue::Datetime(_) => None,
        };
        if let Some(inner) = inner {
            return Some(format!("{name}.{inner}"));
        }
        if key.span().contains(&at) || value.span().contains(&at) {
            found = Some(name.to_owned());
            break;
        }
    }
    let name = found?;
    table.remove(name.as_str()).map(|_entry| name)
}

fn take_out_of_item(item: &mut Spanned<DeValue<'_>>, at: usize) -> Option<String> {
    if let DeValue::Table(inner) = item.get_mut() { take_out(inner, at) } else { None }
}

#[cfg(test)]
mod tests {
    use super::super::raw::Raw;
    use super::*;

    fn problems_of(text: &str) -> Vec<String> {
        let mut problems = Vec::new();
        ConfigFile::from_text("c.toml", text).parse::<Raw>(&mut problems);
        problems.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_unknown_key_and_wrong_type_is_reported_with_its_line() {
        let problems = problems_of(
            "data_dri = \"x\"\ntrust_domain = 5\n\n[admin]\nlisten = true\n\n[[route]]\npath = \"/\"\nupstrem = \"x\"\n\
             [http_dor]\nlisten = \"x\"\n",
        );
        assert_eq!(problems.len(), 5, "{problems:#?}");
        for (line, key) in [
            (1, "data_dri"),
            (2, "trust_domain"),
            (5, "admin.listen"),
            (9, "route.upstrem"),
            (10, "http_dor"),
        ] {
            let head = format!("c.toml:{line}: {key}: ");
            assert!(problems.iter().any(|problem| problem.starts_with(&head)), "{head} in {problems:#?}");
        }
    }

    #[test]
    fn broken_syntax_is_reported_with_its_line() {
        let problems = problems_of("data_dir = \"x\"\ntrust_domain = \n");
        assert_eq!(problems.len(), 1, "{problems:#?}");
        assert!(problems[0].starts_with("c.toml:2: "), "{problems:#?}");
    }

    #[test]
    fn an_empty_file_is_right() {
        assert!(problems_of("# nothing\n").is_empty());
    }
}
