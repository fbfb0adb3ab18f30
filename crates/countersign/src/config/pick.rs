//! Chooses between flag, environment, file and default, and collects what is wrong.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;
use std::str::FromStr;

use super::environment::{Environment, variable_of};
use super::file::ConfigFile;
use super::problem::{Origin, Problem};
use super::raw::{Place, RawRequirement};

/// What a setting looks like outside: in the file as its TOML type, elsewhere as a text.
pub(super) trait Outside: Sized + Clone {
    /// From a variable's text.
    fn from_variable(text: &str) -> Result<Self, String>;
}

impl Outside for String {
    fn from_variable(text: &str) -> Result<Self, String> {
        Ok(text.to_owned())
    }
}

impl Outside for u64 {
    fn from_variable(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_invalid| format!("not a number: {text:?}"))
    }
}

impl Outside for bool {
    fn from_variable(text: &str) -> Result<Self, String> {
        match text {
            "true" | "1" => Ok(true),
            "false" | "0" => Ok(false),
            _ => Err(format!("not true or false: {text:?}")),
        }
    }
}

impl Outside for RawRequirement {
    fn from_variable(text: &str) -> Result<Self, String> {
        Ok(Self::Word(text.to_owned()))
    }
}

impl Outside for Vec<u64> {
    fn from_variable(text: &str) -> Result<Self, String> {
        let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
        items.map(u64::from_variable).collect()
    }
}

impl Outside for Vec<String> {
    fn from_variable(text: &str) -> Result<Self, String> {
        Ok(text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect())
    }
}

/// A setting as the layers have it; the default is the caller's.
pub(super) struct Layers<R> {
    key: &'static str,
    flag: Option<(&'static str, R)>,
    file: Place<R>,
    in_environment: bool,
}

impl<R: Outside> Layers<R> {
    /// From the file, or from the environment under the key's name.
    pub(super) const fn new(key: &'static str, file: Place<R>) -> Self {
        Self { key, flag: None, file, in_environment: true }
    }

    /// Which setting it is.
    pub(super) const fn key(&self) -> &'static str {
        self.key
    }

    /// The same without the environment: entries of a list of tables have no variable.
    pub(super) const fn only_in_file(mut self) -> Self {
        self.in_environment = false;
        self
    }

    /// The same, and from a flag before all.
    pub(super) fn flag(mut self, name: &'static str, value: Option<R>) -> Self {
        self.flag = value.map(|value| (name, value));
        self
    }
}

/// Reads settings one by one; a wrong one is written down and its default goes on.
pub(super) struct Picker<'a> {
    file: &'a ConfigFile,
    environment: &'a Environment,
    problems: Vec<Problem>,
}

impl<'a> Picker<'a> {
    /// A picker that has these problems already.
    pub(super) const fn new(
        file: &'a ConfigFile,
        environment: &'a Environment,
        problems: Vec<Problem>,
    ) -> Self {
        Self { file, environment, problems }
    }

    /// Every problem, once all settings are read: those of the file by line.
    pub(super) fn into_problems(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.origin.place());
        self.problems
    }

    /// Writes down a problem.
    pub(super) fn refuse(&mut self, origin: &Origin, key: &str, message: impl fmt::Display) {
        self.problems.push(Problem {
            origin: origin.clone(),
            key: key.to_owned(),
            message: message.to_string(),
        });
    }

    /// The value that wins and where it comes from.
    pub(super) fn given<R: Outside>(&mut self, layers: Layers<R>) -> Option<(R, Origin)> {
        if let Some((name, value)) = layers.flag {
            return Some((value, Origin::Flag(name)));
        }
        let variable = variable_of(layers.key);
        if let Some(text) = self.environment.variable(&variable).filter(|_text| layers.in_environment) {
            let origin = Origin::Variable(variable);
            return match R::from_variable(text) {
                Ok(value) => Some((value, origin)),
                Err(message) => {
                    self.refuse(&origin, layers.key, message);
                    None
                }
            };
        }
        let (value, span) = layers.file.map(|place| (place.get_ref().clone(), place.span()))?;
        Some((value, self.file.origin(&span)))
    }

    /// The value that wins, understood.
    pub(super) fn optional<R: Outside, T, E: fmt::Display>(
        &mut self,
        layers: Layers<R>,
        understand: impl FnOnce(R) -> Result<T, E>,
    ) -> Option<(T, Origin)> {
        let key = layers.key;
        let (value, origin) = self.given(layers)?;
        match understand(value) {
            Ok(understood) => Some((understood, origin)),
            Err(message) => {
                self.refuse(&origin, key, message);
                None
            }
        }
    }

    /// The value that wins, understood, or the default.
    pub(super) fn value<R: Outside, T, E: fmt::Display>(
        &mut self,
        layers: Layers<R>,
        default: T,
        understand: impl FnOnce(R) -> Result<T, E>,
    ) -> (T, Origin) {
        self.optional(layers, understand).unwrap_or((default, Origin::Default))
    }

    /// A text of a type that reads itself.
    pub(super) fn parsed<T: FromStr<Err: fmt::Display>>(
        &mut self,
        layers: Layers<String>,
        default: T,
    ) -> (T, Origin) {
        self.value(layers, default, |text| text.parse::<T>())
    }

    /// Where a part of the file stands.
    pub(super) fn origin(&self, span: &Range<usize>) -> Origin {
        self.file.origin(span)
    }

    /// A path to a file that must exist.
    pub(super) fn file(&mut self, layers: Layers<String>) -> Option<(PathBuf, Origin)> {
        let key = layers.key;
        let (text, origin) = self.given(layers)?;
        let path = self.rooted(text, &origin);
        if !path.is_file() {
            self.refuse(&origin, key, format!("there is no file {}", path.display()));
        }
        Some((path, origin))
    }

    /// What the environment says under a name that is not a setting's.
    pub(super) fn variable(&self, name: &str) -> Option<&str> {
        self.environment.variable(name)
    }

    /// A path and where it comes from.
    pub(super) fn placed(&mut self, layers: Layers<String>) -> Option<(PathBuf, Origin)> {
        let (text, origin) = self.given(layers)?;
        Some((self.rooted(text, &origin), origin))
    }

    /// A path; a relative one in the file starts from the file's folder.
    pub(super) fn path(&mut self, layers: Layers<String>) -> Option<PathBuf> {
        self.placed(layers).map(|(path, _origin)| path)
    }

    /// A list whose items read themselves; each bad item is a problem of its own.
    pub(super) fn list<T: FromStr<Err: fmt::Display>>(
        &mut self,
        layers: Layers<Vec<String>>,
    ) -> Option<(Vec<T>, Origin)> {
        let key = layers.key;
        let (texts, origin) = self.given(layers)?;
        let mut items = Vec::with_capacity(texts.len());
        for text in texts {
            match text.parse::<T>() {
                Ok(item) => items.push(item),
                Err(error) => self.refuse(&origin, key, error),
            }
        }
        Some((items, origin))
    }

    fn rooted(&self, text: String, origin: &Origin) -> PathBuf {
        match origin {
            Origin::File { .. } => self.file.folder().join(text),
            Origin::Flag(_) | Origin::Variable(_) | Origin::Default => text.into(),
        }
    }
}
