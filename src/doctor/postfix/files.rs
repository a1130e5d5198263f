//! main.cf and master.cf: what is set in which lines (postconf(5), master(5)).
//!
//! Both are made of logical lines: one that begins with blanks continues the one before, whatever comments
//! and blank lines stand between.

use std::ops::RangeInclusive;

/// A parameter as main.cf sets it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) struct Parameter {
    pub(in crate::doctor) name: String,
    /// Unexpanded, on one line.
    pub(in crate::doctor) value: String,
    /// From its first to its last line, counted from 1.
    pub(in crate::doctor) lines: RangeInclusive<u32>,
}

/// A service of master.cf that speaks SMTP with clients, or takes mail in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::doctor) struct Service {
    pub(in crate::doctor) name: String,
    pub(in crate::doctor) line: u32,
    /// The fifth column: `y`, `n` or `-`.
    pub(in crate::doctor) chroot: String,
    /// The program.
    pub(in crate::doctor) command: String,
    /// `-o name=value` and `-o { name = value }`.
    pub(in crate::doctor) overrides: Vec<(String, String)>,
}

/// The parameters of a main.cf, in its order.
pub(in crate::doctor) fn parameters(text: &str) -> Vec<Parameter> {
    let parameter = |(lines, text): (RangeInclusive<u32>, String)| {
        let (name, value) = text.split_once('=')?;
        Some(Parameter {
            name: name.trim().to_owned(),
            value: value.trim().to_owned(),
            lines,
        })
    };
    logical(text).into_iter().filter_map(parameter).collect()
}

/// The services of a master.cf.
pub(in crate::doctor) fn services(text: &str) -> Vec<Service> {
    let service = |(lines, text): (RangeInclusive<u32>, String)| {
        let words = grouped(&text, char::is_whitespace);
        let [name, _, _, _, chroot, _, _, command, arguments @ ..] = words.as_slice() else {
            return None;
        };
        let options = arguments.windows(2).filter(|pair| pair[0] == "-o");
        // `-o { name = value }` is for values with blanks in them.
        let inside = |word: &str| {
            let wrapped = word.strip_prefix('{').and_then(|rest| rest.strip_suffix('}'));
            wrapped.unwrap_or(word).to_owned()
        };
        Some(Service {
            name: (*name).to_owned(),
            line: *lines.start(),
            chroot: (*chroot).to_owned(),
            command: (*command).to_owned(),
            overrides: options
                .filter_map(|pair| {
                    let option = inside(pair[1]);
                    let (name, value) = option.split_once('=')?;
                    Some((name.trim().to_owned(), value.trim().to_owned()))
                })
                .collect(),
        })
    };
    logical(text).into_iter().filter_map(service).collect()
}

fn logical(text: &str) -> Vec<(RangeInclusive<u32>, String)> {
    let mut found: Vec<(RangeInclusive<u32>, String)> = vec![];
    for (number, line) in (1u32..).zip(text.lines()) {
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        match found.last_mut() {
            Some((lines, text)) if line.starts_with(char::is_whitespace) => {
                *lines = *lines.start()..=number;
                text.push(' ');
                text.push_str(trimmed);
            }
            _ => found.push((number..=number, trimmed.to_owned())),
        }
    }
    found
}

/// `value` with every `$name`, `${name}` and `$(name)` replaced by what `look_up` says of it, to any depth; a name
/// within itself is empty.
pub(in crate::doctor) fn expand(value: &str, look_up: &impl Fn(&str) -> Option<String>) -> String {
    expand_within(value, look_up, &mut vec![])
}

fn expand_within(value: &str, look_up: &impl Fn(&str) -> Option<String>, within: &mut Vec<String>) -> String {
    let mut expanded = String::new();
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('$') {
        expanded.push_str(before);
        let (name, behind) = reference(after);
        match name {
            Some(name) if within.iter().all(|open| open != name) => {
                within.push(name.to_owned());
                let found = look_up(name).unwrap_or_default();
                expanded.push_str(&expand_within(&found, look_up, within));
                within.pop();
            }
            Some(_) => {}
            None => expanded.push('$'),
        }
        rest = behind;
    }
    expanded + rest
}

/// The name behind a `$`, and what follows it.
fn reference(text: &str) -> (Option<&str>, &str) {
    for (open, close) in [('{', '}'), ('(', ')')] {
        if let Some((name, behind)) = text.strip_prefix(open).and_then(|text| text.split_once(close)) {
            return (Some(name), behind);
        }
    }
    let len = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    let (name, behind) = text.split_at(len);
    ((!name.is_empty()).then_some(name), behind)
}

/// The milters of a list, each without the options it may have in braces.
pub(in crate::doctor) fn milters(value: &str) -> Vec<&str> {
    let words = value.split(|c: char| c.is_whitespace() || matches!(c, ',' | '{' | '}'));
    words.filter(|word| word.contains(':')).collect()
}

/// The entries of such a list, each as it is written: braces hold one together.
pub(in crate::doctor) fn entries(value: &str) -> Vec<&str> {
    grouped(value, |c| c.is_whitespace() || c == ',')
}

/// What stands between separators, of which those within braces are none.
fn grouped(text: &str, is_separator: impl Fn(char) -> bool) -> Vec<&str> {
    let mut depth = 0usize;
    let groups = text.split(|c: char| {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && is_separator(c)
    });
    groups.filter(|group| !group.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_begin_with_blanks_continue() {
        let text = "# a comment\nsmtpd_milters = inet:localhost:1,\n# between\n\n  unix:/b\nname=value\nname = other\n";
        let read = parameters(text);
        assert_eq!(read[0].value, "inet:localhost:1, unix:/b");
        assert_eq!(read[0].lines, 2..=5);
        assert_eq!((read[2].value.as_str(), read[2].lines.clone()), ("other", 7..=7));
    }

    #[test]
    fn services_have_their_overrides() {
        let text = "smtp inet n - y - - smtpd\n#x inet n - y - - smtpd\nsubmission inet n - - - - smtpd\n  -o syslog_name=a\n  -o smtpd_milters=\n  -o { a = b c }\n  -o x={y z}\n";
        let read = services(text);
        assert_eq!(read.len(), 2);
        assert_eq!((read[1].chroot.as_str(), read[1].line), ("-", 3));
        let overrides = [
            ("syslog_name", "a"),
            ("smtpd_milters", ""),
            ("a", "b c"),
            ("x", "{y z}"),
        ];
        let overrides = overrides.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(read[1].overrides, overrides);
    }

    #[test]
    fn references_are_expanded_and_circles_end() {
        let look_up = |name: &str| match name {
            "a" => Some("[$b]".to_owned()),
            "b" => Some("x".to_owned()),
            "circle" => Some("$circle".to_owned()),
            _ => None,
        };
        assert_eq!(expand("$a ${b}$(b) $none.", &look_up), "[x] xx .");
        assert_eq!(expand("$circle", &look_up), "");
        assert_eq!(expand("5$ $", &look_up), "5$ $");
    }

    #[test]
    fn a_list_of_milters_may_have_braces() {
        let list = "inet:localhost:1, { unix:/b, default_action=accept, connect_timeout = 1s } ";
        assert_eq!(milters(list), ["inet:localhost:1", "unix:/b"]);
        let second = "{ unix:/b, default_action=accept, connect_timeout = 1s }";
        assert_eq!(entries(list), ["inet:localhost:1", second]);
        assert_eq!(entries("a:1,, ${b}\tc:2"), ["a:1", "${b}", "c:2"]);
    }
}
