//! The `signpost` program: takes the command line apart and hands over.

use signpost::cli::args::{KeyCommand, Purpose, SetupCommand, VerifyOptions, ZoneCommand};
use signpost::cli::lines::Lines;
use signpost::cli::{Args, Command, Exit, Paint, check, man};
use signpost::config::{Config, ConfigError, LogLevel, find};
use signpost::control::{self, ControlError, Request};
use signpost::daemon;
use signpost::doctor::machine::Machine;
use signpost::doctor::{self, setup};
use signpost::finding::Finding;
use signpost::name::Name;
use signpost::verify::{self, reply, report};
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant, SystemTime};
use tracing_subscriber::filter::LevelFilter;

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
        Err(error) => {
            let excerpt = error
                .excerpt
                .as_ref()
                .map(|excerpt| format!("\n{excerpt}"))
                .unwrap_or_default();
            return complain(&format!("{error}{excerpt}"), Exit::Config);
        }
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

/// Events go to standard error, one a line. A service's journal adds the time itself.
fn start_log(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let log = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_target(false)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(io::stderr);
    if std::env::var_os("JOURNAL_STREAM").is_some() {
        log.without_time().init()
    } else {
        log.init()
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
    let (config, fault) = match nearby_config(&machine, config) {
        Ok(config) => (config, None),
        Err(error) => (None, Some(error.finding())),
    };
    let mut examined = doctor::examine(&machine, config.as_ref());
    examined.findings.extend(fault);
    report(&mut examined.findings, &examined.scope, json)
}

/// Shows what is missing, and writes it if that was asked for.
fn set_up(config: Option<&Path>, command: SetupCommand) -> Exit {
    let (root, write) = match &command {
        SetupCommand::Opendkim { root, write } | SetupCommand::Postfix { root, write, .. } => (root.clone(), *write),
    };
    let machine = Machine::at(root.unwrap_or_else(|| PathBuf::from("/")));
    let plan = match command {
        SetupCommand::Opendkim { .. } => match nearby_config(&machine, config) {
            Ok(config) => setup::opendkim(&machine, config.as_ref()),
            Err(error) => return complain(&error, Exit::Config),
        },
        SetupCommand::Postfix { throttle, .. } => match setup::postfix(&machine, throttle) {
            Some(plan) => plan,
            None => return complain(&"Postfix has no main.cf here; `apt-get install postfix`", Exit::Errors),
        },
    };
    if plan.is_empty() && !plan.is_declined() {
        say("nothing is missing\n");
    }
    say(&plan.to_string());
    if write {
        for written in plan.write(&machine, SystemTime::now()) {
            match written {
                Ok(file) => say(&format!("{file}\n")),
                Err(error) => return complain(&error, Exit::Errors),
            }
        }
    } else if !plan.is_empty() {
        say("nothing was written; --write does it\n");
    }
    plan.advice().iter().for_each(|line| say(&format!("{line}\n")));
    if plan.is_declined() { Exit::Errors } else { Exit::Fine }
}

/// Signpost's configuration of a machine: the one that was named, else of this machine the one that `serve` would
/// find, of another the installed one. `None` where there is none.
fn nearby_config(machine: &Machine, given: Option<&Path>) -> Result<Option<Config>, ConfigError> {
    let path = match given {
        Some(given) => given.to_owned(),
        None if machine.is_this() => match find::locate(None) {
            Ok(path) => path,
            Err(_) => return Ok(None),
        },
        None => {
            let installed = find::CANDIDATES[1];
            let path = machine.here(Path::new(installed));
            if !path.exists() {
                return Ok(None);
            }
            path
        }
    };
    find::load(&path).map(Some)
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

/// Asks again and again until the answer is yes. A server that restarts meanwhile is waited for, and a key that was
/// only just put into the key directory.
fn wait(config: &Config, request: &Request, timeout: Duration) -> Exit {
    const PAUSE: Duration = Duration::from_millis(500);
    const SOON: Duration = Duration::from_secs(10);
    let began = Instant::now();
    let mut told = String::new();
    loop {
        let (why, given_up) = match control::ask(&config.state, request) {
            Ok(reply) if reply.ok && !reply.amiss => {
                say(&reply.text);
                return Exit::Fine;
            }
            Ok(reply) if reply.ok || reply.later => (reply.text, None),
            Ok(reply) => (reply.text, (began.elapsed() >= SOON).then_some(Exit::Errors)),
            Err(error @ ControlError::NotAllowed(_)) => return complain(&error, Exit::NotRunning),
            Err(error) => (error.to_string(), None),
        };
        // How long a thing has lasted is no news.
        let news: String = why.chars().filter(|letter| !letter.is_ascii_digit()).collect();
        if news != told {
            eprintln!("waiting: {}", why.trim_end());
            told = news;
        }
        if let Some(exit) = given_up {
            return exit;
        }
        if began.elapsed() >= timeout {
            return complain(&"it did not become safe in time", Exit::TryAgain);
        }
        std::thread::sleep(PAUSE);
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
    let examined =
        verify::Message::read(file.as_deref()).and_then(|message| verify::verify(&message, &delivery, options.dns));
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

/// A reader that went away (`signpost zone print … | head`) is no error.
fn say(text: &str) {
    let mut out = io::stdout().lock();
    let _gone = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

fn complain(error: &dyn Display, exit: Exit) -> Exit {
    let mut err = io::stderr().lock();
    let _gone = writeln!(err, "signpost: {error}");
    exit
}
