//! Manual pages: signpost(1) from the definitions of the command line, signpost.toml(5) from the table
//! of options. Committed under `man/`; a test holds the committed pages against these.

use super::args::{Args, EXAMPLES, FILES};
use super::exit::Exit;
use crate::config::mail_options::MAIL_OPTIONS;
use crate::config::options::{CATALOG_OPTIONS, Change, OPTIONS, OptionRow, ZONE_OPTIONS};
use crate::config::signer_options::{HOOK_ENVIRONMENT, SIGNER_OPTIONS};
use clap_mangen::Man;
use clap_mangen::roff::{Inline, Roff, bold, italic, roman};
use std::io;

/// The pages by file name. Fails only if formatting into memory does.
pub fn pages() -> io::Result<Vec<(&'static str, String)>> {
    Ok(vec![
        ("signpost.1", command_page()?),
        ("signpost.toml.5", config_page()),
    ])
}

fn command_page() -> io::Result<String> {
    let mut definitions = Args::definitions();
    definitions.build();
    let man = Man::new(definitions.clone()).manual("Signpost");
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["SYNOPSIS"]);
    roff.text([
        bold("signpost"),
        roman(" ["),
        bold("--config"),
        roman(" "),
        italic("FILE"),
        roman("] ["),
        italic("COMMAND"),
        roman("]"),
    ]);
    roff.to_writer(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    let mut roff = Roff::new();
    roff.control("SH", ["COMMANDS"]);
    for command in definitions.get_subcommands_mut() {
        describe_command(&mut roff, command);
    }
    list(&mut roff, "FILES", &FILES);
    let codes = Exit::ALL.map(|(exit, meaning)| (exit.code().to_string(), meaning));
    let codes: Vec<(&str, &str)> = codes.iter().map(|(code, meaning)| (code.as_str(), *meaning)).collect();
    list(&mut roff, "EXIT STATUS", &codes);
    roff.control("SH", ["ENVIRONMENT"]);
    roff.control("TP", []);
    roff.text([bold("NO_COLOR")]);
    roff.text([roman("If set and not empty, nothing is printed in colour.")]);
    roff.control("SH", ["SIGNALS"]);
    roff.control("TP", []);
    roff.text([bold("SIGHUP")]);
    roff.text([roman(
        "Read everything again, and ask the primaries of zones that are fetched.",
    )]);
    roff.control("TP", []);
    roff.text([bold("SIGTERM"), roman(", "), bold("SIGINT")]);
    roff.text([roman("Stop.")]);
    list(&mut roff, "EXAMPLES", &EXAMPLES);
    see_also(
        &mut roff,
        &[
            ("signpost.toml", "5"),
            ("opendkim-genkey", "8"),
            ("named-checkzone", "1"),
        ],
    );
    roff.to_writer(&mut page)?;
    // Each section brings the same definitions along; once is enough.
    let preamble = Roff::new().render();
    let page = String::from_utf8_lossy(&page).replace(&preamble, "");
    Ok(preamble + &page)
}

/// A command with its arguments, or each of its sub-commands.
fn describe_command(roff: &mut Roff, command: &mut clap::Command) {
    if command.is_hide_set() {
        return;
    }
    if command.has_subcommands() {
        for below in command.get_subcommands_mut() {
            describe_command(roff, below);
        }
        return;
    }
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut heading = vec![bold(name)];
    let own = |arg: &&clap::Arg| !arg.is_global_set() && !["help", "version"].contains(&arg.get_id().as_str());
    for arg in command.get_arguments().filter(own) {
        match arg.get_long() {
            Some(long) => heading.extend([roman(" ["), bold(format!("--{long}")), roman("]")]),
            None => heading.extend([roman(" "), italic(arg.get_id().as_str().to_uppercase())]),
        }
    }
    roff.control("TP", []);
    roff.text(heading);
    let about = command.get_long_about().or_else(|| command.get_about());
    paragraphs(roff, &about.map(ToString::to_string).unwrap_or_default());
    for arg in command.get_arguments().filter(own) {
        let label = match arg.get_long() {
            Some(long) => bold(format!("--{long}")),
            None => italic(arg.get_id().as_str().to_uppercase()),
        };
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        roff.control("RS", []);
        roff.control("TP", []);
        roff.text([label]);
        roff.text([roman(help)]);
        roff.control("RE", []);
    }
    for alias in command.get_visible_aliases() {
        roff.control("IP", []);
        roff.text([roman("The same: "), bold(alias)]);
    }
}

fn config_page() -> String {
    let mut roff = Roff::new();
    let source = format!("signpost {}", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["signpost.toml", "5", "", source.as_str(), "Signpost"]);
    roff.control("SH", ["NAME"]);
    roff.text([roman("signpost.toml - configuration of the Signpost DNS server")]);
    roff.control("SH", ["DESCRIPTION"]);
    for paragraph in [
        "The file is TOML. It is looked for where --config says, else as ./signpost.toml, else as \
         /etc/signpost/signpost.toml. Every option has a default, so an empty file will do. Relative \
         paths start at the directory of the file. Unknown keys are refused, and so is a file with any \
         error: the server then keeps what it had and says what is wrong, and where.",
        "A changed file is read at once. Zones, keys and [mail] follow it; an option that has to wait for \
         the next start says so below, and so does the server when it changes.",
    ] {
        roff.control("PP", []);
        roff.text([roman(paragraph)]);
    }
    roff.control("SH", ["OPTIONS"]);
    describe_options(&mut roff, OPTIONS);
    roff.control("SH", ["SIGNERS"]);
    paragraphs(
        &mut roff,
        "Each [[signer]] is a program that signs mail. Signpost makes its keys, waits until every name server of the zone \
         has them, and then switches it: the files that say what it signs with are rewritten in one step each, comments \
         and order kept, and it is told to read them again. What was changed by hand in the meantime is never overwritten.",
    );
    describe_options(&mut roff, SIGNER_OPTIONS);
    paragraphs(&mut roff, "A hook finds in its environment:");
    for (variable, meaning) in HOOK_ENVIRONMENT {
        roff.control("TP", []);
        roff.text([bold(*variable)]);
        roff.text([roman(*meaning)]);
    }
    roff.control("SH", ["MAIL POLICY"]);
    paragraphs(
        &mut roff,
        "What follows is the mail policy of every zone. The file zones/NAME.toml may have a [mail] of its own, \
         which is laid over this one key by key; a list or a text replaces the one here. Into a zone that is fetched from \
         primaries nothing is put unless its own file has a [mail], and into a catalog never. Each of the tables may \
         have a ttl, as a duration such as \"1h\" or in seconds; without it the zone decides.",
    );
    describe_options(&mut roff, MAIL_OPTIONS);
    roff.control("SH", ["ZONES WITHOUT A FILE"]);
    paragraphs(
        &mut roff,
        "A part of a domain can be served while the rest stays with a hoster: the hoster delegates \
         _domainkey.example.org (or _dmarc, _mta-sts, _smtp._tls, …) by NS records, and \
         zones/_domainkey.example.org.toml makes that zone here, without a zone file. SOA and NS come from the table \
         [zone] of that file, the other records from keys and policy; a [mail] in it is the policy of example.org. \
         A zone file of that name takes precedence, and [zone] is then not used.",
    );
    describe_options(&mut roff, ZONE_OPTIONS);
    roff.control("SH", ["CATALOGS"]);
    paragraphs(
        &mut roff,
        "A catalog (RFC 9432) is a zone that lists zones, so that other servers know what to fetch from here: a table \
         [catalog] in zones/NAME.toml, without a zone file, makes the catalog NAME of the zones served here; \
         [transfer] in the same file says who may have it and who is told. With [transfer] primaries the catalog is \
         fetched, and so are its zones, from the same primaries. Only those who may fetch a catalog are answered from it.",
    );
    describe_options(&mut roff, CATALOG_OPTIONS);
    roff.control("SH", ["EXAMPLE"]);
    roff.control("nf", []);
    for line in EXAMPLE.lines() {
        roff.text([roman(line)]);
    }
    roff.control("fi", []);
    see_also(&mut roff, &[("signpost", "1")]);
    roff.render()
}

/// A whole configuration, for the manual page. A test reads it.
const EXAMPLE: &str = r#"listen = ["192.0.2.1:53", "[2001:db8::1]:53"]
zones = "zones"
keys = "/etc/opendkim/keys"
identity = "ns1.example.org"

[tcp]
idle = "5s"

[mail]
spf = "auto"

[mail.dmarc]
policy = "quarantine"
rua = ["mailto:dmarc@example.org"]
"#;

fn describe_options(roff: &mut Roff, rows: &[OptionRow]) {
    let mut table = "";
    for row in rows {
        let (row_table, key) = row.key.rsplit_once('.').unwrap_or(("", row.key));
        if row_table != table {
            table = row_table;
            roff.control("SS", [format!("[{table}]").as_str()]);
        }
        describe_option(roff, row, key);
    }
}

fn describe_option(roff: &mut Roff, row: &OptionRow, key: &str) {
    roff.control("TP", []);
    roff.text([bold(key)]);
    roff.text([roman(row.text)]);
    roff.control("IP", []);
    let change = match row.change {
        Change::AtOnce => "A change is obeyed at once.",
        Change::Restart => "A change waits for the next start.",
    };
    roff.text([roman(format!(
        "Wants {}. Default: {}. {change}",
        row.wants, row.default
    ))]);
    roff.control("IP", []);
    roff.text([bold(row.example)]);
}

fn paragraphs(roff: &mut Roff, text: &str) {
    for (at, paragraph) in text.split("\n\n").enumerate() {
        if at > 0 {
            roff.control("IP", []);
        }
        let mut line = paragraph.trim().to_owned();
        if !line.ends_with(['.', ']']) {
            line.push('.');
        }
        roff.text([roman(line)]);
    }
}

fn list(roff: &mut Roff, heading: &str, rows: &[(&str, &str)]) {
    roff.control("SH", [heading]);
    for (left, right) in rows {
        roff.control("TP", []);
        roff.text([bold(*left)]);
        roff.text([roman(sentence(right))]);
    }
}

/// With a capital and a full stop.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    let first: String = chars.next().into_iter().flat_map(char::to_uppercase).collect();
    format!("{first}{}.", chars.as_str())
}

fn see_also(roff: &mut Roff, pages: &[(&str, &str)]) {
    roff.control("SH", ["SEE ALSO"]);
    let mut line: Vec<Inline> = Vec::new();
    for (page, section) in pages {
        if !line.is_empty() {
            line.push(roman(", "));
        }
        line.extend([bold(*page), roman(format!("({section})"))]);
    }
    roff.text(line);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn the_example_is_a_good_configuration() {
        assert!(crate::config::parse(EXAMPLE, Path::new("signpost.toml")).is_ok());
    }

    #[test]
    fn every_command_and_every_option_is_described() {
        let pages = pages().unwrap();
        for command in [
            "serve",
            "check",
            "zone print",
            "zone list",
            "key list",
            "key revoke",
            "reload",
            "status",
        ] {
            let heading = format!("\\fBsignpost {command}\\fR");
            assert!(pages[0].1.contains(&heading), "{heading}");
        }
        assert!(!pages[0].1.contains("signpost man"), "hidden commands stay hidden");
        for row in OPTIONS
            .iter()
            .chain(MAIL_OPTIONS)
            .chain(ZONE_OPTIONS)
            .chain(SIGNER_OPTIONS)
        {
            let key = row.key.rsplit('.').next().unwrap();
            assert!(pages[1].1.contains(&format!("\\fB{key}\\fR")), "{key}");
        }
    }
}
