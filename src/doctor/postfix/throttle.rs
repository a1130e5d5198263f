//! How fast mail leaves (the tutorial's step 5): what is set, what that comes to, and where it does not do what
//! it seems to.

use super::settings::Settings;
use crate::doctor::machine::Machine;
use crate::finding::Finding;

/// What is in force for one kind of delivery.
struct Throttle {
    concurrency: u32,
    delay: u64,
    recipients: u32,
}

pub(super) fn judge(machine: &Machine, settings: &Settings) -> Vec<Finding> {
    let number = |name: &str| settings.get(name).parse::<u32>().unwrap_or_default();
    let delay = |transport: &str| seconds(&settings.get(&format!("{transport}_destination_rate_delay")));
    let throttle = Throttle {
        concurrency: number("smtp_destination_concurrency_limit"),
        delay: delay("smtp").unwrap_or_default(),
        recipients: number("smtp_destination_recipient_limit"),
    };
    // The parameter that decides: the transport's own, else the default of all.
    let place = |what: &str| {
        let own = format!("smtp_destination_{what}");
        let name = match settings.set(&own) {
            Some(_) => own,
            None => format!("default_destination_{what}"),
        };
        settings.place(machine, &name)
    };
    let mut findings = vec![Finding::note("postfix-throttle", throttle.told()).at(place("rate_delay"))];
    for parameter in ["default_extra_recipient_limit", "smtp_extra_recipient_limit"] {
        if let Some(set) = settings.set(parameter) {
            let what = format!(
                "`{parameter}` is not how many recipients a delivery has: it bounds how many the queue manager keeps in \
                 memory when one message overtakes another, and {} slows large queues down",
                set.value
            );
            let cure = format!(
                "remove the line; `smtp_destination_recipient_limit = {}` sends in such portions",
                set.value
            );
            let finding = Finding::warning("postfix-extra-recipient-limit", what, cure);
            findings.push(finding.at(settings.place(machine, parameter)));
        }
    }
    let inward: Vec<&str> = ["local", "lmtp", "relay", "virtual"]
        .into_iter()
        .filter(|transport| delay(transport).is_some_and(|delay| delay > 0))
        .filter(|transport| settings.set(&format!("{transport}_destination_rate_delay")).is_none())
        .collect();
    if let ([_, ..], Some(set)) = (inward.as_slice(), settings.set("default_destination_rate_delay")) {
        let what = format!(
            "`default_destination_rate_delay` holds up every kind of delivery, also to mailboxes here ({})",
            inward.join(", ")
        );
        let cure = format!(
            "write `smtp_destination_rate_delay = {}` instead: that is mail to others",
            set.value
        );
        let finding = Finding::warning("postfix-throttle-local", what, cure);
        findings.push(finding.at(settings.place(machine, "default_destination_rate_delay")));
    }
    if throttle.recipients == 1 && (throttle.delay > 0 || throttle.concurrency < 20) {
        let what = "with a recipient limit of 1, rate delay and concurrency limit count for each recipient and not for each \
                    domain (postconf(5)): a provider gets as many messages at once as it has recipients";
        let cure = "set it to 2 or more, or limit `smtp_transport_rate_delay`, which counts for all";
        let finding = Finding::warning("postfix-throttle-recipient", what, cure);
        findings.push(finding.at(place("recipient_limit")));
    }
    findings
}

impl Throttle {
    fn told(&self) -> String {
        let Self {
            concurrency,
            delay,
            recipients,
        } = self;
        match delay {
            0 => format!(
                "one domain gets up to {concurrency} deliveries at once, of up to {recipients} recipients each, without a \
                 pause; should a large provider complain of the rate, `signpost setup postfix --throttle` shows how to \
                 slow down"
            ),
            _ => {
                let hourly = 3600 / delay;
                let idle = match concurrency {
                    1 => String::new(),
                    _ => format!(
                        "; a rate delay makes it one at a time, so the concurrency limit of {concurrency} is idle"
                    ),
                };
                format!(
                    "one domain gets a delivery every {delay} s, {hourly} an hour, of up to {recipients} recipients \
                     each{idle}"
                )
            }
        }
    }
}

/// A time as Postfix writes it: a number and `s`, `m`, `h`, `d` or `w`; seconds without.
fn seconds(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = match text.get(digits.len()..)? {
        "" | "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_times() {
        let read = ["5", "5s", "2m", "1h", "1d", "1w", "5y", "", "x"].map(seconds);
        let known = [5, 5, 120, 3600, 86_400, 604_800].map(Some);
        assert_eq!(read[..6], known);
        assert_eq!(read[6..], [None; 3]);
    }

    #[test]
    fn tells_what_it_comes_to() {
        let told = |concurrency, delay, recipients| {
            let throttle = Throttle {
                concurrency,
                delay,
                recipients,
            };
            throttle.told()
        };
        assert!(told(2, 5, 50).contains("720 an hour") && told(2, 5, 50).contains("limit of 2 is idle"));
        assert!(!told(1, 5, 50).contains("idle"));
        assert!(told(20, 0, 50).contains("up to 20 deliveries at once"));
    }
}
