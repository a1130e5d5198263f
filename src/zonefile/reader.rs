//! Entries to records: owners, TTLs and the rules that hold for a zone as a whole.
//!
//! Owner and origin belong to a file, so that what an included file does to them ends with it
//! (RFC 1035 §5.1); TTLs belong to the zone and go on, as in BIND.

use super::fault::{Fault, Here, Unreadable};
use super::lexer::{Entry, Lexer};
use super::words::{check_text, example_cure, is_class, parse_name, parse_type};
use super::{Open, ZoneFile};
use crate::finding::{Finding, Place};
use crate::name::Name;
use crate::record::text::{self, Printable, Token, parse_period};
use crate::record::{Record, RecordType};
use std::path::{Path, PathBuf};

/// The largest TTL (RFC 2181 §8).
const MAX_TTL: u32 = (1 << 31) - 1;
/// How many findings of one code are told before the rest is only counted.
const MAX_TOLD: u32 = 20;
/// Room for the records of most zones.
const FEW: usize = 16;

/// See [`super::read`].
pub(super) fn read(path: &Path, apex: &Name, open: &dyn Open) -> Result<ZoneFile, Box<Unreadable>> {
    let mut reader = Reader {
        apex,
        open,
        zone: ZoneFile {
            records: Vec::with_capacity(FEW),
            places: Vec::with_capacity(FEW),
            files: vec![],
            findings: vec![],
        },
        default_ttl: None,
        last_ttl: None,
        soa: None,
        foreign_soa: None,
        includes: 0,
        told: vec![],
        rdata: Vec::with_capacity(512),
    };
    let content = open.read(path);
    reader.zone.files.push(path.to_owned());
    let content = content.map_err(|error| {
        let here = Here {
            code: "zone-unreadable",
            at: None,
            what: format!("the zone file cannot be read: {error}"),
            cure: "put a readable master file there".into(),
        };
        here.unreadable(path, &[], reader.zone.files.clone())
    })?;
    reader.file(&content, &mut vec![path.to_owned()], 0, apex.clone(), None)?;
    reader.finish(path)
}

pub(super) struct Reader<'a> {
    apex: &'a Name,
    pub(super) open: &'a dyn Open,
    pub(super) zone: ZoneFile,
    /// What `$TTL` said last, or the SOA minimum where the SOA had no TTL.
    pub(super) default_ttl: Option<u32>,
    /// The TTL of the record before.
    last_ttl: Option<u32>,
    /// The index of the SOA record.
    soa: Option<usize>,
    /// An SOA that was left out with its place, to explain why there is none.
    foreign_soa: Option<(Name, Place)>,
    /// How many times `$INCLUDE` was followed.
    pub(super) includes: u32,
    /// How many findings of each code there were.
    told: Vec<(&'static str, u32)>,
    /// RDATA of the record at hand, kept for its room.
    pub(super) rdata: Vec<u8>,
}

/// One file while it is read.
pub(super) struct Scope<'t, 's> {
    text: &'t [u8],
    /// Its index into `ZoneFile::files`.
    file: u16,
    /// The files that are open, from the zone file to this one.
    pub(super) stack: &'s mut Vec<PathBuf>,
    /// What relative names end in.
    pub(super) origin: Name,
    pub(super) owner: Option<Owner>,
}

/// The owner of the record before.
#[derive(Clone)]
pub(super) struct Owner {
    name: Name,
    in_zone: bool,
}

/// The words of one record behind its owner, taken apart.
pub(super) struct Head {
    ttl: Option<u32>,
    pub(super) rtype: RecordType,
    /// The index of the first word of RDATA.
    pub(super) rdata: usize,
}

impl Reader<'_> {
    /// Reads one file: `stack` ends with its path, `file` is its index, `owner` the last one of the
    /// file that includes it.
    pub(super) fn file(
        &mut self,
        text: &[u8],
        stack: &mut Vec<PathBuf>,
        file: u16,
        origin: Name,
        owner: Option<Owner>,
    ) -> Result<(), Box<Unreadable>> {
        let mut scope = Scope {
            text,
            file,
            stack,
            origin,
            owner,
        };
        self.entries(&mut scope).map_err(|fault| match fault {
            Fault::Included(unreadable) => unreadable,
            Fault::Here(here) => {
                let path = scope.stack.last().cloned().unwrap_or_default();
                here.unreadable(&path, text, self.zone.files.clone())
            }
        })
    }

    fn entries(&mut self, scope: &mut Scope<'_, '_>) -> Result<(), Fault> {
        let text = check_text(scope.text)?;
        if text.len() < scope.text.len() {
            let what = "the file starts with a byte order mark, which is skipped";
            let place = self.place(scope, 1);
            self.tell(Finding::note("zone-byte-order-mark", what).at(place));
        }
        // The mark is blanked by starting behind it; offsets stay those of the whole file.
        let mut lexer = Lexer::new(scope.text, scope.text.len() - text.len());
        let mut entry = Entry::with_room();
        while lexer.next(&mut entry)? {
            match entry.tokens.first() {
                Some(Token { quoted: false, text }) if text.starts_with(b"$") && !entry.indented => {
                    self.directive(scope, &entry)?;
                }
                _ => self.record(scope, &entry)?,
            }
        }
        Ok(())
    }

    fn place(&self, scope: &Scope<'_, '_>, line: u32) -> Place {
        Place::line(scope.stack.last().cloned().unwrap_or_default(), line)
    }

    /// Adds a finding, unless there are many like it already: those are counted for the end.
    fn tell(&mut self, finding: Finding) {
        let count = match self.told.iter_mut().find(|(code, _)| *code == finding.code) {
            Some((_, count)) => count,
            None => {
                self.told.push((finding.code, 0));
                return self.tell(finding);
            }
        };
        *count = count.saturating_add(1);
        if *count <= MAX_TOLD {
            self.zone.findings.push(finding);
        }
    }

    fn record(&mut self, scope: &mut Scope<'_, '_>, entry: &Entry<'_>) -> Result<(), Fault> {
        let mut next = 0;
        if !entry.indented {
            let word = entry.unquoted(0, "an owner name")?;
            let name = parse_name(word, &scope.origin, entry.start(0))?;
            scope.owner = Some(self.owner(name));
            next = 1;
        }
        let Some(owner) = scope.owner.take() else {
            return Err(Fault::syntax(
                entry.start(0),
                "the line starts with a blank and so repeats the owner before it, and there is none",
                "start the line with a name, or with @ for the origin",
            ));
        };
        let head = self.head(scope, entry, next)?;
        let words = entry.tokens.get(head.rdata..).unwrap_or_default();
        text::read_into(head.rtype, words, &scope.origin, &mut self.rdata).map_err(|error| {
            let at = entry.start(head.rdata + error.token);
            Fault::coded("zone-record", Some(at), error.what, example_cure(head.rtype))
        })?;
        self.note_split_text(scope, entry, &head, words);
        self.keep(scope, entry, &owner, &head)?;
        scope.owner = Some(owner);
        Ok(())
    }

    pub(super) fn owner(&self, name: Name) -> Owner {
        Owner {
            in_zone: name.is_at_or_below(self.apex),
            name,
        }
    }

    /// Takes TTL and class, in either order and both optional, and the type (RFC 1035 §5.1).
    pub(super) fn head(&mut self, scope: &Scope<'_, '_>, entry: &Entry<'_>, first: usize) -> Result<Head, Fault> {
        let mut next = first;
        let (mut ttl, mut class) = (None, false);
        loop {
            let word = entry.unquoted(next, "a record type such as A or TXT")?;
            if ttl.is_none() && word.first().is_some_and(u8::is_ascii_digit) {
                let seconds = parse_period(word).ok_or_else(|| {
                    let what = format!("`{}` is no TTL and no record type", Printable(word));
                    let cure = "write the type before the data; a TTL is seconds such as 3600 or has units as in 1h30m";
                    Fault::coded("zone-ttl", Some(entry.start(next)), what, cure)
                })?;
                ttl = Some(self.limited_ttl(seconds, scope, entry));
            } else if !class && is_class(word, entry.start(next))? {
                class = true;
            } else {
                let rtype = parse_type(word, entry.start(next))?;
                return Ok(Head {
                    ttl,
                    rtype,
                    rdata: next + 1,
                });
            }
            next += 1;
        }
    }

    /// Tells that a string was cut. Reading does so silently: only there are words that long.
    fn note_split_text(&mut self, scope: &Scope<'_, '_>, entry: &Entry<'_>, head: &Head, words: &[Token<'_>]) {
        let is_text = matches!(head.rtype, RecordType::TXT | RecordType::SPF);
        if !is_text || words.iter().all(|word| word.text.len() <= 255) {
            return;
        }
        let opaque = words.first().is_some_and(|word| !word.quoted && word.text == b"\\#");
        let mut rest = &self.rdata[..];
        let mut strings = 0;
        while let Some((len, after)) = rest.split_first() {
            rest = after.get(usize::from(*len)..).unwrap_or_default();
            strings += 1;
        }
        if !opaque && strings > words.len() {
            let what = format!(
                "a {} string of more than 255 octets was cut into several, which readers join again",
                head.rtype
            );
            let place = self.place(scope, entry.line);
            self.tell(Finding::note("zone-text-split", what).at(place));
        }
    }

    /// Puts the record whose RDATA was read into the zone.
    pub(super) fn keep(
        &mut self,
        scope: &Scope<'_, '_>,
        entry: &Entry<'_>,
        owner: &Owner,
        head: &Head,
    ) -> Result<(), Fault> {
        let is_soa = head.rtype == RecordType::SOA;
        let ttl = self.ttl(scope, entry, head)?;
        if !owner.in_zone {
            self.leave_out(scope, entry, owner, is_soa);
            return Ok(());
        }
        if is_soa && !self.accept_soa(owner, entry)? {
            return Ok(());
        }
        if self.zone.records.len() >= u32::MAX as usize {
            let what = "the zone has more than 4294967295 records";
            return Err(Fault::coded(
                "zone-too-large",
                Some(entry.start(0)),
                what,
                "split the zone",
            ));
        }
        self.zone.records.push(Record {
            owner: owner.name.clone(),
            rtype: head.rtype,
            ttl,
            rdata: self.rdata.as_slice().into(),
        });
        self.zone.places.push((scope.file, entry.line));
        Ok(())
    }

    /// The TTL: the record's own, else that of `$TTL`, else the one before, else an SOA's own minimum,
    /// which then is the default (RFC 1035 §5.1, RFC 2308 §4, and BIND for the last).
    fn ttl(&mut self, scope: &Scope<'_, '_>, entry: &Entry<'_>, head: &Head) -> Result<u32, Fault> {
        let ttl = match head.ttl.or(self.default_ttl).or(self.last_ttl) {
            Some(ttl) => ttl,
            None if head.rtype == RecordType::SOA => {
                let minimum = self.rdata.last_chunk().map_or(0, |four| u32::from_be_bytes(*four));
                let minimum = self.limited_ttl(minimum, scope, entry);
                self.default_ttl = Some(minimum);
                minimum
            }
            None => {
                return Err(Fault::coded(
                    "zone-ttl",
                    Some(entry.start(0)),
                    "the record has no TTL, and neither $TTL nor a record before it gives one",
                    "write $TTL 3600 on a line above it",
                ));
            }
        };
        self.last_ttl = Some(ttl);
        Ok(ttl)
    }

    /// TTLs over 2^31 - 1 count as 0 (RFC 2181 §8), with a warning.
    pub(super) fn limited_ttl(&mut self, ttl: u32, scope: &Scope<'_, '_>, entry: &Entry<'_>) -> u32 {
        if ttl <= MAX_TTL {
            return ttl;
        }
        let place = self.place(scope, entry.line);
        let what = format!("the TTL {ttl} is over {MAX_TTL} and counts as 0 (RFC 2181 §8)");
        self.tell(Finding::warning("zone-ttl-range", what, "write a TTL of a week (604800) at most").at(place));
        0
    }

    fn leave_out(&mut self, scope: &Scope<'_, '_>, entry: &Entry<'_>, owner: &Owner, is_soa: bool) {
        let place = self.place(scope, entry.line);
        if is_soa && self.foreign_soa.is_none() {
            self.foreign_soa = Some((owner.name.clone(), place.clone()));
        }
        let what = format!("{} is outside the zone {} and is left out", owner.name, self.apex);
        let cure = "end names outside the origin with their zone's name, or move the record to its own zone";
        self.tell(Finding::warning("zone-out-of-zone", what, cure).at(place));
    }

    /// Is this the SOA to keep? One that says the same again is dropped.
    fn accept_soa(&mut self, owner: &Owner, entry: &Entry<'_>) -> Result<bool, Fault> {
        let fault = |what: String, cure: &str| Err(Fault::coded("zone-soa", Some(entry.start(0)), what, cure));
        if owner.name != *self.apex {
            return fault(
                format!("the SOA stands at {}, not at the apex {}", owner.name, self.apex),
                "write @ as its owner, or name the zone file after the zone it holds",
            );
        }
        let Some(first) = self.soa else {
            self.soa = Some(self.zone.records.len());
            return Ok(true);
        };
        if self
            .zone
            .records
            .get(first)
            .is_some_and(|record| *record.rdata == *self.rdata)
        {
            return Ok(false);
        }
        let (file, line) = self.zone.places.get(first).copied().unwrap_or_default();
        let file = self.zone.files.get(usize::from(file)).cloned().unwrap_or_default();
        fault(
            format!("the zone has a second SOA; the first is at {}", Place::line(file, line)),
            "keep one of the two",
        )
    }

    fn finish(mut self, path: &Path) -> Result<ZoneFile, Box<Unreadable>> {
        if self.soa.is_none() {
            let (code, what) = match (&self.foreign_soa, self.zone.records.is_empty()) {
                (Some((name, _)), _) => (
                    "zone-soa",
                    format!("the only SOA is that of {name}, and the zone is {}", self.apex),
                ),
                (None, true) => ("zone-empty", "the file holds no record".to_owned()),
                (None, false) => (
                    "zone-soa",
                    format!("the zone has no SOA record at its apex {}", self.apex),
                ),
            };
            let cure = match &self.foreign_soa {
                Some(_) => "name the zone file after the zone it holds".to_owned(),
                None => {
                    let example = text::example(RecordType::SOA).unwrap_or_default();
                    format!("start it with a line like `@ 3600 IN SOA {example}`")
                }
            };
            let here = Here {
                code,
                at: None,
                what,
                cure,
            };
            let mut unreadable = here.unreadable(path, &[], self.zone.files);
            if let Some((_, place)) = self.foreign_soa {
                unreadable.finding.place = Some(place);
            }
            return Err(unreadable);
        }
        for (code, count) in std::mem::take(&mut self.told) {
            let Some(last) = self.zone.findings.iter().rfind(|finding| finding.code == code) else {
                continue;
            };
            if let more @ 1.. = count.saturating_sub(MAX_TOLD) {
                let summary = Finding {
                    severity: last.severity,
                    code,
                    place: Some(Place::file(path)),
                    what: format!("there are {more} more like the last"),
                    cure: last.cure.clone(),
                };
                self.zone.findings.push(summary);
            }
        }
        Ok(self.zone)
    }
}
