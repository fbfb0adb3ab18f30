//! As much of JSON Schema as the document uses, to hold answers against it.

use serde_json::{Map, Value, json};

/// What is wrong with `value`, measured by `schema`; nothing when it fits.
pub(crate) fn faults(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    Check { document, found: &mut found }.check(schema, value, "$");
    found
}

struct Check<'a> {
    document: &'a Value,
    found: &'a mut Vec<String>,
}

impl Check<'_> {
    fn check(&mut self, schema: &Value, value: &Value, at: &str) {
        let schema = &self.whole(schema);
        if let Some(choices) = schema["oneOf"].as_array() {
            let fits =
                choices.iter().filter(|choice| faults(self.document, choice, value).is_empty()).count();
            if fits != 1 {
                self.fault(at, &format!("{fits} of {} choices fit {value}", choices.len()));
            }
        }
        self.check_type(schema, value, at);
        self.check_text(schema, value, at);
        self.check_members(schema, value, at);
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            self.check(&schema["items"], item, &format!("{at}[{index}]"));
        }
    }

    /// A schema with what it refers to and what it is put together of.
    fn whole(&self, schema: &Value) -> Value {
        if let Some(name) = schema["$ref"].as_str() {
            return self.whole(self.document.pointer(name.trim_start_matches('#')).unwrap());
        }
        let Some(parts) = schema["allOf"].as_array() else { return schema.clone() };
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts.iter().map(|part| self.whole(part)) {
            properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
            required.extend(part["required"].as_array().cloned().unwrap_or_default());
        }
        json!({ "type": "object", "properties": properties, "required": required })
    }

    fn check_type(&mut self, schema: &Value, value: &Value, at: &str) {
        let allowed: Vec<&str> = match &schema["type"] {
            Value::String(one) => vec![one.as_str()],
            Value::Array(several) => several.iter().filter_map(Value::as_str).collect(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => return,
        };
        let is = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        if !allowed.contains(&is) {
            self.fault(at, &format!("is {is}, should be {allowed:?}"));
        }
    }

    fn check_text(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(text) = value.as_str() else { return };
        if let Some(values) = schema["enum"].as_array()
            && !values.contains(value)
        {
            self.fault(at, &format!("{text} is none of {values:?}"));
        }
        if let Some(pattern) = schema["pattern"].as_str()
            && !regex::Regex::new(pattern).unwrap().is_match(text)
        {
            self.fault(at, &format!("{text} does not match {pattern}"));
        }
        let fits = match schema["format"].as_str() {
            Some("uuid") => text.len() == 36 && text.matches('-').count() == 4,
            Some("date-time") => text.ends_with('Z') && text.contains('T'),
            Some("email") => text.contains('@'),
            Some(_) | None => true,
        };
        if !fits {
            self.fault(at, &format!("{text} is no {}", schema["format"]));
        }
    }

    fn check_members(&mut self, schema: &Value, value: &Value, at: &str) {
        let Some(members) = value.as_object() else { return };
        for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !members.contains_key(name) {
                self.fault(at, &format!("{name} is missing"));
            }
        }
        let Some(described) = schema["properties"].as_object() else { return };
        for (name, member) in members {
            match described.get(name) {
                Some(schema) => self.check(schema, member, &format!("{at}.{name}")),
                None => self.fault(at, &format!("{name} is not described")),
            }
        }
    }

    fn fault(&mut self, at: &str, fault: &str) {
        self.found.push(format!("{at}: {fault}"));
    }
}
