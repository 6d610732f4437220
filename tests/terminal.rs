//! What a real terminal shows, by tmux: views as they stand on it (`views`), what moves while somebody waits
//! (`waiting`), and pages that are drawn again and again (`watching`).

mod views;
mod waiting;
mod watching;
