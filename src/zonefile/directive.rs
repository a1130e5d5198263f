//! Directives: `$ORIGIN` and `$INCLUDE` (RFC 1035 §5.1), `$TTL` (RFC 2308 §4), `$GENERATE` and `$DATE`.

use super::fault::Fault;
use super::generate::{self, Range};
use super::lexer::{Entry, Lexer};
use super::reader::{Reader, Scope};
use super::words::{example_cure, parse_name};
use crate::name::Name;
use crate::record::text::{self, Printable, Token, parse_period};
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// How deep files may include files.
const MAX_DEPTH: usize = 10;
/// How many times `$INCLUDE` may be followed in one zone.
const MAX_INCLUDES: u32 = 65_535;

impl Reader<'_> {
    /// Follows a directive.
    pub(super) fn directive(&mut self, scope: &mut Scope<'_, '_>, entry: &Entry<'_>) -> Result<(), Fault> {
        let word = entry.tokens.first().map_or(&[][..], |token| token.text);
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("$ORIGIN") {
            scope.origin = self.name_argument(scope, entry, 1)?;
            entry.no_more_than(2)
        } else if is("$TTL") {
            let word = entry.unquoted(1, "a TTL such as 3600 or 1h30m")?;
            let ttl = parse_period(word).ok_or_else(|| {
                let what = format!("`{}` is no TTL", Printable(word));
                Fault::coded(
                    "zone-ttl",
                    Some(entry.start(1)),
                    what,
                    "write seconds such as 3600, or units such as 1h30m",
                )
            })?;
            self.default_ttl = Some(self.limited_ttl(ttl, scope, entry));
            entry.no_more_than(2)
        } else if is("$INCLUDE") {
            self.include(scope, entry)
        } else if is("$GENERATE") {
            self.generate(scope, entry)
        } else if is("$DATE") {
            // BIND notes there when it wrote a secondary's copy; it means nothing to a primary.
            entry.no_more_than(2)
        } else {
            Err(Fault::syntax(
                entry.start(0),
                format!("`{}` is no directive", Printable(word)),
                "write $ORIGIN, $TTL, $INCLUDE or $GENERATE, or \\$ for a name that starts with a dollar",
            ))
        }
    }

    fn name_argument(&self, scope: &Scope<'_, '_>, entry: &Entry<'_>, index: usize) -> Result<Name, Fault> {
        let word = entry.unquoted(index, "a domain name")?;
        parse_name(word, &scope.origin, entry.start(index))
    }

    fn include(&mut self, scope: &mut Scope<'_, '_>, entry: &Entry<'_>) -> Result<(), Fault> {
        let fault = |what: String, cure: &str| Fault::coded("zone-include", Some(entry.start(1)), what, cure);
        let Some(named) = entry.tokens.get(1) else {
            return Err(entry.missing("the name of a file"));
        };
        let origin = match entry.tokens.len() {
            2 => scope.origin.clone(),
            _ => self.name_argument(scope, entry, 2)?,
        };
        entry.no_more_than(3)?;
        // Messages show paths as they are: no file may bring what moves a terminal's cursor.
        if String::from_utf8_lossy(named.text).contains(char::is_control) {
            return Err(fault(
                format!("the file name `{}` has control characters", Printable(named.text)),
                "give the file a printable name",
            ));
        }
        let path = path_beside(scope.stack.last().map(PathBuf::as_path), named.text);
        let shown = path.display().to_string();
        let shown = Printable(shown.as_bytes());
        if scope.stack.contains(&path) {
            return Err(fault(
                format!("the file `{shown}` includes itself"),
                "take one $INCLUDE out of the circle",
            ));
        }
        if scope.stack.len() > MAX_DEPTH {
            return Err(fault(
                format!("files include files more than {MAX_DEPTH} deep"),
                "include it from a file further up",
            ));
        }
        self.includes += 1;
        if self.includes > MAX_INCLUDES {
            return Err(fault(
                format!("more than {MAX_INCLUDES} files are included"),
                "put records that belong together into fewer files",
            ));
        }
        let content = self.open.read(&path);
        let file = self.file_index(&path);
        let content = content.map_err(|error| {
            fault(
                format!("the included file `{shown}` cannot be read: {error}"),
                "name a readable file, relative to the file that includes it",
            )
        })?;
        scope.stack.push(path);
        let read = self.file(&content, scope.stack, file, origin, scope.owner.clone());
        scope.stack.pop();
        read.map_err(Fault::Included)
    }

    /// The index of a file that was opened just now. There are at most as many as `$INCLUDE`s.
    fn file_index(&mut self, path: &Path) -> u16 {
        let known = self.zone.files.iter().position(|file| file == path);
        let index = known.unwrap_or_else(|| {
            self.zone.files.push(path.to_owned());
            self.zone.files.len() - 1
        });
        u16::try_from(index).unwrap_or(u16::MAX)
    }

    fn generate(&mut self, scope: &mut Scope<'_, '_>, entry: &Entry<'_>) -> Result<(), Fault> {
        let fault = |index: usize, what: String, cure: &str| {
            Fault::coded("zone-generate", Some(entry.start(index)), what, cure)
        };
        let word = entry.unquoted(1, "a range such as 1-254")?;
        let range = Range::parse(word).ok_or_else(|| {
            let what = format!("`{}` is no range of numbers below 2147483648", Printable(word));
            fault(1, what, "write start-stop or start-stop/step, as in 1-254 or 0-62/2")
        })?;
        if range.steps() > generate::MAX_STEPS {
            let what = format!(
                "$GENERATE would make {} records, and {} is the most",
                range.steps(),
                generate::MAX_STEPS
            );
            return Err(fault(
                1,
                what,
                "write several $GENERATE lines with a part of the range each",
            ));
        }
        let owner_template = entry.unquoted(2, "an owner name with a $ in it")?;
        let head = self.head(scope, entry, 3)?;
        let words = entry.tokens.get(head.rdata..).unwrap_or_default();
        if words.is_empty() {
            return Err(entry.missing("RDATA with a $ in it"));
        }
        let template = template(words);
        let bad_form = |index: usize| {
            let what = "a $ stands before braces that are no ${offset,width,base}".into();
            fault(index, what, "write ${0,3,d} for three digits, $$ for a dollar")
        };
        let (mut owner, mut expanded) = (Vec::new(), Vec::new());
        for number in range.numbers() {
            generate::expand(owner_template, number, &mut owner).map_err(|_| bad_form(2))?;
            generate::expand(&template, number, &mut expanded).map_err(|_| bad_form(head.rdata))?;
            let owner = self.owner(parse_name(&owner, &scope.origin, entry.start(2))?);
            let mut words = Entry::default();
            Lexer::new(&expanded, 0).next(&mut words).map_err(|_| {
                let what = format!(
                    "`{}` has a quote or parenthesis without its other",
                    Printable(&expanded)
                );
                fault(head.rdata, what, "write \\\" for a quote inside a quoted word")
            })?;
            text::read_into(head.rtype, &words.tokens, &scope.origin, &mut self.rdata).map_err(|error| {
                let what = format!("{error}, in `{}`", Printable(&expanded));
                fault(head.rdata, what, &example_cure(head.rtype))
            })?;
            self.keep(scope, entry, &owner, &head)?;
        }
        Ok(())
    }
}

/// The path that a file means by `name`: relative ones start where that file is.
fn path_beside(file: Option<&Path>, name: &[u8]) -> PathBuf {
    let name = Path::new(OsStr::from_bytes(name));
    match file.and_then(Path::parent) {
        Some(folder) => folder.join(name),
        None => name.to_owned(),
    }
}

/// The template that RDATA words make: one quoted word is RDATA whose blanks part its words, as in
/// BIND; several stay as they were written.
fn template(words: &[Token<'_>]) -> Vec<u8> {
    let mut template = Vec::new();
    match words {
        [Token { text, quoted: true }] => {
            let mut rest = text.iter().peekable();
            while let Some(octet) = rest.next() {
                match (octet, rest.peek()) {
                    (b'\\', Some(b'"')) => (),
                    (b'\\', Some(_)) => template.extend([b'\\'].iter().chain(rest.next())),
                    _ => template.push(*octet),
                }
            }
        }
        _ => {
            for word in words {
                let quote: &[u8] = if word.quoted { b"\"" } else { b"" };
                for part in [quote, word.text, quote, b" "] {
                    template.extend_from_slice(part);
                }
            }
            template.pop();
        }
    }
    template
}
