//! The `signpost` program: takes the command line apart and hands over.

use signpost::cli::args::{KeyCommand, Purpose, SetupCommand, VerifyOptions, ZoneCommand};
use signpost::cli::lines::Lines;
use signpost::cli::output::{complain, refuse, say, start_log};
use signpost::cli::{Args, Command, Exit, Paint, check, man};
use signpost::config::{Config, find};
use signpost::control::{self, GivenUp, Request};
use signpost::daemon;
use signpost::doctor::machine::Machine;
use signpost::doctor::{self, setup};
use signpost::finding::Finding;
use signpost::name::Name;
use signpost::verify::{self, reply, report};
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

fn main() -> ExitCode {
    let args = match Args::read(std::env::args_os()) {
        Ok(args) => args,
        Err(exit) => return exit.into(),
    };
    run(&args).into()
}

fn run(args: &Args) -> Exit {
    // These need no configuration.
    match args.command() {
        Command::Man { dir } => return write_manual(&dir),
        Command::Verify(options) => return examine(options),
        Command::Doctor { root, json } => return diagnose(args.config.as_deref(), root, json),
        Command::Setup(command) => return set_up(args.config.as_deref(), command),
        _ => {}
    }
    let config = match find::locate(args.config.as_deref()).and_then(|path| find::load(&path)) {
        Ok(config) => config,
        Err(error) => return refuse(&error),
    };
    match args.command() {
        Command::Serve => serve(config),
        Command::Check { json } => judge(config, json),
        Command::Zone(ZoneCommand::List) => ask(&config, &Request::ZoneList),
        Command::Zone(ZoneCommand::Status { name, json }) => {
            let zone = name.map(|name| name.to_string());
            ask(&config, &Request::ZoneStatus { zone, json })
        }
        Command::Zone(ZoneCommand::Print { name }) => ask(&config, &Request::ZonePrint { zone: name.to_string() }),
        Command::Key(KeyCommand::List) => ask(&config, &Request::KeyList),
        Command::Key(KeyCommand::Status { domain, json }) => {
            let domain = domain.map(|domain| domain.to_string());
            ask(&config, &Request::KeyStatus { domain, json })
        }
        Command::Key(KeyCommand::New {
            domain,
            selector,
            algorithm,
        }) => ask(&config, &key_new(&domain, selector, algorithm, false)),
        Command::Key(KeyCommand::Rotate {
            domain,
            selector,
            algorithm,
        }) => ask(&config, &key_new(&domain, selector, algorithm, true)),
        Command::Key(KeyCommand::Wait {
            domain,
            selector,
            purpose,
            timeout,
        }) => {
            let gate = Request::KeyGate {
                domain: domain.to_string(),
                selector,
                removal: purpose == Purpose::Removal,
            };
            wait(&config, &gate, timeout)
        }
        Command::Key(KeyCommand::Revoke { domain, selector }) => ask(
            &config,
            &Request::KeyRevoke {
                domain: domain.to_string(),
                selector,
            },
        ),
        Command::Reload => ask(&config, &Request::Reload),
        Command::Status => ask(&config, &Request::Status),
        Command::Man { .. } | Command::Verify(_) | Command::Doctor { .. } | Command::Setup(_) => Exit::Fine,
    }
}

fn serve(config: Config) -> Exit {
    start_log(config.log.level);
    match daemon::serve(config, Paint::for_stdout(), say) {
        Ok(()) => Exit::Fine,
        Err(error) => complain(&error, Exit::Config),
    }
}

fn judge(config: Config, json: bool) -> Exit {
    let mut checked = match daemon::check(config) {
        Ok(checked) => checked,
        Err(error) => return complain(&error, Exit::Errors),
    };
    let scope = format!("{} zones and {} keys", checked.zones, checked.keys);
    report(&mut checked.findings, &scope, json)
}

/// Shows findings, and ends as the worst of them.
fn report(findings: &mut [Finding], scope: &str, json: bool) -> Exit {
    check::sort(findings);
    let mut lines = Lines::default();
    let line_of = |place: &_| lines.get(place);
    if json {
        say(&check::json(findings, scope, line_of));
    } else {
        say(&check::text(findings, scope, line_of, Paint::for_stdout()));
    }
    Exit::of_findings(&*findings)
}

/// Judges the mail machine, with Signpost's configuration if there is one that can be read.
fn diagnose(config: Option<&Path>, root: Option<PathBuf>, json: bool) -> Exit {
    let machine = Machine::at(root.unwrap_or_else(|| PathBuf::from("/")));
    let (config, fault) = match find::nearby(config, machine.installed_config().as_deref()) {
        Ok(config) => (config, None),
        Err(error) => (None, Some(error.finding())),
    };
    let mut examined = doctor::examine(&machine, config.as_ref());
    examined.findings.extend(fault);
    report(&mut examined.findings, &examined.scope, json)
}

/// Shows what is missing, and writes it if that was asked for.
fn set_up(config: Option<&Path>, command: SetupCommand) -> Exit {
    let (SetupCommand::Opendkim { change } | SetupCommand::Postfix { change, .. }) = &command;
    let machine = Machine::at(change.root.clone().unwrap_or_else(|| PathBuf::from("/")));
    let plan = match command {
        SetupCommand::Opendkim { .. } => match find::nearby(config, machine.installed_config().as_deref()) {
            Ok(config) => setup::opendkim(&machine, config.as_ref()),
            Err(error) => return refuse(&error),
        },
        SetupCommand::Postfix { throttle, .. } => setup::postfix(&machine, throttle),
    };
    let plan = match plan {
        Ok(plan) => plan,
        Err(error) => return complain(&error, Exit::Errors),
    };
    if plan.is_empty() && !plan.is_declined() {
        say("nothing is missing\n");
    }
    say(&plan.to_string());
    let mut exit = if plan.is_declined() { Exit::Errors } else { Exit::Fine };
    if change.write {
        for written in plan.write(&machine, SystemTime::now()) {
            match written {
                Ok(file) => say(&format!("{file}\n")),
                // What was written before is to be put in force all the same.
                Err(error) => {
                    exit = complain(&error, Exit::Errors);
                    break;
                }
            }
        }
    } else if !plan.is_empty() {
        say("nothing was written; --write does it\n");
    }
    plan.advice().iter().for_each(|line| say(&format!("{line}\n")));
    exit
}

/// Sends an order to the running server and prints what it says.
fn ask(config: &Config, request: &Request) -> Exit {
    match control::ask(&config.state, request) {
        Ok(reply) if reply.ok => {
            say(&reply.text);
            if reply.amiss { Exit::Warnings } else { Exit::Fine }
        }
        Ok(reply) => complain(&reply.text, Exit::Errors),
        Err(error) => complain(&error, Exit::NotRunning),
    }
}

fn key_new(domain: &Name, selector: Option<String>, algorithm: Option<String>, next: bool) -> Request {
    Request::KeyNew {
        domain: domain.to_string(),
        selector,
        algorithm,
        next,
    }
}

/// Waits until a key may be signed with, or may go.
fn wait(config: &Config, gate: &Request, timeout: Duration) -> Exit {
    match control::wait(&config.state, gate, timeout, |why| eprintln!("waiting: {why}")) {
        Ok(text) => {
            say(&text);
            Exit::Fine
        }
        Err(GivenUp::Refused) => Exit::Errors,
        Err(error @ GivenUp::NotAllowed(_)) => complain(&error, Exit::NotRunning),
        Err(error @ GivenUp::TooLate) => complain(&error, Exit::TryAgain),
    }
}

/// Judges a message; prints what was found, or sends it to who sent the message.
fn examine(options: VerifyOptions) -> Exit {
    let file = options.message.filter(|path| path != Path::new("-"));
    let delivery = verify::Delivery {
        client_ip: options.client_ip.and_then(|client| client.0),
        helo: options.helo,
        mail_from: options.mail_from,
    };
    if options.reply {
        let way = reply::Way {
            from: options.reply_from,
            sendmail: options.sendmail,
        };
        return match reply::answer(file.as_deref(), &delivery, options.dns, &way) {
            Ok(said) => {
                say(&format!("{said}\n"));
                Exit::Fine
            }
            // Postfix keeps the message and asks again.
            Err(error) if error.is_temporary() => complain(&error, Exit::TryAgain),
            Err(error) => complain(&error, Exit::Errors),
        };
    }
    let examined = verify::Message::read(file.as_deref())
        .and_then(|message| verify::verify(&Arc::new(message), &delivery, options.dns));
    let report = match examined {
        Ok(report) => report,
        Err(error) => return complain(&error, Exit::Errors),
    };
    if options.json {
        say(&report::json(&report));
    } else {
        say(&report::text(&report));
    }
    if report.all_pass() { Exit::Fine } else { Exit::Warnings }
}

fn write_manual(dir: &Path) -> Exit {
    let write = || -> io::Result<()> {
        std::fs::create_dir_all(dir)?;
        for (name, page) in man::pages()? {
            std::fs::write(dir.join(name), page)?;
        }
        Ok(())
    };
    match write() {
        Ok(()) => Exit::Fine,
        Err(error) => complain(
            &format!("cannot write the manual into {}: {error}", dir.display()),
            Exit::Errors,
        ),
    }
}
