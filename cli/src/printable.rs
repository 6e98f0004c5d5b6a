//! What callers and platforms wrote, as it may be given to a terminal: what would move its cursor, change its title or
//! turn its text around is shown instead. For people only: programs get every text as it is.

/// `text` with its line breaks and tabs, and without other characters that a terminal obeys: these are shown like
/// `\u{1b}`.
pub fn printable(text: &str) -> String {
    shown(text, |character| !matches!(character, '\n' | '\t'))
}

/// The same on one line: line breaks and tabs are shown, too.
pub fn on_one_line(text: &str) -> String {
    shown(text, |_| true)
}

/// `text` with what a terminal obeys shown, where it `is_meant`.
fn shown(text: &str, is_meant: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for character in text.chars() {
        if is_obeyed(character) && is_meant(character) {
            shown.extend(character.escape_unicode());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// Whether a terminal does something else than show it: control characters (C0, DEL and C1), and those that turn the
/// direction of what follows (Unicode Standard Annex 9, 2.1 to 2.5).
fn is_obeyed(character: char) -> bool {
    character.is_control() || matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_obeys_is_shown() {
        for (text, expected) in [
            ("\u{1b}]0;title\u{7}", r"\u{1b}]0;title\u{7}"),
            ("\u{9b}2J\u{7f}\r", r"\u{9b}2J\u{7f}\u{d}"),
            (
                "a\u{202e}b\u{2066}c\u{2069}",
                r"a\u{202e}b\u{2066}c\u{2069}",
            ),
            ("größer → 7 ≠ …", "größer → 7 ≠ …"),
        ] {
            assert_eq!(printable(text), expected);
            assert_eq!(on_one_line(text), expected);
        }
    }

    #[test]
    fn only_a_text_of_many_lines_keeps_its_breaks() {
        assert_eq!(printable("a\n\tb"), "a\n\tb");
        assert_eq!(on_one_line("a\n\tb"), r"a\u{a}\u{9}b");
    }
}
