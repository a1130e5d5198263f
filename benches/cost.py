#!/usr/bin/env python3
"""What an answer costs: Signpost beside NSD, Knot, BIND, PowerDNS and bare sockets, in one run.

    cost.py udp       CPU per UDP answer
    cost.py wildcard  the same with every server bound to 0.0.0.0; NSD answers from 127.0.0.1 then, whatever was asked
    cost.py tcp       CPU per TCP answer: pipelined over 8 connections, and one query a connection
    cost.py cores     answers and CPU per answer with one worker and with two
    cost.py drain     how much sooner two workers than one have answered what waits, with nobody asking meanwhile
    cost.py crowd     a fresh client's wait, quiet and beside 2 000 idle and 1 000 one-octet-a-second connections

All servers serve the same mail domain from the same file on loopback, pinned to core 0; dnsperf asks the same
queries from core 1, in turn, round after round. Cost is the CPU time (user + system, of all its processes and
threads) that a server used for a round, divided by its answers: it does not depend on who was the bottleneck.
Figures are medians over the rounds. The machine drifts: quote ratios of one run, never figures of two.

Needs `cargo build --release --bin signpost --example knock` and, from Debian: nsd knot bind9 pdns-server pdns-backend-bind dnsperf gcc. Python's own library is enough.
Exit 0 when it measured; what is missing is named and left out.
"""
import argparse, base64, json, os, random, re, resource, select, shutil, signal, socket, statistics, subprocess, sys, tempfile, time

HERE = os.path.dirname(os.path.abspath(__file__))
ZONE = "bench.test"
SERVERS = ["signpost", "nsd", "knot", "bind", "pdns", "floor"]
# The mean answer to the mix below, in octets, for the floor.
ANSWER = 223


def write_zone(folder, keys=1000, queries=50000, seed=7):
    """A mail domain with a thousand DKIM keys, and what resolvers ask a mail domain for."""
    rng = random.Random(seed)
    rows = [f"$ORIGIN {ZONE}.", "$TTL 3600", "@ IN SOA ns1 hostmaster 1 7200 3600 1209600 300", "@ IN NS ns1", "@ IN NS ns2",
            "ns1 IN A 127.0.0.1", "ns2 IN A 127.0.0.2", "@ IN MX 10 mail", "mail IN A 192.0.2.25", "mail IN AAAA 2001:db8::25",
            '@ IN TXT "v=spf1 ip4:192.0.2.25 mx -all"', 'mail IN TXT "v=spf1 ip4:192.0.2.25 a -all"',
            f'_dmarc IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{ZONE}"']
    for i in range(keys):
        text = "v=DKIM1; k=rsa; p=" + base64.b64encode(rng.randbytes(294)).decode()
        rows.append(f"s{i}._domainkey IN TXT " + " ".join(f'"{text[j:j + 255]}"' for j in range(0, len(text), 255)))
        rows.append(f"host{i} IN A 10.0.{i // 256}.{i % 256}")
    asks = []
    for _ in range(queries):
        draw = rng.random()
        asks.append(f"s{rng.randrange(keys)}._domainkey.{ZONE} TXT" if draw < .35 else f"{ZONE} TXT" if draw < .5 else
                    f"_dmarc.{ZONE} TXT" if draw < .6 else f"{ZONE} MX" if draw < .7 else
                    f"host{rng.randrange(keys)}.{ZONE} A" if draw < .85 else
                    f"mail.{ZONE} AAAA" if draw < .9 else f"nx{rng.randrange(100000)}.{ZONE} A")
    os.makedirs(f"{folder}/zones")
    for path, lines in (f"zones/{ZONE}.zone", rows), ("queries", asks):
        with open(f"{folder}/{path}", "w") as file:
            file.write("\n".join(lines) + "\n")


def launch_lines(folder, binary, ports, ip, workers, transport):
    """Name -> command line. Each server has one worker, unless there are to be more."""
    zone = f"{folder}/zones/{ZONE}.zone"

    def put(path, text):
        os.makedirs(os.path.dirname(f"{folder}/{path}"), exist_ok=True)
        with open(f"{folder}/{path}", "w") as file:
            file.write(text)
        return f"{folder}/{path}"

    os.makedirs(f"{folder}/keys", exist_ok=True)
    bind_ip = "any" if ip == "0.0.0.0" else ip
    lines = {
        "signpost": [binary, "--config", put("signpost.toml", f"""
            listen = ["{ip}:{ports['signpost']}"]
            zones = "zones"
            keys = "keys"
            state = "state"
            """), "serve"],
        "nsd": ["nsd", "-d", "-c", put("nsd/nsd.conf", f"""
            server:
              rrl-ratelimit: 0
              server-count: {workers}
              ip-address: {ip}@{ports['nsd']}
              username: ""
              zonesdir: "{folder}"
              pidfile: "{folder}/nsd/pid"
              xfrdfile: "{folder}/nsd/xfrd"
              zonelistfile: "{folder}/nsd/list"
              xfrdir: "{folder}/nsd"
              minimal-responses: yes
              reuseport: yes
            remote-control:
              control-enable: no
            zone:
              name: {ZONE}
              zonefile: {zone}
            """)],
        "knot": ["knotd", "-c", put("knot/knot.conf", f"""
server:
  rundir: "{folder}/knot"
  listen: {ip}@{ports['knot']}
  udp-workers: {workers}
  tcp-workers: {workers}
database:
  storage: "{folder}/knot"
zone:
  - domain: {ZONE}
    file: {zone}
    zonefile-sync: -1
""")],
        "bind": ["named", "-f", "-n", str(workers), "-c", put("bind/named.conf", f"""
            options {{
              directory "{folder}/bind";
              listen-on port {ports['bind']} {{ {bind_ip}; }};
              listen-on-v6 {{ none; }};
              recursion no;
              pid-file "{folder}/bind/pid";
              minimal-responses yes;
            }};
            controls {{ }};
            zone "{ZONE}" {{ type primary; file "{zone}"; }};
            """)],
        "pdns": ["pdns_server", f"--config-dir={folder}/pdns", "--daemon=no", "--guardian=no"],
    }
    put("pdns/named.conf", f'zone "{ZONE}" {{ type master; file "{zone}"; }};\n')
    put("pdns/pdns.conf", "\n".join([
        "launch=bind", f"bind-config={folder}/pdns/named.conf", f"local-address={ip}", f"local-port={ports['pdns']}",
        f"socket-dir={folder}/pdns", f"receiver-threads={workers}", f"distributor-threads={workers}", "reuseport=yes", ""]))
    if shutil.which("gcc"):
        subprocess.run(["gcc", "-O2", "-o", f"{folder}/floor", f"{HERE}/floor.c"], check=True)
        lines["floor"] = [f"{folder}/floor", transport, str(ports["floor"]), str(ANSWER)]
    return lines


def family(pid):
    """The process and all its descendants."""
    found = [pid]
    for process in found:
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/children") as file:
                    found += [int(child) for child in file.read().split()]
        except OSError:
            pass
    return found


def cpu_seconds(pid):
    ticks = 0
    for process in family(pid):
        try:
            with open(f"/proc/{process}/stat") as file:
                fields = file.read().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        except OSError:
            pass
    return ticks / os.sysconf("SC_CLK_TCK")


def question(name, qtype, ident=7):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return ident.to_bytes(2, "big") + b"\0\0\0\1\0\0\0\0\0\0" + labels + b"\0" + qtype.to_bytes(2, "big") + b"\0\1"


def ask(ip, port, transport, timeout=1.0):
    """Asks a fresh client's one question; the seconds it took, or None."""
    message = question(ZONE, 6)
    begin = time.perf_counter()
    kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
    try:
        with socket.socket(socket.AF_INET, kind) as client:
            client.settimeout(timeout)
            client.connect((ip, port))
            client.sendall(len(message).to_bytes(2, "big") + message if transport == "tcp" else message)
            answer = client.recv(4096)
    except OSError:
        return None
    return time.perf_counter() - begin if len(answer) > len(message) else None


class Field:
    """The servers of one run, started and ended with it."""

    def __init__(self, options, transport, ip="127.0.0.1", workers=1, server_cores="0"):
        self.folder = tempfile.mkdtemp(prefix="cost.")
        self.options = options
        # NSD on a wildcard address answers from the address of the route, so that is the one to ask.
        self.ip = "127.0.0.1" if ip == "0.0.0.0" else ip
        self.ports = {name: options.port + i for i, name in enumerate(SERVERS)}
        self.running = {}
        write_zone(self.folder)
        lines = launch_lines(self.folder, os.path.abspath(options.bin), self.ports, ip, workers, transport)
        for name in options.only.split(","):
            if name not in lines or not shutil.which(lines[name][0]):
                print(f"{name}: not installed, left out", file=sys.stderr)
                continue
            with open(f"{self.folder}/{name}.log", "w") as log:
                self.running[name] = subprocess.Popen(["taskset", "-c", server_cores] + lines[name], stdout=log, stderr=log,
                                                      cwd=self.folder, env={**os.environ, **options.env.get(name, {})})

    def __enter__(self):
        try:
            self.wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def wait(self):
        for name in self.running:
            for _ in range(100):
                transports = [self.options.transport] if name == "floor" else ["udp", "tcp"]
                if all(ask(self.ip, self.ports[name], transport) for transport in transports):
                    break
                time.sleep(.1)
            else:
                with open(f"{self.folder}/{name}.log") as log:
                    sys.exit(f"{name} does not answer: {log.read()[-500:]}")

    def __exit__(self, *_):
        for process in self.running.values():
            for pid in family(process.pid):
                try:
                    os.kill(pid, signal.SIGTERM)
                except OSError:
                    pass
        for process in self.running.values():
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, name, words, core="1"):
        """One round, of dnsperf with these words or of knock without: CPU per answer in microseconds, answers per second, and how many were lost."""
        before = cpu_seconds(self.running[name].pid)
        line = ["taskset", "-c", core]
        if words:
            line += ["dnsperf", "-s", self.ip, "-p", str(self.ports[name]), "-d", f"{self.folder}/queries", "-l",
                     str(self.options.secs), "-e", *words]
        else:
            line += [f"{os.path.dirname(os.path.abspath(self.options.bin))}/examples/knock", f"{self.ip}:{self.ports[name]}",
                     f"{self.folder}/queries", str(self.options.secs), "8"]
        said = subprocess.run(line, capture_output=True, text=True).stdout
        spent = cpu_seconds(self.running[name].pid) - before
        number = lambda what: float(re.search(what + r":\s+([\d.]+)", said).group(1))
        return {"us": spent / max(number("Queries completed"), 1) * 1e6, "qps": number("Queries per second"),
                "lost": number("Queries lost")}


def rounds(field, words, names=None):
    got = {name: [] for name in names or field.running}
    for number in range(field.options.rounds):
        # Nobody is always the first after a pause.
        order = list(got)[number % len(got):] + list(got)[:number % len(got)]
        for name in order:
            got[name].append(field.load(name, words))
    return {name: {key: statistics.median(one[key] for one in all) for key in ("us", "qps", "lost")} for name, all in got.items()}


def show(title, got):
    print(f"\n{title}\n")
    print("| server | CPU per answer, µs | to Signpost | answers/s | lost |\n|---|---|---|---|---|")
    own = got.get("signpost", {}).get("us")
    for name, figures in got.items():
        ratio = f"{figures['us'] / own:.2f}" if own else ""
        print(f"| {name} | {figures['us']:.2f} | {ratio} | {figures['qps']:.0f} | {figures['lost']:.0f} |", flush=True)


def udp(options, ip="127.0.0.1", title="UDP"):
    options.transport = "udp"
    if ip == "0.0.0.0":
        options.only = ",".join(name for name in options.only.split(",") if name != "floor")
    with Field(options, "udp", ip) as field:
        got = rounds(field, ["-c", "8", "-q", "200"])
    show(f"{title}: 8 clients, 200 queries outstanding", got)
    return {"udp": got}


FORMS = {
    "pipelined": ("TCP, pipelined: 8 connections, 200 queries outstanding", ["-m", "tcp", "-c", "8", "-q", "200"]),
    "sparse": ("TCP, 8 connections, 8 queries outstanding", ["-m", "tcp", "-c", "8", "-q", "8"]),
    # dnsperf can be told to reconnect, but then mostly waits: examples/knock.rs does it here.
    "single": ("TCP, one query a connection: 8 clients", None),
}


def tcp(options):
    options.transport = "tcp"
    got = {}
    with Field(options, "tcp") as field:
        for form in options.forms.split(","):
            title, words = FORMS[form]
            got[form] = rounds(field, words)
            show(title, got[form])
    return got


def cores(options):
    """One worker on core 0, then two on both. dnsperf shares the second core then, so answers per second say what
    the machine gives, and the time a core spends on an answer says what the second worker costs the first."""
    options.transport = "udp"
    got = {}
    for workers, on in (1, "0"), (2, "0,1"):
        with Field(options, "udp", workers=workers, server_cores=on) as field:
            got[workers] = rounds(field, ["-c", "16", "-q", "400"], [name for name in field.running if name != "floor"])
        show(f"UDP, {workers} worker(s), dnsperf on core 1", got[workers])
    return got


def run_times(pid):
    """Nanoseconds on a core of each thread of a server."""
    times = {}
    for process in family(pid):
        try:
            for thread in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{thread}/schedstat") as file:
                    times[thread] = int(file.read().split()[0])
        except OSError:
            pass
    return times


def drained(field, name, clients=1920, each=4):
    """Stops the server, lets questions of many clients wait in its sockets, and lets it go on: milliseconds of the thread
    that was busy longest, and the part of the questions that was answered."""
    server = field.running[name]
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
    # So many that the kernel's spreading of clients is even.
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(clients)]
    message = question(f"www.{ZONE}", 1)
    try:
        for pid in family(server.pid):
            os.kill(pid, signal.SIGSTOP)
        for client in sockets:
            client.connect((field.ip, field.ports[name]))
            client.setblocking(False)
        for _ in range(each):
            for client in sockets:
                client.send(message)
        before = run_times(server.pid)
        for pid in family(server.pid):
            os.kill(pid, signal.SIGCONT)
        time.sleep(.5)
        after = run_times(server.pid)
        answers = 0
        for client in sockets:
            try:
                while client.recv(4096):
                    answers += 1
            except BlockingIOError:
                pass
    finally:
        for client in sockets:
            client.close()
    return max(after[thread] - before.get(thread, 0) for thread in after) / 1e6, answers / (clients * each)


def drain(options):
    """Two workers beside one, each on a core of its own, while nobody else needs one: the questions wait already, and the
    answers are not read before all are there. Only Signpost's sockets have room for so many."""
    options.transport, options.only = "udp", "signpost"
    other = argparse.Namespace(**{**vars(options), "port": options.port + len(SERVERS)})
    with Field(options, "udp", workers=1, server_cores="0") as one, Field(other, "udp", workers=2, server_cores="0,1") as two:
        # By turns: the machine is not the same for long.
        runs = [(*drained(one, "signpost"), *drained(two, "signpost")) for _ in range(6 * options.rounds)]
    got = {"one": statistics.median(run[0] for run in runs), "two": statistics.median(run[2] for run in runs),
           "sooner": statistics.median(run[0] / run[2] for run in runs), "answered": min(min(run[1], run[3]) for run in runs)}
    print("\nUDP: 7 680 questions that wait, answered by one worker and by two, each on its core\n")
    print("| one, ms | two, ms | so much sooner, median of pairs | answered at least |\n|---|---|---|---|")
    print(f"| {got['one']:.2f} | {got['two']:.2f} | {got['sooner']:.2f} | {100 * got['answered']:.1f} % |")
    return got


def percentile(waits, part=.99):
    waits = sorted(float("inf") if wait is None else wait for wait in waits)
    return waits[min(len(waits) - 1, int(len(waits) * part))] * 1e3


def fresh(field, name, count=400):
    """p50 and p99 of fresh clients, UDP and TCP by turns, in milliseconds."""
    waits = {"udp": [], "tcp": []}
    for _ in range(count):
        for transport, list_ in waits.items():
            list_.append(ask(field.ip, field.ports[name], transport, 5.0))
            if list_[-1] is None and list_.count(None) > 3:
                return {transport: (percentile(list_, .5), percentile(list_)) for transport, list_ in waits.items()}
    return {transport: (percentile(list_, .5), percentile(list_)) for transport, list_ in waits.items()}


class Crowd:
    """Connections from many loopback addresses, so that limits per client are not what keeps them out."""

    def __init__(self, port, idle, slow):
        self.port, self.turn = port, 0
        self.idle = [self.connect() for _ in range(idle)]
        self.slow = [self.connect() for _ in range(slow)]
        self.at = 0

    def connect(self):
        self.turn += 1
        client = socket.socket()
        client.settimeout(.2)
        try:
            client.bind((f"127.0.{self.turn // 30 % 250 + 1}.{self.turn // 7500 + 9}", 0))
            client.connect(("127.0.0.1", self.port))
            client.setblocking(False)
        except OSError:
            pass
        return client

    def drip(self, count):
        """One octet from each of the next `count` slow ones; those that were closed come back."""
        for _ in range(count):
            self.at = (self.at + 1) % len(self.slow)
            try:
                self.slow[self.at].send(b"\x7f")
            except BlockingIOError:
                pass
            except OSError:
                self.slow[self.at].close()
                self.slow[self.at] = self.connect()

    def close(self):
        for client in self.idle + self.slow:
            client.close()


def besiege(port, idle, slow):
    """The crowd as a process of its own: says when it stands, then drips till its input ends."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 10000), hard))
    crowd = Crowd(port, idle, slow)
    print("stands", flush=True)
    while not select.select([sys.stdin], [], [], .01)[0]:
        crowd.drip(max(1, slow // 100))
    crowd.close()


def crowd(options):
    options.transport, options.only = "both", ",".join(name for name in options.only.split(",") if name != "floor")
    got = {}
    print("| server | UDP quiet, ms p50/p99 | beside the crowd | TCP quiet | beside the crowd |\n|---|---|---|---|---|")
    with Field(options, "tcp") as field:
        for name in field.running:
            quiet = fresh(field, name)
            besieger = subprocess.Popen(["taskset", "-c", "1", sys.executable, __file__, "--besiege", str(field.ports[name]), "crowd"],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
            try:
                besieger.stdout.readline()
                beside = fresh(field, name)
            finally:
                besieger.stdin.close()
                besieger.wait(60)
            got[name] = {"quiet": quiet, "beside": beside}
            cell = lambda figures: f"{figures[0]:.2f}/{figures[1]:.2f}"
            print(f"| {name} | {cell(quiet['udp'])} | {cell(beside['udp'])} | {cell(quiet['tcp'])} | {cell(beside['tcp'])} |", flush=True)
    return got


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mode", choices=["udp", "wildcard", "tcp", "cores", "drain", "crowd"])
    parser.add_argument("--bin", default=f"{HERE}/../target/release/signpost")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=int, default=4, help="of one round of one server")
    parser.add_argument("--only", default=",".join(SERVERS), help="servers, with commas between them")
    parser.add_argument("--forms", default="pipelined,sparse,single", help="of TCP")
    parser.add_argument("--port", type=int, default=16300, help="the first of six")
    parser.add_argument("--json", help="write the figures to this file too")
    parser.add_argument("--besiege", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    options.env = {}
    # Ended from outside, it still ends its servers.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    if options.besiege:
        return besiege(options.besiege, 2000, 1000)
    run = {"udp": udp, "tcp": tcp, "cores": cores, "drain": drain, "crowd": crowd,
           "wildcard": lambda options: udp(options, "0.0.0.0", "UDP, wildcard bind")}[options.mode]
    got = run(options)
    if options.json:
        with open(options.json, "w") as file:
            json.dump(got, file, indent=1)


if __name__ == "__main__":
    main()
