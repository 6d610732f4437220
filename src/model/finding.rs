//! What an examination of a database, its daemon and its machine has found wrong.

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Something is wrong: runs are kept from going on, or what is stored contradicts itself.
    Error,
    /// Nothing is wrong yet.
    Warning,
}

impl Level {
    /// The word for it in JSON and for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One thing that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub level: Level,
    /// What was looked at, in one word.
    pub check: &'static str,
    /// What is wrong, with what.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl Finding {
    /// Something is wrong.
    pub fn error(check: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            level: Level::Error,
            check,
            what: what.into(),
            hint: hint.into(),
        }
    }

    /// Something may go wrong.
    pub fn warning(check: &'static str, what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self {
            level: Level::Warning,
            ..Self::error(check, what, hint)
        }
    }
}
