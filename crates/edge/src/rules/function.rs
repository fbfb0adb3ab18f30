//! The functions of the language: names, arguments, results.

use super::ast::{Kind, Scalar};

/// What makes a value of others. `any` and `all` are part of the grammar.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Function {
    Lower,
    Upper,
    StartsWith,
    EndsWith,
    /// `len` of a string, in bytes.
    Length,
    /// `len` of an array.
    Count,
    Concat,
    /// `concat` of arrays.
    Chain,
    Substring,
    UrlDecode,
    Cidr,
    Cidr6,
    RemoveBytes,
    Join,
    Split,
    ToString,
    DecodeBase64,
    LookupJsonString,
    LookupJsonInteger,
    Sha256,
    HasKey,
    HasValue,
}

/// What may stand as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Parameter {
    /// A string that is no literal.
    Text,
    /// A string or an array, neither a literal.
    TextOrArray,
    /// A string, also a literal, or an array.
    Piece,
    /// An IP address.
    Address,
    /// A number, a Boolean or an IP address.
    Printable,
    /// An array of strings.
    Array,
    /// A map.
    Map,
    /// An array of strings or a map.
    Collection,
    /// A string literal.
    TextLiteral,
    /// A string literal with something in it.
    Separator,
    /// A string literal of these letters.
    Options(&'static str),
    /// A number between these, literal.
    Number(i64, i64),
    /// The name of an attribute or the number of an element, literal.
    JsonKey,
}

impl Parameter {
    /// What it takes, for people.
    pub(super) fn text(self) -> String {
        match self {
            Self::Text => "a string, not a literal".to_owned(),
            Self::TextOrArray => "a string or an array".to_owned(),
            Self::Piece => "strings, or arrays".to_owned(),
            Self::Address => "an IP address".to_owned(),
            Self::Printable => "a number, a Boolean or an IP address".to_owned(),
            Self::Array => "an array of strings".to_owned(),
            Self::Map => "a map".to_owned(),
            Self::Collection => "an array or a map".to_owned(),
            Self::TextLiteral => "a string literal".to_owned(),
            Self::Separator => "a string literal that is not empty".to_owned(),
            Self::Options(letters) => format!("a string literal of the letters {letters:?}"),
            Self::Number(i64::MIN, _) => "a number literal".to_owned(),
            Self::Number(from, to) => format!("a number literal from {from} to {to}"),
            Self::JsonKey => "a string or number literal".to_owned(),
        }
    }
}

/// How a function is called.
#[derive(Clone, Copy, Debug)]
pub(super) struct Signature {
    pub(super) name: &'static str,
    pub(super) function: Function,
    pub(super) parameters: &'static [Parameter],
    /// How many of them must be there.
    pub(super) required: usize,
    /// How often the last one may stand.
    pub(super) repeats: usize,
    pub(super) returns: Kind,
    /// What it does, for the reference page.
    pub(super) summary: &'static str,
}

/// The most arguments of a function that takes any number.
const MANY: usize = 32;

const ANY_NUMBER: Parameter = Parameter::Number(i64::MIN, i64::MAX);

const fn signature(
    name: &'static str,
    function: Function,
    parameters: &'static [Parameter],
    returns: Kind,
    summary: &'static str,
) -> Signature {
    Signature { name, function, parameters, required: parameters.len(), repeats: 1, returns, summary }
}

impl Signature {
    const fn optional(mut self, required: usize) -> Self {
        self.required = required;
        self
    }

    const fn repeated(mut self) -> Self {
        self.repeats = MANY;
        self
    }

    /// The parameter at a place; `None`: there are too many arguments.
    pub(super) fn parameter(&self, at: usize) -> Option<Parameter> {
        let last = self.parameters.len().saturating_sub(1);
        let is_repeated = at >= last && at < last.saturating_add(self.repeats);
        self.parameters.get(if is_repeated { last } else { at }).copied()
    }
}

/// Every function but `any` and `all`.
pub(super) const FUNCTIONS: [Signature; 20] = {
    use Function as F;
    use Parameter::{
        Address, Array, Collection, JsonKey, Map, Number, Options, Piece, Printable, Separator, Text,
        TextLiteral, TextOrArray,
    };
    const BOOLEAN: Kind = Kind::One(Scalar::Boolean);
    const INTEGER: Kind = Kind::One(Scalar::Integer);
    const TEXT: Kind = Kind::One(Scalar::Text);
    const ADDRESS: Kind = Kind::One(Scalar::Address);
    [
        signature("lower", F::Lower, &[Text], TEXT, "ASCII letters in lower case."),
        signature("upper", F::Upper, &[Text], TEXT, "ASCII letters in upper case."),
        signature("starts_with", F::StartsWith, &[Text, TextLiteral], BOOLEAN, "Whether it begins so."),
        signature("ends_with", F::EndsWith, &[Text, TextLiteral], BOOLEAN, "Whether it ends so."),
        signature("len", F::Length, &[TextOrArray], INTEGER, "Bytes of a string, elements of an array."),
        signature("concat", F::Concat, &[Piece], TEXT, "Strings, or arrays, one after the other.").repeated(),
        signature(
            "substring",
            F::Substring,
            &[Text, ANY_NUMBER, ANY_NUMBER],
            TEXT,
            "From the first byte given to the one before the second; negative numbers count from the end.",
        )
        .optional(2),
        signature(
            "url_decode",
            F::UrlDecode,
            &[Text, Options("ru")],
            TEXT,
            "`%HH` and `+` decoded; \"r\": until nothing is left to decode, \"u\": `%uHHHH` too.",
        )
        .optional(1),
        signature(
            "cidr",
            F::Cidr,
            &[Address, Number(1, 32), Number(1, 128)],
            ADDRESS,
            "The network of an address, by its bits for IPv4 and for IPv6.",
        ),
        signature(
            "cidr6",
            F::Cidr6,
            &[Address, Number(1, 128)],
            ADDRESS,
            "The network of an IPv6 address; an IPv4 address stays.",
        ),
        signature("remove_bytes", F::RemoveBytes, &[Text, TextLiteral], TEXT, "Without any of these bytes."),
        signature("join", F::Join, &[Array, TextLiteral], TEXT, "The strings, with this between them."),
        signature(
            "split",
            F::Split,
            &[Text, Separator, Number(1, 128)],
            Kind::Array(Scalar::Text),
            "The parts between separators, at most so many; the last holds the rest.",
        ),
        signature("to_string", F::ToString, &[Printable], TEXT, "As text: `5`, `true`, `192.0.2.1`."),
        signature("decode_base64", F::DecodeBase64, &[Text], TEXT, "Decoded; missing when it is no base64."),
        signature(
            "lookup_json_string",
            F::LookupJsonString,
            &[Text, JsonKey],
            TEXT,
            "The string at this place of a JSON document; missing when there is none.",
        )
        .repeated(),
        signature(
            "lookup_json_integer",
            F::LookupJsonInteger,
            &[Text, JsonKey],
            INTEGER,
            "The whole number at this place of a JSON document; missing when there is none.",
        )
        .repeated(),
        signature("sha256", F::Sha256, &[Text], TEXT, "The SHA-256, 32 bytes: compare it with `ab:cd:…`."),
        signature("has_key", F::HasKey, &[Map, TextLiteral], BOOLEAN, "Whether the map has this name."),
        signature(
            "has_value",
            F::HasValue,
            &[Collection, TextLiteral],
            BOOLEAN,
            "Whether one of the values is this.",
        ),
    ]
};

/// The function of that name, and how it is called.
pub(super) fn named(name: &str) -> Option<&'static Signature> {
    FUNCTIONS.iter().find(|signature| signature.name == name)
}

impl Function {
    /// Its name in the language.
    pub(super) fn name(self) -> &'static str {
        let listed = if matches!(self, Self::Count) {
            Self::Length
        } else if matches!(self, Self::Chain) {
            Self::Concat
        } else {
            self
        };
        FUNCTIONS.iter().find(|known| known.function == listed).map_or("", |known| known.name)
    }

    /// The form of it that takes an array where it takes a string or an array.
    pub(super) const fn of_arrays(self) -> Self {
        if matches!(self, Self::Length) {
            Self::Count
        } else if matches!(self, Self::Concat) {
            Self::Chain
        } else {
            self
        }
    }
}
