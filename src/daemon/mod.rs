//! The running server: one loop that owns the sources and the state and drives everything else.
//!
//! Sockets are bound first, so that a wrong address is told before work begins. Then everything is
//! read, composed and published ([`engine`]); each zone is answered from the moment it is, and until
//! the last one is, names of no zone get SERVFAIL, not REFUSED. From then on the loop waits for the
//! watcher, for orders (control socket, signals) and for keys that fall due, and publishes what they
//! change. Answering goes on meanwhile in the workers' own threads; all that the loop and
//! they share is the pointer to the served zones.

mod base;
mod check;
mod cookies;
mod engine;
mod file_at;
mod fileless;
mod keeper;
mod key_files;
mod key_orders;
mod leaving;
mod news;
mod orders;
mod signals;
mod sources;
mod tls;
mod transfers;
mod zones;

pub use check::{Checked, check};

use crate::answer::Settings;
use crate::cli::Paint;
use crate::config::{Config, ConfigError, Identity};
use crate::control::{self, ControlError, Pending};
use crate::exchange::Exchange;
use crate::publish::{Publisher, SharedZones, StoreError};
use crate::server::systemd::Notifier;
use crate::server::{self, BindError, Encrypted, Inherited, Listen, RateLimit, Running, Server};
use crate::signer::SignerError;
use crate::transfer::Ledger;
use crate::watch::{self, Root, WatchError, Watcher};
use crate::zone::ZoneSet;
use cookies::Cookies;
use engine::{Engine, Progress};
use keeper::Keeper;
use leaving::Leaving;
use news::News;
use signals::Signal;
use sources::{CONFIG, KEYS, Sources, ZONES};
use std::collections::BTreeMap;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tls::{TLS_FILES, Tls};
use transfers::{TSIG_KEYS, TransferRules};

/// Why the server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The configuration makes no sense.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The sockets.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The state directory.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files cannot be watched.
    #[error(transparent)]
    Watch(#[from] WatchError),
    /// The control socket.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Another Signpost drives the same signers.
    #[error(transparent)]
    Signer(#[from] SignerError),
    /// The system gives no threads or signals.
    #[error("the system refuses a thread or a signal handler: {0}; raise the limits of processes and open files")]
    System(std::io::Error),
}

/// The running server.
struct Daemon {
    engine: Engine,
    exchange: Exchange,
    orders: mpsc::Receiver<Pending>,
    signals: mpsc::Receiver<Signal>,
    running: Running,
    notifier: Notifier,
    started: Instant,
}

/// Serves until it is told to stop. `announce` gets the report of the start, made with `paint`.
pub fn serve(config: Config, paint: Paint, announce: impl FnOnce(&str)) -> Result<(), StartError> {
    let (tls, tls_finding) = Tls::new(&config.tls);
    let bound = Server::adopt(&listen(&config, &tls), Inherited::take())?;
    let zones: SharedZones = Arc::new(arc_swap::ArcSwap::from_pointee(ZoneSet::loading()));
    let (rules, key_findings) = TransferRules::new(&config);
    let publisher = Publisher::open(&config.state, Arc::clone(&zones))?.with_policies(rules.policies());
    let (mut watcher, listed) = Watcher::new(roots(&config), &watch::Options::default())?;
    watcher.set_extra(TSIG_KEYS, rules.files())?;
    watcher.set_extra(TLS_FILES, tls.files())?;
    // After the watch began, so that no change falls between.
    let (cookies, cookie_findings) = Cookies::start(&config)?;
    let mut settings = settings(&config, cookies.as_ref());
    let waker = watcher.waker();
    let (tell, fetched) = mpsc::channel();
    let tell = {
        let waker = waker.clone();
        move |event| {
            // It fails at the end only, when nobody is left to hear it.
            let _ = tell.send(event);
            waker.wake();
        }
    };
    let ledger = Ledger::default();
    let exchange = Exchange::start(
        Arc::clone(&zones),
        rules.policies(),
        rules.keys(),
        tls.context(),
        &config.listen,
        ledger.clone(),
        tell,
    )
    .map_err(StartError::System)?;
    let inbox = transfers::inbox(exchange.refresher());
    settings.transfers = Some(Arc::new(rules.transfers(publisher.journal(), ledger, inbox)));
    let signals = signals::listen(waker.clone()).map_err(StartError::System)?;
    let orders = control::listen(&config.state, move || waker.wake())?;
    let mut keeper = Keeper::start(exchange.inquirer(), watcher.waker()).map_err(StartError::System)?;
    keeper.take(&config)?;
    let sources = Sources::new(config)?;
    let mut engine = Engine {
        sources,
        publisher,
        zones,
        watcher,
        leaving: Leaving::default(),
        news: News::default(),
        cookies,
        rules,
        tls,
        notifier: exchange.notifier(),
        refresher: exchange.refresher(),
        fetched,
        arrivals: BTreeMap::new(),
        followed: BTreeMap::new(),
        keeper,
    };
    engine.news.add(key_findings);
    engine.news.add(cookie_findings);
    engine.news.add(tls_finding);
    engine.news.add(bound.findings().iter().cloned());
    let running = bound
        .run(Arc::clone(&engine.zones), settings)
        .map_err(StartError::System)?;
    // The threads that answer have started; this one composes from here on.
    server::give_way();
    let notifier = Notifier::from_env();
    let mut loading = Loading::new(&notifier, &signals);
    if !engine.load(listed, &mut |progress| loading.go_on(progress)) {
        notifier.stopping();
        running.stop();
        return Ok(());
    }
    let reload_asked = loading.reload_asked;
    announce(&engine.start_report((running.addresses(), running.encrypted_addresses()), paint));
    let mut liveness = running.liveness();
    let watchdog = notifier.watch(move || liveness.alive()).map_err(StartError::System)?;
    let mut daemon = Daemon {
        engine,
        exchange,
        orders,
        signals,
        running,
        notifier,
        started: Instant::now(),
    };
    if reload_asked {
        daemon.engine.reload();
    }
    daemon.run();
    drop(watchdog);
    Ok(())
}

/// Watches over the first load: tells how far it is, and heeds signals meanwhile.
struct Loading<'l> {
    notifier: &'l Notifier,
    signals: &'l mpsc::Receiver<Signal>,
    told: Instant,
    /// SIGHUP came: what was read first may be older than that.
    reload_asked: bool,
}

impl<'l> Loading<'l> {
    /// A load that takes less time needs no words.
    const TELL_EVERY: Duration = Duration::from_secs(2);

    fn new(notifier: &'l Notifier, signals: &'l mpsc::Receiver<Signal>) -> Self {
        Self {
            notifier,
            signals,
            told: Instant::now(),
            reload_asked: false,
        }
    }

    /// Is the load to go on?
    fn go_on(&mut self, progress: Progress) -> bool {
        let Progress { done, of } = progress;
        if done < of && self.told.elapsed() >= Self::TELL_EVERY {
            self.told = Instant::now();
            tracing::info!(zones = done, of, "reading zones; those read are answered");
            let status = format!("reading zones: {done} of {of}");
            self.notifier.progress(&status, Self::TELL_EVERY * 15);
        }
        while let Ok(signal) = self.signals.try_recv() {
            match signal {
                Signal::Stop => return false,
                Signal::Reload => self.reload_asked = true,
            }
        }
        true
    }
}

impl Daemon {
    fn run(mut self) {
        self.notifier.ready(&self.summary());
        loop {
            self.engine.wait();
            self.engine.publish();
            if self.engine.rotate() {
                self.engine.publish();
            }
            while let Ok(signal) = self.signals.try_recv() {
                match signal {
                    Signal::Stop => return self.stop(),
                    Signal::Reload => {
                        self.notifier.reloading();
                        self.engine.reload();
                        self.notifier.ready(&self.summary());
                    }
                }
            }
            while let Ok(pending) = self.orders.try_recv() {
                self.obey(pending);
            }
        }
    }

    fn summary(&self) -> String {
        match self.engine.zones.load().len() {
            1 => "1 zone served".into(),
            count => format!("{count} zones served"),
        }
    }

    fn stop(self) {
        tracing::info!("stopping");
        self.notifier.stopping();
        self.running.stop();
    }
}

/// The files to watch.
fn roots(config: &Config) -> Vec<Root> {
    let mut roots = vec![
        Root::file(CONFIG, &config.path),
        Root::directory(ZONES, &config.zones),
        Root::directory(KEYS, &config.keys),
    ];
    roots.extend(cookies::root(config));
    roots
}

fn listen(config: &Config, tls: &Tls) -> Listen {
    let mut listen = Listen::on(config.listen.clone());
    if let Some(workers) = config.workers {
        listen.workers = usize::from(workers.get());
    }
    listen.limits.connections = config.tcp.connections as usize;
    listen.limits.per_client = config.tcp.per_client as usize;
    listen.limits.idle = config.tcp.idle;
    listen.encrypted = config.tls.listens().then(|| Encrypted {
        dot: config.tls.dot.clone(),
        doq: config.tls.doq.clone(),
        doh: config.tls.doh.clone(),
        context: tls.context(),
    });
    listen.rate_limit = config.rate_limit.map(|limit| RateLimit {
        responses: limit.responses_per_second,
        all: limit.all_per_second,
        slip: limit.slip,
        ipv4_prefix: limit.ipv4_prefix,
        ipv6_prefix: limit.ipv6_prefix,
    });
    listen
}

fn settings(config: &Config, cookies: Option<&Cookies>) -> Settings {
    let identity = match &config.identity {
        Some(Identity::Text(text)) => Some(text.clone()),
        Some(Identity::Hostname) => crate::config::find::host_name(),
        None => None,
    };
    Settings {
        version: config.version.clone(),
        identity,
        max_udp_payload: config.max_udp_payload,
        // RFC 7828 §3.1: in units of 100 ms.
        keepalive: Some(u16::try_from(config.tcp.idle.as_millis() / 100).unwrap_or(u16::MAX)),
        cookies: cookies.map(Cookies::secrets),
        transfers: None,
    }
}
