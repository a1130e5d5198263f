//! What a valid SPF record does that will hurt: too many lookups, no end, everybody allowed.
//!
//! Lookups are counted as a receiver counts them (RFC 7208 §4.6.4): `include`, `a`, `mx`, `ptr`,
//! `exists` and `redirect` cost one each and more than ten are a permerror, more than two that find
//! nothing too. Includes and redirects into this zone are followed; a foreign one counts as one,
//! what is behind it cannot be seen from here.

use super::super::kind;
use super::super::view::{Known, ZoneView};
use super::syntax::{self, SpfError, Term};
use crate::finding::Finding;
use crate::name::Name;
use crate::record::{Record, RecordType};

/// The most lookups a record may cost (RFC 7208 §4.6.4).
pub const MAX_LOOKUPS: usize = 10;
/// The most lookups that may find nothing (RFC 7208 §4.6.4).
pub const MAX_VOID_LOOKUPS: usize = 2;
/// The most names an `mx` may have (RFC 7208 §4.6.4).
pub const MAX_MX_NAMES: usize = 10;
/// The length that lets an answer fit 512 octets with room for the rest (RFC 7208 §3.4).
pub const ADVISED_LEN: usize = 450;

/// What evaluating a record costs, as far as one zone tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Terms that make a receiver ask the DNS.
    pub lookups: usize,
    /// Of those, how many find nothing.
    pub void: usize,
    /// Includes and redirects whose own cost is hidden in another zone.
    pub foreign: Vec<String>,
    /// Includes and redirects to names of this zone without an SPF record.
    pub missing: Vec<String>,
    /// Includes and redirects that lead back to where they came from.
    pub looping: Vec<String>,
    /// `mx` terms with more than ten names.
    pub crowded_mx: Vec<String>,
}

/// Findings about the SPF record `record` as it stands in `zone`.
pub fn lint(zone: &ZoneView<'_>, record: &Record) -> Vec<Finding> {
    let owner = &record.owner;
    let joined = record.joined_text();
    let text = String::from_utf8_lossy(&joined);
    let spf = match syntax::parse(&text) {
        Ok(spf) => spf,
        Err(error) => return vec![syntax_finding(owner, &error)],
    };
    let mut findings = vec![];
    lint_terms(owner, &spf.terms, &mut findings);
    lint_cost(owner, &cost(zone, owner, &text), &mut findings);
    if joined.len() > ADVISED_LEN {
        findings.push(Finding::warning(
            "spf-long",
            format!("the SPF record of {owner} is {} octets long, more than the {ADVISED_LEN} that fit a plain DNS answer (RFC 7208 §3.4)", joined.len()),
            "merge networks, or move some into a record of their own and include that",
        ));
    }
    findings
}

fn syntax_finding(owner: &Name, error: &SpfError) -> Finding {
    Finding::warning(
        "spf-syntax",
        format!("the SPF record of {owner} is a permerror at every receiver: {error}"),
        "mend the term, or let [mail.spf] compose the record",
    )
}

fn lint_terms(owner: &Name, terms: &[Term<'_>], findings: &mut Vec<Finding>) {
    let all = terms.iter().position(|term| matches!(term, Term::All(_)));
    let has_redirect = terms.iter().any(|term| matches!(term, Term::Redirect(_)));
    match all.and_then(|at| terms.get(at)) {
        None if !has_redirect => findings.push(Finding::warning(
            "spf-no-all",
            format!("the SPF record of {owner} ends without `all` or `redirect`: what it does not name is neutral (RFC 7208 §4.7)"),
            "end it with `-all` or `~all`",
        )),
        Some(Term::All('+')) => findings.push(Finding::warning(
            "spf-all-pass",
            format!("the SPF record of {owner} ends with `+all`: everybody may send in its name"),
            "end it with `-all` or `~all`",
        )),
        _ => {}
    }
    if all.is_some_and(|at| {
        has_redirect
            || terms[at + 1..]
                .iter()
                .any(|term| !matches!(term, Term::Exp(_) | Term::OtherModifier))
    }) {
        findings.push(Finding::warning(
            "spf-after-all",
            format!("terms of the SPF record of {owner} are never reached: nothing behind `all` counts, nor a redirect beside it (RFC 7208 §5.1)"),
            "put `all` last and drop what it hides",
        ));
    }
    if terms.iter().any(|term| matches!(term, Term::Ptr(_))) {
        findings.push(Finding::warning(
            "spf-ptr",
            format!("the SPF record of {owner} uses `ptr`, which is slow, unreliable and not to be published (RFC 7208 §5.5)"),
            "name the addresses with `ip4:` and `ip6:`",
        ));
    }
}

fn lint_cost(owner: &Name, cost: &Cost, findings: &mut Vec<Finding>) {
    let hidden = match cost.foreign.as_slice() {
        [] => String::new(),
        foreign => format!(", and what lies behind {} cannot be seen from here", foreign.join(", ")),
    };
    if cost.lookups > MAX_LOOKUPS {
        findings.push(Finding::warning(
            "spf-lookups",
            format!("the SPF record of {owner} costs {} DNS lookups of at most {MAX_LOOKUPS}{hidden}: a permerror (RFC 7208 §4.6.4)", cost.lookups),
            "replace `a`, `mx` and includes of your own by `ip4:` and `ip6:`, and drop services no longer used",
        ));
    } else if cost.lookups + cost.foreign.len() > MAX_LOOKUPS {
        findings.push(Finding::note(
            "spf-lookups-near",
            format!(
                "the SPF record of {owner} costs {} DNS lookups of at most {MAX_LOOKUPS}{hidden}",
                cost.lookups
            ),
        ));
    }
    if cost.void > MAX_VOID_LOOKUPS {
        findings.push(Finding::warning(
            "spf-void-lookups",
            format!("{} terms of the SPF record of {owner} find nothing, more than {MAX_VOID_LOOKUPS} are a permerror (RFC 7208 §4.6.4)", cost.void),
            "drop the terms whose names have no records",
        ));
    }
    let each: [(&[String], &'static str, &str, &str); 3] = [
        (
            &cost.missing,
            "spf-include-missing",
            "which has no SPF record in this zone: a permerror (RFC 7208 §5.2)",
            "give it a record or drop the term",
        ),
        (
            &cost.looping,
            "spf-include-loop",
            "which leads back to itself: a permerror",
            "break the circle",
        ),
        (
            &cost.crowded_mx,
            "spf-mx-names",
            "whose MX has more than ten names: a permerror (RFC 7208 §4.6.4)",
            "name the addresses with `ip4:` and `ip6:`",
        ),
    ];
    for (terms, code, what, cure) in each {
        for term in terms {
            findings.push(Finding::warning(
                code,
                format!("the SPF record of {owner} has `{term}`, {what}"),
                cure,
            ));
        }
    }
}

/// What evaluating `text` at `owner` costs.
pub fn cost(zone: &ZoneView<'_>, owner: &Name, text: &str) -> Cost {
    let mut cost = Cost::default();
    add_cost(zone, text, &mut vec![owner.clone()], &mut cost);
    cost
}

/// `path` holds the domains being evaluated, outermost first; its length is bounded because a
/// record that is already past the limit is not followed further.
fn add_cost(zone: &ZoneView<'_>, text: &str, path: &mut Vec<Name>, cost: &mut Cost) {
    let Ok(spf) = syntax::parse(text) else { return };
    let Some(current) = path.last().cloned() else { return };
    let has_all = spf.terms.iter().any(|term| matches!(term, Term::All(_)));
    for term in &spf.terms {
        match term {
            // Terms behind `all` are never reached (RFC 7208 §5.1).
            Term::All(_) => break,
            Term::Ip4 | Term::Ip6 | Term::Exp(_) | Term::OtherModifier | Term::Redirect(_) => {}
            Term::A(domain) | Term::Ptr(domain) => {
                cost.lookups += 1;
                let is_a = matches!(term, Term::A(_));
                cost.void += usize::from(is_a && finds_no_address(zone, &current, *domain));
            }
            Term::Exists(domain) => {
                cost.lookups += 1;
                let lookup = plain(domain).map(|name| zone.lookup(&name, RecordType::A));
                cost.void += usize::from(lookup == Some(Known::Void));
            }
            Term::Mx(domain) => add_mx(zone, &current, *domain, cost),
            Term::Include(domain) => follow(zone, &format!("include:{domain}"), domain, path, cost),
        }
    }
    for term in &spf.terms {
        if let Term::Redirect(domain) = term
            && !has_all
        {
            follow(zone, &format!("redirect={domain}"), domain, path, cost);
        }
    }
}

fn add_mx(zone: &ZoneView<'_>, current: &Name, domain: Option<&str>, cost: &mut Cost) {
    cost.lookups += 1;
    let Some(name) = domain.map_or(Some(current.clone()), plain) else {
        return;
    };
    match zone.lookup(&name, RecordType::MX) {
        Known::Elsewhere => {}
        Known::Void => cost.void += 1,
        Known::Records(mx) if mx.len() > MAX_MX_NAMES => {
            cost.crowded_mx
                .push(domain.map_or_else(|| "mx".into(), |domain| format!("mx:{domain}")));
        }
        Known::Records(_) => {}
    }
}

fn follow(zone: &ZoneView<'_>, term: &str, domain: &str, path: &mut Vec<Name>, cost: &mut Cost) {
    cost.lookups += 1;
    let Some(name) = plain(domain) else {
        cost.foreign.push(term.to_owned());
        return;
    };
    if path.contains(&name) {
        cost.looping.push(term.to_owned());
        return;
    }
    let records = match zone.lookup(&name, RecordType::TXT) {
        Known::Elsewhere => {
            cost.foreign.push(term.to_owned());
            return;
        }
        Known::Void => vec![],
        Known::Records(records) => records,
    };
    let mut texts = records.iter().map(|record| record.joined_text());
    match texts.find(|text| kind::is_spf(text)) {
        None => cost.missing.push(term.to_owned()),
        Some(text) if cost.lookups <= MAX_LOOKUPS => {
            path.push(name);
            add_cost(zone, &String::from_utf8_lossy(&text), path, cost);
            path.pop();
        }
        Some(_) => {}
    }
}

fn finds_no_address(zone: &ZoneView<'_>, current: &Name, domain: Option<&str>) -> bool {
    domain
        .map_or(Some(current.clone()), plain)
        .and_then(|name| zone.addresses(&name))
        .is_some_and(|addresses| addresses.is_empty())
}

/// A domain without macros as a name: what a macro becomes only the receiver knows.
fn plain(domain: &str) -> Option<Name> {
    (!domain.contains('%')).then(|| Name::from_text(domain).ok()).flatten()
}
