//! What is compared, and the verdict.
//!
//! Compared: rcode, flags (opcode, AA, TC, RD, RA, AD, CD), the question in its own case, answer
//! and authority as sets with their TTLs, the order of CNAME and DNAME records in the answer, the
//! glue of referrals, and the presence, version and DO bit of the OPT record.
//!
//! Not compared, because the RFCs leave it free and the peers differ: what is left in a truncated
//! message (RFC 2181 §9), which RRset an ANY query gets (RFC 8482 §4), the additional section of
//! anything but a referral, the payload size and the options in OPT.

use crate::ask::Reply;
use crate::common::wire::{ANY, CD, CNAME, DNAME, Message, NS, Query, Rr, SOA, TC, WireName, to_text, type_text};
use crate::questions::Question;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// The comparable part of a reply.
#[derive(Debug)]
struct View {
    /// `message`, `silence` or `garbage`.
    kind: &'static str,
    rcode: u16,
    flags: u16,
    questions: Vec<(WireName, u16, u16)>,
    answer: Vec<Rr>,
    chain: Vec<(WireName, u16)>,
    authority: Vec<Rr>,
    glue: Vec<Rr>,
    edns: Option<(u8, bool)>,
    /// Octets on the wire; not compared.
    len: usize,
}

impl View {
    fn of(reply: &Reply, any: bool) -> Self {
        let mut view = Self {
            kind: "message",
            rcode: 0,
            flags: 0,
            questions: vec![],
            answer: vec![],
            chain: vec![],
            authority: vec![],
            glue: vec![],
            edns: None,
            len: 0,
        };
        match reply {
            Reply::Silence => view.kind = "silence",
            Reply::Garbage(_) => view.kind = "garbage",
            Reply::Message(message) => view.read(message, any),
        }
        view
    }

    fn read(&mut self, message: &Message, any: bool) {
        self.len = message.len;
        self.rcode = message.rcode;
        self.flags = message.flags & !0xf;
        self.questions.clone_from(&message.questions);
        self.edns = message.opt.as_ref().map(|opt| (opt.version, opt.dnssec_ok));
        if any {
            self.flags &= !TC;
            if message.has(TC) || !message.answer.is_empty() {
                return;
            }
        }
        if message.has(TC) {
            return;
        }
        self.answer = sorted(&message.answer);
        self.chain = message
            .answer
            .iter()
            .filter(|rr| matches!(rr.rtype, CNAME | DNAME))
            .map(|rr| (rr.owner.clone(), rr.rtype))
            .collect();
        self.authority = sorted(&message.authority);
        let has = |rtype| message.authority.iter().any(|rr| rr.rtype == rtype);
        if has(NS) && !has(SOA) {
            self.glue = sorted(&message.additional);
        }
    }

    /// The aspects in which two views differ.
    fn differences(&self, other: &Self) -> Vec<&'static str> {
        let mut aspects = vec![];
        let mut note = |differs, aspect| {
            if differs {
                aspects.push(aspect);
            }
        };
        note(self.kind != other.kind, "kind");
        note(self.rcode != other.rcode, "rcode");
        note((self.flags ^ other.flags) & !CD != 0, "flags");
        note((self.flags ^ other.flags) & CD != 0, "CD");
        note(self.questions != other.questions, "question");
        note(self.answer != other.answer, "answer");
        note(self.chain != other.chain && self.answer == other.answer, "order");
        note(self.authority != other.authority, "authority");
        note(self.glue != other.glue, "glue");
        note(self.edns != other.edns, "edns");
        aspects
    }
}

/// The judges had to truncate and the accused did not, because it compresses names better.
fn fits_by_better_compression(judges: &View, accused: &View, question: &Question) -> bool {
    let edns = question.query.as_ref().and_then(|query| query.edns.as_ref());
    let limit = edns.map_or(512, |edns| edns.size.clamp(512, 1232));
    (judges.flags ^ accused.flags) & !CD == TC && judges.flags & TC != 0 && accused.len <= usize::from(limit)
}

/// The records as a set: a loop that was gone round twice says no more than once.
fn sorted(records: &[Rr]) -> Vec<Rr> {
    let mut records = records.to_vec();
    records.sort_unstable();
    records.dedup();
    records
}

/// The aspects that stand for themselves: the judges may differ in them and agree in the rest.
const LONERS: &[&str] = &["glue", "order", "edns", "question", "CD"];

/// How often the judges were asked, and agreed.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Agreement {
    pub(crate) asked: usize,
    pub(crate) agreed: usize,
}

impl Agreement {
    fn count(&mut self, agreed: bool) {
        self.asked += 1;
        self.agreed += usize::from(agreed);
    }

    pub(crate) fn percent(self) -> f64 {
        100.0 * self.agreed as f64 / self.asked.max(1) as f64
    }
}

/// The count of everything asked.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) asked: usize,
    /// Well-formed queries of class IN among them, and those on which the judges agreed in all
    /// that does not stand for itself.
    pub(crate) ordinary: Agreement,
    /// Everything else: odd classes, opcodes, EDNS, broken messages.
    pub(crate) odd: Agreement,
    /// Where the judges differ: category of question, who stands apart, in what; how often; one example.
    pub(crate) disagreements: BTreeMap<String, (usize, String)>,
    /// Where the judges agree and the accused does not.
    pub(crate) mismatches: Vec<String>,
    pub(crate) mismatch_kinds: BTreeMap<String, usize>,
}

impl Tally {
    /// Takes the replies of three judges and, behind them, that of the accused, if there is one.
    pub(crate) fn take(&mut self, names: &[&'static str], question: &Question, replies: &[Reply]) {
        let any = question.query.as_ref().is_some_and(|query| query.qtype == ANY);
        let views: Vec<View> = replies.iter().map(|reply| View::of(reply, any)).collect();
        self.asked += 1;
        let disputed = self.compare_judges(names, question, replies, &views);
        let Some(accused) = views.get(3) else {
            return;
        };
        let mut wrong = views[0].differences(accused);
        if disputed.iter().any(|aspect| !LONERS.contains(aspect))
            || fits_by_better_compression(&views[0], accused, question)
        {
            wrong.clear();
        }
        wrong.retain(|aspect| !disputed.contains(aspect));
        if !wrong.is_empty() {
            let kind = format!("{}: {}", question.category, wrong.join(", "));
            *self.mismatch_kinds.entry(kind.clone()).or_default() += 1;
            self.mismatches
                .push(format!("{kind}\n{}", exhibit(names, question, replies)));
        }
    }

    /// Counts the judges' agreement; returns the aspects in which any two of them differ.
    fn compare_judges(
        &mut self,
        names: &[&'static str],
        question: &Question,
        replies: &[Reply],
        views: &[View],
    ) -> Vec<&'static str> {
        let pairs = [(0, 1), (0, 2), (1, 2)].map(|(a, b)| views[a].differences(&views[b]));
        let mut disputed: Vec<&'static str> = pairs.concat();
        disputed.sort_unstable();
        disputed.dedup();
        let agreement = if question.query.is_some() {
            &mut self.ordinary
        } else {
            &mut self.odd
        };
        agreement.count(disputed.iter().all(|aspect| LONERS.contains(aspect)));
        if disputed.is_empty() {
            return disputed;
        }
        // The pair that agrees most leaves the third one apart.
        let apart = match pairs.iter().position(Vec::is_empty) {
            Some(0) => names[2],
            Some(1) => names[1],
            Some(_) => names[0],
            None => "each",
        };
        let key = format!("{:<20} {apart:<5} {}", question.category, disputed.join(", "));
        let entry = self
            .disagreements
            .entry(key)
            .or_insert_with(|| (0, exhibit(names, question, replies)));
        entry.0 += 1;
        disputed
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        for (sum, part) in [(&mut self.ordinary, other.ordinary), (&mut self.odd, other.odd)] {
            sum.asked += part.asked;
            sum.agreed += part.agreed;
        }
        self.mismatches.extend(other.mismatches);
        for (key, count) in other.mismatch_kinds {
            *self.mismatch_kinds.entry(key).or_default() += count;
        }
        for (key, (count, example)) in other.disagreements {
            self.disagreements.entry(key).or_insert((0, example)).0 += count;
        }
    }

    /// The table of what the judges dispute, the most frequent first.
    pub(crate) fn dispute_table(&self) -> String {
        self.disputes()
            .iter()
            .fold(String::new(), |mut table, (key, count, _)| {
                let _ = writeln!(table, "{count:>6}  {key}");
                table
            })
    }

    /// The table with an example of each.
    pub(crate) fn dispute_report(&self) -> String {
        self.disputes()
            .iter()
            .fold(String::new(), |mut report, (key, count, example)| {
                let _ = writeln!(report, "### {count} {key}\n{example}");
                report
            })
    }

    fn disputes(&self) -> Vec<(&str, usize, &str)> {
        let rows = self.disagreements.iter();
        let mut rows: Vec<_> = rows
            .map(|(key, (count, example))| (&key[..], *count, &example[..]))
            .collect();
        rows.sort_by_key(|(_, count, _)| std::cmp::Reverse(*count));
        rows
    }
}

/// The question and every reply, as dig would show them.
fn exhibit(names: &[&'static str], question: &Question, replies: &[Reply]) -> String {
    let mut text = match &question.query {
        Some(query) => format!("; {}\n", query_text(query, question.tcp)),
        None => format!("; {:?} {:02x?}\n", question.category, question.wire),
    };
    for (name, reply) in names.iter().zip(replies) {
        let _ = match reply {
            Reply::Silence => writeln!(text, "{name:>9}: silence"),
            Reply::Garbage(error) => writeln!(text, "{name:>9}: garbage ({error})"),
            Reply::Message(message) => writeln!(text, "{name:>9}: {}", message_text(message)),
        };
    }
    text
}

fn query_text(query: &Query, tcp: bool) -> String {
    let transport = if tcp { "TCP" } else { "UDP" };
    format!(
        "{} {} over {transport}, flags {:04x}, {:?}",
        to_text(&query.qname),
        type_text(query.qtype),
        query.flags,
        query.edns
    )
}

fn message_text(message: &Message) -> String {
    let mut text = format!(
        "rcode {} flags {:04x} opt {:?}",
        message.rcode, message.flags, message.opt
    );
    let sections = [
        ("answer", &message.answer),
        ("authority", &message.authority),
        ("additional", &message.additional),
    ];
    for (section, records) in sections {
        for record in records {
            let _ = write!(text, "\n           {section:>10} {record:?}");
        }
    }
    text
}
