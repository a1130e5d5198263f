//! Every option of `[mail]`, in the same form as [`super::options`] and to the same ends.
//!
//! The types in [`crate::mail`] decide; tests hold this table against them. `ttl`, which every table
//! has, is described once.

use super::options::{OptionRow, at_once as row};

/// What is in force where nothing is composed without the option.
const NOTHING: &str = "nothing is composed";
/// What is in force where a receiver's default is meant.
const UNSAID: &str = "left out of the record";

/// All of them, table by table.
#[rustfmt::skip]
pub const MAIL_OPTIONS: &[OptionRow] = &[
    row("mail.spf", r#"a record, "auto", or a table"#, NOTHING, r#"spf = "auto""#,
        "Short for record in [mail.spf]. \"auto\" composes the record from the zone's own MX and addresses."),
    row("mail.dmarc", "a record or a table", NOTHING, r#"dmarc = "v=DMARC1; p=reject""#,
        "Short for record in [mail.dmarc]."),
    row("mail.sender_id", r#"a record, "auto", or a table"#, NOTHING, r#"sender_id = "auto""#,
        "Sender-ID (RFC 4406), historic. \"auto\" says what SPF says."),
    row("mail.never", "a list of names", "[]", r#"never = ["www"]"#,
        "Hosts that never send mail: each gets a null MX, v=spf1 -all and a DMARC record with p=reject."),
    row("mail.sends", "true or false", "true", "sends = false",
        "false: no name of the zone ever sends mail."),

    row("mail.spf.record", r#"an SPF record or "auto", as a string"#, NOTHING, r#"record = "v=spf1 ip4:192.0.2.1 mx -all""#,
        "The SPF record of the apex (RFC 7208), whole; or it is composed from the parts that follow. \
         An empty string undoes an inherited one."),
    row("mail.spf.ip4", "a list of IPv4 addresses or networks", "[]", r#"ip4 = ["192.0.2.1", "198.51.100.0/24"]"#,
        "Addresses that send."),
    row("mail.spf.ip6", "a list of IPv6 addresses or networks", "[]", r#"ip6 = ["2001:db8::25"]"#,
        "Addresses that send."),
    row("mail.spf.a", "true, false or a list of domains", "false", "a = true",
        "The addresses of the domain itself, or of those named, send."),
    row("mail.spf.mx", "true, false or a list of domains", "false", "mx = true",
        "The mail exchangers of the domain itself, or of those named, send."),
    row("mail.spf.include", "a list of domains", "[]", r#"include = ["_spf.example.net"]"#,
        "Whoever may send for these may send for this one."),
    row("mail.spf.exists", "a list of domain specifications", "[]", r#"exists = ["%{i}._spf.example.org"]"#,
        "Whoever makes this name exist sends."),
    row("mail.spf.redirect", "a domain, as a string", "none", r#"redirect = "_spf.example.net""#,
        "The record of that domain counts instead."),
    row("mail.spf.all", r#""-", "~", "?" or "+""#, r#""-""#, r#"all = "~""#,
        "What is said of everyone else."),
    row("mail.spf.type99", "true or false", "the zone file decides", "type99 = true",
        "Whether each SPF record has a twin of the SPF type (99), byte for byte. Discontinued by RFC 7208."),
    row("mail.spf.hosts", "a table of names, each with a record, \"auto\" or parts", "none", r#"hosts = { mail = "v=spf1 a -all" }"#,
        "SPF of other names, such as those that servers greet with. Relative names are below the apex."),

    row("mail.dmarc.record", "a DMARC record, as a string", NOTHING, r#"record = "v=DMARC1; p=none""#,
        "The record at _dmarc (RFC 9989), whole; or it is composed from the parts that follow. \
         An empty string undoes an inherited one."),
    row("mail.dmarc.policy", r#""none", "quarantine" or "reject""#, NOTHING, r#"policy = "quarantine""#,
        "What receivers should do with mail that fails (p=)."),
    row("mail.dmarc.subdomain_policy", r#""none", "quarantine" or "reject""#, UNSAID, r#"subdomain_policy = "reject""#,
        "The same for names below the domain (sp=)."),
    row("mail.dmarc.nonexistent_policy", r#""none", "quarantine" or "reject""#, UNSAID, r#"nonexistent_policy = "reject""#,
        "The same for names that do not exist (np=)."),
    row("mail.dmarc.rua", "a list of addresses", "[]", r#"rua = ["mailto:dmarc@example.org"]"#,
        "Where aggregate reports go. A receiver in another zone that is served here is authorised there."),
    row("mail.dmarc.ruf", "a list of addresses", "[]", r#"ruf = ["mailto:dmarc@example.org"]"#,
        "Where failure reports go."),
    row("mail.dmarc.adkim", r#""relaxed" or "strict""#, UNSAID, r#"adkim = "strict""#,
        "How close the DKIM domain must be to the author's."),
    row("mail.dmarc.aspf", r#""relaxed" or "strict""#, UNSAID, r#"aspf = "strict""#,
        "How close the SPF domain must be to the author's."),
    row("mail.dmarc.fo", "0, 1, d or s, or several joined by colons, as a string", UNSAID, r#"fo = "1:d""#,
        "Which failures are reported."),
    row("mail.dmarc.testing", "true or false", UNSAID, "testing = true",
        "Receivers should report, but not act (t=y)."),
    row("mail.dmarc.psd", r#""y", "n" or "u""#, UNSAID, r#"psd = "n""#,
        "Whether the domain is a public suffix."),

    row("mail.dkim.rotation.every", "a duration, as a string", "only when told to", r#"every = "90d""#,
        "How often Signpost makes a new key and has the signer of [[signer]] switched to it, once every name server \
         of the zone has it. \"never\" undoes an inherited one."),
    row("mail.dkim.rotation.algorithms", "a list of algorithms", r#"["rsa2048"]"#, r#"algorithms = ["rsa2048", "ed25519"]"#,
        "The keys that are made: rsa2048, rsa3072, rsa4096 or ed25519, one of each kind."),
    row("mail.dkim.rotation.selector", "a pattern, as a string", r#""{year}{month}{day}-{alg}""#,
        r#"selector = "{year}{month}-{alg}""#,
        "The selectors of new keys; {alg} is rsa or ed. The date is that of UTC."),
    row("mail.dkim.rotation.retire", "a duration, as a string", r#""7d""#, r#"retire = "7d""#,
        "How long a key whose file is gone, or that is not signed with any more, stays published, because mail in \
         flight was signed with it. It is then revoked by an empty p=."),
    row("mail.dkim.rotation.forget", "a duration, as a string", r#""30d""#, r#"forget = "30d""#,
        "How long a revoked key stays published with an empty p=. Then its record is gone."),
    row("mail.dkim.rotation.reveal", "an absolute path, as a string", "nowhere", r#"reveal = "/var/www/dkim-keys""#,
        "A folder where the private half of a key that Signpost made is published once its record is gone, so that old \
         signatures prove nothing any more. It must not be in the key directory, and must be in ReadWritePaths= of \
         Signpost's unit. An empty string undoes an inherited one."),
    row("mail.dkim.adsp", r#""unknown", "all" or "discardable""#, NOTHING, r#"adsp = "all""#,
        "The record at _adsp._domainkey (RFC 5617), historic."),
    row("mail.dkim.domainkeys_policy", "a list of tags, as a string", NOTHING, r#"domainkeys_policy = "t=y; o=-;""#,
        "The record at _domainkey (RFC 4870), historic."),

    row("mail.tls_rpt.rua", "a list of addresses", NOTHING, r#"rua = ["mailto:tls@example.org"]"#,
        "Where reports on TLS go: the record at _smtp._tls (RFC 8460)."),

    row("mail.mta_sts.mode", r#""enforce", "testing" or "none""#, NOTHING, r#"mode = "testing""#,
        "The record at _mta-sts (RFC 8461). Its id is a hash of the policy, so it changes with it."),
    row("mail.mta_sts.mx", "a list of host patterns", "the zone's MX", r#"mx = ["*.example.org"]"#,
        "The mail exchangers in the policy."),
    row("mail.mta_sts.max_age", "a duration, as a string or in seconds", r#""7d""#, r#"max_age = "7d""#,
        "How long senders keep the policy."),
    row("mail.mta_sts.id", "1 to 32 letters and digits, as a string", "a hash of the policy", r#"id = "20260101""#,
        "The id, for a policy that is served elsewhere."),

    row("mail.bimi.location", "an https address, as a string", NOTHING, r#"location = "https://example.org/logo.svg""#,
        "The logo; the record is at default._bimi. An empty string declines."),
    row("mail.bimi.authority", "an https address, as a string", "none", r#"authority = "https://example.org/vmc.pem""#,
        "The certificate of the logo."),
    row("mail.bimi.selector", "a selector, as a string", r#""default""#, r#"selector = "brand""#,
        "Another selector than default."),

    row("mail.sender_id.record", r#"a Sender-ID record or "auto", as a string"#, NOTHING, r#"record = "spf2.0/pra mx -all""#,
        "The Sender-ID record, whole."),

    row("mail.caa.issue", "a list of CA domains", NOTHING, r#"issue = ["letsencrypt.org"]"#,
        "Who may issue certificates (RFC 8659). An empty list forbids it to all."),
    row("mail.caa.issuewild", "a list of CA domains", NOTHING, "issuewild = []",
        "The same for wildcard certificates."),
    row("mail.caa.issuemail", "a list of CA domains", NOTHING, "issuemail = []",
        "The same for S/MIME certificates (RFC 9495)."),
    row("mail.caa.iodef", "a list of addresses", NOTHING, r#"iodef = ["mailto:ca@example.org"]"#,
        "Where CAs report violations."),

    row("mail.services.submissions", SERVICE, NOTHING, r#"submissions = "mail""#, "Message submission over TLS (RFC 8314)."),
    row("mail.services.submission", SERVICE, NOTHING, r#"submission = "mail""#, "Message submission (RFC 6186)."),
    row("mail.services.imaps", SERVICE, NOTHING, r#"imaps = "mail""#, "IMAP over TLS."),
    row("mail.services.imap", SERVICE, NOTHING, "imap = false", "IMAP."),
    row("mail.services.pop3s", SERVICE, NOTHING, "pop3s = false", "POP3 over TLS."),
    row("mail.services.pop3", SERVICE, NOTHING, "pop3 = false", "POP3."),
    row("mail.services.sieve", SERVICE, NOTHING, r#"sieve = "mail""#, "ManageSieve (RFC 5804)."),
    row("mail.services.autodiscover", SERVICE, NOTHING, r#"autodiscover = "mail""#, "The host that autodiscover clients ask."),
    row("mail.services.autoconfig", "a host, as a string", NOTHING, r#"autoconfig = "mail""#, "The host behind the name autoconfig."),
];

const SERVICE: &str = r#"a host with or without a port, as in "mail:2587", or false"#;
