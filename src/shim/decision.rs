//! A decision as commands and deciders write it: JSON in, the model's values out.
//!
//! It knows neither files nor processes. Start reading at [`parse`].

use std::fmt;
use std::time::Duration;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::model::policy::{Changes, Decision, Verdict, When};
use crate::model::spec::LOCK_MAX;
use crate::model::time::millis_of;
use crate::model::{Timestamp, pool};
use crate::text;

/// The longest decision in bytes.
pub const SIZE_MAX: usize = 64 * 1024;

/// The longest text of an error in bytes: a longer one is cut.
const ERROR_MAX: usize = 1000;

/// The decision that `bytes` hold: one JSON object with any of the fields of `Written`. A
/// field that is null is as good as absent, and nothing but white space says nothing. Errors: what
/// is wrong with it, in words; then nothing of it counts.
pub fn parse(bytes: &[u8]) -> Result<(Decision, Changes), String> {
    if bytes.len() > SIZE_MAX {
        return Err(format!("it is longer than {} KiB", SIZE_MAX / 1024));
    }
    if bytes.trim_ascii().is_empty() {
        return Ok(Default::default());
    }
    let object: Object = serde_json::from_slice(bytes).map_err(|error| match error.is_data() {
        true => "it must be a JSON object".to_owned(),
        false => format!("it is not JSON: {error}"),
    })?;
    let mut written = Written::default();
    let mut seen: Vec<&str> = Vec::new();
    for (name, value) in &object.0 {
        if seen.contains(&name.as_str()) {
            return Err(format!("{name} is there twice"));
        }
        written.take(name, value)?;
        seen.push(name);
    }
    let decision = written.decision()?;
    Ok((decision, written.changes))
}

/// The fields of a JSON object in their order: two of the same name are seen, an array is none.
struct Object(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Object(fields))
            }
        }
        from.deserialize_map(Fields)
    }
}

/// What was written, field by field.
#[derive(Default)]
struct Written {
    retry: Option<bool>,
    retry_in: Option<Duration>,
    retry_at: Option<Timestamp>,
    snooze: Option<Duration>,
    changes: Changes,
}

impl Written {
    /// Takes one field. Errors: there is none of that name, or its value is wrong.
    fn take(&mut self, name: &str, value: &Value) -> Result<(), String> {
        let wrong = |error: String| format!("{name}: {error}");
        let value = Some(value).filter(|value| !value.is_null());
        match name {
            "retry" => self.retry = value.map(truth).transpose().map_err(wrong)?,
            "retry_in" => self.retry_in = value.map(duration).transpose().map_err(wrong)?,
            "retry_at" => self.retry_at = value.map(time).transpose().map_err(wrong)?,
            "snooze" => self.snooze = value.map(duration).transpose().map_err(wrong)?,
            "priority" => {
                self.changes.priority = value.map(priority).transpose().map_err(wrong)?;
            }
            "pool" => self.changes.pool = value.map(pool_name).transpose().map_err(wrong)?,
            "lock" => self.changes.lock = value.map(lock).transpose().map_err(wrong)?,
            "error" => {
                let error = value.map(error_text).transpose().map_err(wrong)?;
                self.changes.error = error.filter(|text| !text.is_empty());
            }
            other => return Err(format!("there is no field {other}")),
        }
        Ok(())
    }

    /// Whether and when. Errors: the fields contradict each other.
    fn decision(&self) -> Result<Decision, String> {
        let exclude = |one: &str, other: &str| Err(format!("{one} and {other} exclude each other"));
        let verdict = match (self.snooze, self.retry) {
            (Some(_), Some(_)) => return exclude("snooze", "retry"),
            (Some(delay), None) => Some(Verdict::Snooze {
                delay_ms: millis_of(delay),
            }),
            (None, Some(true)) => Some(Verdict::Retry),
            (None, Some(false)) => Some(Verdict::Stop),
            (None, None) => None,
        };
        let (when, name) = match (self.retry_in, self.retry_at) {
            (Some(_), Some(_)) => return exclude("retry_in", "retry_at"),
            (Some(delay), None) => (Some(When::After(millis_of(delay))), "retry_in"),
            (None, at) => (at.map(When::At), "retry_at"),
        };
        match (verdict, when) {
            (Some(Verdict::Stop), Some(_)) => exclude("retry false", name),
            (Some(Verdict::Snooze { .. }), Some(_)) => exclude("snooze", name),
            (Some(_) | None, _) => Ok(Decision { verdict, when }),
        }
    }
}

fn truth(value: &Value) -> Result<bool, String> {
    let wrong = || "it must be true or false".to_owned();
    value.as_bool().ok_or_else(wrong)
}

/// A number of seconds, or a text such as `90s`.
fn duration(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Number(seconds) => text::duration(&seconds.to_string()),
        Value::String(text) => text::duration(text),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => {
            Err("it must be a number of seconds, or a text such as 90s".to_owned())
        }
    }
}

fn time(value: &Value) -> Result<Timestamp, String> {
    text::time(value.as_str().unwrap_or_default())
}

fn priority(value: &Value) -> Result<i32, String> {
    let number = value.as_i64().and_then(|number| number.try_into().ok());
    let wrong = || {
        format!(
            "it must be a whole number from {} to {}",
            i32::MIN,
            i32::MAX
        )
    };
    number.ok_or_else(wrong)
}

/// Whether there is such a pool is seen by who knows the database.
fn pool_name(value: &Value) -> Result<String, String> {
    let name = words(value)?;
    let wrong = || "it must be the name of a pool".to_owned();
    pool::is_name(name)
        .then(|| name.to_owned())
        .ok_or_else(wrong)
}

fn lock(value: &Value) -> Result<String, String> {
    let lock = words(value)?;
    let fits = (1..=LOCK_MAX).contains(&lock.len()) && !lock.contains(char::is_control);
    let wrong = || format!("it must have 1 to {LOCK_MAX} bytes, and no control characters");
    fits.then(|| lock.to_owned()).ok_or_else(wrong)
}

fn error_text(value: &Value) -> Result<String, String> {
    let text = words(value)?.chars().filter(|c| !c.is_control());
    let mut text: String = text.collect();
    while text.len() > ERROR_MAX {
        text.pop();
    }
    Ok(text)
}

fn words(value: &Value) -> Result<&str, String> {
    let wrong = || "it must be a text".to_owned();
    value.as_str().ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(text: &str) -> Decision {
        parse(text.as_bytes()).unwrap().0
    }

    fn wrong(text: &str) -> String {
        parse(text.as_bytes()).unwrap_err()
    }

    #[test]
    fn each_field_says_what_it_says() {
        let verdict = |text| decided(text).verdict;
        let when = |text| decided(text).when;
        assert_eq!(verdict(r#"{"retry":false}"#), Some(Verdict::Stop));
        assert_eq!(verdict(r#"{"retry":true}"#), Some(Verdict::Retry));
        let snooze = Verdict::Snooze { delay_ms: 1500 };
        assert_eq!(verdict(r#"{"snooze":1.5}"#), Some(snooze));
        assert_eq!(when(r#"{"retry_in":90}"#), Some(When::After(90_000)));
        assert_eq!(
            when(r#"{"retry_in":"1h 30m"}"#),
            Some(When::After(5_400_000))
        );
        let at = Timestamp::from_millis(1500);
        let in_zone = r#"{"retry":true,"retry_at":"1970-01-01T01:00:01.5+01:00"}"#;
        assert_eq!(when(in_zone), Some(When::At(at)));
        assert_eq!(verdict(in_zone), Some(Verdict::Retry));
        let text = r#"{"priority":-5,"pool":"default","lock":"a b","error":"no disk"}"#;
        let (decision, changes) = parse(text.as_bytes()).unwrap();
        assert_eq!(decision, Decision::default());
        let expected = Changes {
            priority: Some(-5),
            pool: Some("default".to_owned()),
            lock: Some("a b".to_owned()),
            error: Some("no disk".to_owned()),
        };
        assert_eq!(changes, expected);
    }

    #[test]
    fn nothing_and_nulls_say_nothing() {
        for text in [
            "",
            " \n\t",
            "{}",
            r#"{"retry":null,"retry_in":null,"error":""}"#,
        ] {
            assert_eq!(parse(text.as_bytes()), Ok(Default::default()), "{text}");
        }
        let stop = decided(r#"{"retry":false,"retry_in":null,"snooze":null}"#);
        assert_eq!(stop.verdict, Some(Verdict::Stop));
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for text in ["null", "[]", "[true]", "true", "1", r#""retry""#] {
            assert_eq!(wrong(text), "it must be a JSON object", "{text}");
        }
        for text in ["{", "retry", "{}{}", "{\"retry\":true,}", "{retry:true}"] {
            assert!(wrong(text).starts_with("it is not JSON: "), "{text}");
        }
        assert!(parse(b"{\"error\":\"\xff\"}").is_err());
        let deep = format!("{{\"error\":{}", "[".repeat(SIZE_MAX / 2));
        assert!(wrong(&deep).contains("recursion"));
        let longest = format!("{{{}}}", " ".repeat(SIZE_MAX - 2));
        assert_eq!(decided(&longest), Decision::default());
        assert_eq!(wrong(&format!("{longest} ")), "it is longer than 64 KiB");
    }

    #[test]
    fn wrong_fields_are_named() {
        for (text, reason) in [
            (r#"{"retires":1}"#, "there is no field retires"),
            (r#"{"retires":null}"#, "there is no field retires"),
            (r#"{"retry":"no"}"#, "retry: it must be true or false"),
            (r#"{"retry":true,"retry":false}"#, "retry is there twice"),
            (r#"{"priority":1.5}"#, "priority: it must be a whole number"),
            (
                r#"{"priority":3000000000}"#,
                "priority: it must be a whole number",
            ),
            (r#"{"pool":"g pu"}"#, "pool: it must be the name of a pool"),
            (r#"{"pool":7}"#, "pool: it must be a text"),
            (r#"{"lock":""}"#, "lock: it must have 1 to 200 bytes"),
            (r#"{"lock":"a\nb"}"#, "lock: it must have 1 to 200 bytes"),
            (r#"{"error":[]}"#, "error: it must be a text"),
            (r#"{"retry_in":-1}"#, "retry_in: "),
            (r#"{"retry_in":"1M"}"#, "retry_in: the unit M is not exact"),
            (r#"{"retry_in":[1]}"#, "retry_in: it must be a number"),
            (r#"{"retry_in":1e300}"#, "retry_in: longer than 100 years"),
            (r#"{"snooze":"soon"}"#, "snooze: it must be a number"),
            (r#"{"retry_at":"tomorrow"}"#, "retry_at: it must be a time"),
            (r#"{"retry_at":1500}"#, "retry_at: it must be a time"),
        ] {
            let said = wrong(text);
            assert!(said.starts_with(reason), "{text}: {said}");
        }
        let lock = |length| format!(r#"{{"lock":"{}"}}"#, "é".repeat(length));
        assert!(parse(lock(100).as_bytes()).is_ok());
        assert!(parse(lock(101).as_bytes()).is_err());
    }

    #[test]
    fn fields_that_contradict_each_other_are_malformed() {
        let at = r#""retry_at":"2026-01-31T23:59:59Z""#;
        for (text, one, other) in [
            (format!(r#""retry_in":1,{at}"#), "retry_in", "retry_at"),
            (
                format!(r#""retry":true,"retry_in":1,{at}"#),
                "retry_in",
                "retry_at",
            ),
            (
                r#""retry":false,"retry_in":1"#.into(),
                "retry false",
                "retry_in",
            ),
            (format!(r#""retry":false,{at}"#), "retry false", "retry_at"),
            (r#""snooze":1,"retry":true"#.into(), "snooze", "retry"),
            (r#""snooze":1,"retry":false"#.into(), "snooze", "retry"),
            (r#""snooze":1,"retry_in":1"#.into(), "snooze", "retry_in"),
            (format!(r#""snooze":1,{at}"#), "snooze", "retry_at"),
        ] {
            let expected = format!("{one} and {other} exclude each other");
            assert_eq!(wrong(&format!("{{{text}}}")), expected);
        }
    }

    #[test]
    fn an_error_is_cleaned_and_cut_between_characters() {
        let error = |text: &str| {
            let object = serde_json::json!({ "error": text }).to_string();
            parse(object.as_bytes()).unwrap().1.error
        };
        assert_eq!(error("a\u{1b}[31m\nb\u{9b}"), Some("a[31mb".to_owned()));
        assert_eq!(error("\n"), None);
        assert_eq!(error(&"xé".repeat(1000)), Some("xé".repeat(333) + "x"));
        assert_eq!(error(&"é".repeat(501)), Some("é".repeat(500)));
    }
}
