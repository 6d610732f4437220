//! What SQLite does for this thread, counted in steps of its virtual machine: the same in every
//! run and on every machine, unlike time.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::{CStr, c_char, c_int, c_uint, c_void};
use std::ptr;
use std::sync::Once;

use rusqlite::ffi;

/// What was done.
#[derive(Clone, Debug, Default)]
pub struct Steps {
    /// How many steps were made, those of triggers and of foreign keys among them.
    pub count: u64,
    /// The statements.
    pub sql: BTreeSet<String>,
}

thread_local! {
    static DONE: RefCell<Option<Steps>> = const { RefCell::new(None) };
}

impl Steps {
    /// What `act` has SQLite do on connections that were opened after the first call of
    /// [`Steps::watch`].
    pub fn of(act: impl FnOnce()) -> Self {
        DONE.with_borrow_mut(|done| *done = Some(Self::default()));
        act();
        DONE.take().unwrap_or_default()
    }

    /// From now on every connection that this process opens tells what it does.
    pub fn watch() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            // SAFETY: `opened` has the signature that SQLite gives its extensions, and lives as
            // long as the process.
            let code = unsafe { ffi::sqlite3_auto_extension(Some(opened)) };
            assert_eq!(code, ffi::SQLITE_OK);
        });
    }
}

unsafe extern "C" fn opened(
    db: *mut ffi::sqlite3,
    _error: *mut *mut c_char,
    _api: *const ffi::sqlite3_api_routines,
) -> c_int {
    let done = ffi::SQLITE_TRACE_PROFILE as c_uint;
    // SAFETY: SQLite calls this with a connection that it is opening, and `ended` needs no context.
    unsafe { ffi::sqlite3_trace_v2(db, done, Some(ended), ptr::null_mut()) }
}

unsafe extern "C" fn ended(
    _kind: c_uint,
    _context: *mut c_void,
    statement: *mut c_void,
    _time: *mut c_void,
) -> c_int {
    let statement: *mut ffi::sqlite3_stmt = statement.cast();
    DONE.with_borrow_mut(|done| {
        let Some(done) = done else { return };
        // SAFETY: the statement that has just ended is alive during this call, and its text is a
        // C string or NULL.
        let (steps, sql) = unsafe {
            let text = ffi::sqlite3_sql(statement);
            let sql = (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy());
            let steps = ffi::sqlite3_stmt_status(statement, ffi::SQLITE_STMTSTATUS_VM_STEP, 1);
            (steps, sql)
        };
        done.count += u64::from(steps.unsigned_abs());
        done.sql.extend(sql.map(|text| text.into_owned()));
    });
    0
}
