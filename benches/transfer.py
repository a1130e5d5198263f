#!/usr/bin/env python3
"""What the transfer of a large zone costs, beside the peers.

Out: each server in turn serves a zone of a million records and sends it by AXFR to `examples/sink.rs`, which throws it
away; told are the median of the rounds, the CPU time of one transfer, what transfers add to the memory (PSS, sampled while
they run), and what the queries of dnsperf feel of transfers that go on one after the other. Servers are asked in turn
within each round, pinned to core 0; sink and queries run on core 1, dnsperf before all others there. Signpost is started
with the priority that its unit gives it, for which one must be root.

In: each server in turn is started as a secondary of the same primary (NSD), with nothing stored; told is the time from
its start until it answers the zone, and its memory then.

    benches/transfer.py [--records 1000000] [--rounds 5] [--only signpost,nsd,knot,bind] [--bin target/release/signpost]
                        [--sink target/release/examples/sink] [--folder DIR] [--what out,in]

Needs (Debian): nsd knot bind9 dnsperf.
"""
import argparse, os, random, re, shutil, signal, socket, statistics, struct, subprocess, sys, tempfile, threading, time

ZONE = "large.test"
PORTS = {"signpost": 17401, "nsd": 17402, "knot": 17403, "bind": 17404}
PRIMARY = 17400
SERVE_CORE, ASK_CORE = 0, 1
RATE = 2000  # queries a second beside transfers


def write_zone(path, records):
    """Mail hosts of four records each."""
    with open(path, "w") as file:
        file.write(f"$ORIGIN {ZONE}.\n$TTL 3600\n@ SOA ns1 hostmaster 2026112401 7200 3600 1209600 300\n@ NS ns1\nns1 A 192.0.2.53\n")
        for i in range((records - 3) // 4):
            file.write(f'h{i} A 198.51.{i >> 8 & 255}.{i & 255}\nh{i} MX 10 mail\nh{i} TXT "v=spf1 ip4:198.51.100.{i & 255} mx -all"\n_dmarc.h{i} TXT "v=DMARC1; p=reject; rua=mailto:dmarc@{ZONE}"\n')


class Server:
    """A server of the zone: a primary, or with `primary` a secondary of that port."""

    def __init__(self, name, port, folder, zone_file, binary, primary=None):
        self.name, self.port, self.folder, self.zone_file, self.binary, self.primary = name, port, folder, zone_file, binary, primary
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        command = getattr(self, name)()
        self.log = open(f"{folder}/log", "w")
        self.began = time.monotonic()
        self.process = subprocess.Popen(["taskset", "-c", str(SERVE_CORE), *command], stdout=self.log, stderr=self.log, start_new_session=True, cwd=folder)

    def put(self, path, text):
        with open(f"{self.folder}/{path}", "w") as file:
            file.write(text)
        return f"{self.folder}/{path}"

    def signpost(self):
        os.makedirs(f"{self.folder}/zones")
        os.makedirs(f"{self.folder}/keys")
        transfer = "allow = [\"127.0.0.1\"]\nnotify_nameservers = false\n"
        if self.primary:
            self.put(f"zones/{ZONE}.toml", f'[transfer]\nprimaries = ["127.0.0.1:{self.primary}"]\n')
        else:
            os.symlink(self.zone_file, f"{self.folder}/zones/{ZONE}.zone")
        config = f'listen = ["127.0.0.1:{self.port}"]\nworkers = 1\nzones = "zones"\nkeys = "keys"\nstate = "state"\n[transfer]\n{transfer}'
        return ["nice", "-n", "-10", self.binary, "--config", self.put("signpost.toml", config), "serve"]

    def nsd(self):
        at = self.folder
        head = f'server:\n ip-address: 127.0.0.1@{self.port}\n server-count: 1\n rrl-ratelimit: 0\n username: ""\n zonesdir: "{at}"\n database: ""\n pidfile: "{at}/pid"\n xfrdfile: "{at}/xfrd"\n zonelistfile: "{at}/list"\n xfrdir: "{at}"\nremote-control:\n control-enable: no\n'
        zone = f"zone:\n name: {ZONE}\n provide-xfr: 127.0.0.1 NOKEY\n"
        if self.primary:
            zone += f" zonefile: {at}/fetched.zone\n request-xfr: AXFR 127.0.0.1@{self.primary} NOKEY\n"
        else:
            zone += f" zonefile: {self.zone_file}\n"
        return ["nsd", "-d", "-c", self.put("nsd.conf", head + zone)]

    def knot(self):
        at = self.folder
        acl = "acl:\n  - id: a\n    address: 127.0.0.1\n    action: transfer\n"
        remote = f"remote:\n  - id: p\n    address: 127.0.0.1@{self.primary}\n" if self.primary else ""
        zone = f"    master: p\n    file: {at}/fetched.zone\n" if self.primary else f"    file: {self.zone_file}\n"
        head = f'server:\n  rundir: "{at}"\n  listen: 127.0.0.1@{self.port}\n  udp-workers: 1\n  tcp-workers: 1\n  background-workers: 1\nlog:\n  - target: stderr\n    any: error\ndatabase:\n  storage: "{at}"\n'
        return ["knotd", "-c", self.put("knot.conf", f'{head}{remote}{acl}template:\n  - id: default\n    zonefile-sync: -1\n    journal-content: none\nzone:\n  - domain: {ZONE}\n    acl: a\n{zone}')]

    def bind(self):
        at = self.folder
        zone = f'type secondary; primaries {{ 127.0.0.1 port {self.primary}; }}; file "fetched"; masterfile-format text;' if self.primary else f'type primary; file "{self.zone_file}";'
        head = f'options {{ directory "{at}"; listen-on port {self.port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; pid-file "{at}/pid"; session-keyfile "{at}/key"; notify no; transfer-format many-answers; allow-transfer {{ 127.0.0.1; }}; }};\ncontrols {{ }};\n'
        return ["named", "-f", "-n", "1", "-c", self.put("named.conf", f'{head}zone "{ZONE}" {{ {zone} }};\n')]

    def processes(self):
        """It and its children."""
        all_of, found = {}, []
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    with open(f"/proc/{entry}/stat") as file:
                        all_of.setdefault(int(file.read().rsplit(")", 1)[1].split()[1]), []).append(int(entry))
                except OSError:
                    pass
        waiting = [self.process.pid]
        while waiting:
            pid = waiting.pop()
            found.append(pid)
            waiting += all_of.get(pid, [])
        return found

    def memory(self):
        """PSS in MB."""
        total = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/smaps_rollup") as file:
                    total += next(int(line.split()[1]) for line in file if line.startswith("Pss:"))
            except (OSError, StopIteration):
                pass
        return total / 1024

    def cpu(self):
        """Seconds of CPU so far, children that have ended included."""
        ticks = 0
        for pid in self.processes():
            try:
                with open(f"/proc/{pid}/stat") as file:
                    ticks += sum(int(field) for field in file.read().rsplit(")", 1)[1].split()[11:15])
            except OSError:
                pass
        return ticks / os.sysconf("SC_CLK_TCK")

    def wait(self, patience=300):
        """Seconds from the start until it answers the zone's SOA with authority."""
        while not is_answered(self.port):
            if self.process.poll() is not None or time.monotonic() - self.began > patience:
                sys.exit(f"{self.name} does not serve: {open(f'{self.folder}/log').read()[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - self.began

    def stop(self):
        os.killpg(self.process.pid, signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.log.close()


def question(name, rtype):
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack("!HHHHHH", random.randrange(65536), 0, 1, 0, 0, 0) + labels + struct.pack("!BHH", 0, rtype, 1)


def is_answered(port):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect(("127.0.0.1", port))
        try:
            client.send(question(ZONE, 6))
            answer = client.recv(4096)
            return answer[3] & 15 == 0 and answer[2] & 4 and answer[7] > 0
        except OSError:
            return False


def latencies(port, queries, transport, seconds=2):
    """Microseconds of queries at a steady rate, p50 and p99; and how many were lost."""
    command = ["chrt", "-f", "1", "dnsperf", "-s", "127.0.0.1", "-p", str(port), "-d", queries, "-l", str(seconds), "-Q", str(RATE), "-m", transport, "-c", "2", "-T", "1", "-v"]
    # Below /dev/shm: a disk would be felt.
    with tempfile.TemporaryFile("w+", dir="/dev/shm") as output:
        subprocess.run(command, stdout=output, stderr=subprocess.STDOUT, check=True)
        output.seek(0)
        text = output.read()
    lost = int(re.search(r"Queries lost:\s+(\d+)", text).group(1))
    took = sorted(1e6 * float(word) for word in re.findall(r"^> NOERROR .* ([\d.]+)$", text, re.M))
    return at(took, .5), at(took, .99), lost


def fetch(sink, port):
    """One transfer: milliseconds, octets, messages, records."""
    output = subprocess.run(["taskset", "-c", str(ASK_CORE), sink, f"127.0.0.1:{port}", ZONE], capture_output=True, text=True)
    if output.returncode:
        sys.exit(f"port {port}: {output.stderr}")
    words = output.stdout.split()
    return float(words[0]), int(words[1]), int(words[2]), int(words[3])


class Transfers:
    """Transfers one after the other, until the end of the block."""

    def __init__(self, sink, port):
        self.end = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(sink, port))

    def run(self, sink, port):
        while not self.end.is_set():
            fetch(sink, port)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.end.set()
        self.thread.join()


def at(values, part):
    return values[min(len(values) - 1, int(len(values) * part))] if values else float("nan")


def out(args, folder, zone_file, names):
    servers = [Server(name, PORTS[name], f"{folder}/{name}", zone_file, args.bin) for name in names]
    try:
        for server in servers:
            server.wait()
        hosts = (args.records - 3) // 4
        queries = f"{folder}/queries"
        with open(queries, "w") as file:
            file.writelines(f"h{random.randrange(hosts)}.{ZONE} TXT\n" for _ in range(20_000))
        rows = {server.name: [] for server in servers}
        for turn in range(args.rounds + 1):
            for server in servers:
                before = server.cpu()
                one = fetch(args.sink, server.port)
                time.sleep(0.2)
                if turn:  # The first warms up.
                    rows[server.name].append((*one, server.cpu() - before))
        print(f"\nAXFR out, {args.records} records, median of {args.rounds}:\n")
        print("| server | ms | CPU, ms | octets | messages | memory, MB | more while sending, MB | UDP p50/p99 before, µs | while sending | TCP before | while sending | lost |\n|---|---|---|---|---|---|---|---|---|---|---|---|")
        for server in servers:
            ms = statistics.median(row[0] for row in rows[server.name])
            cpu = statistics.median(row[4] for row in rows[server.name]) * 1000
            octets, messages = rows[server.name][0][1:3]
            # Looking at the memory would be felt by who asks: each has transfers of its own.
            memory, peak = server.memory(), 0
            with Transfers(args.sink, server.port):
                for _ in range(10):
                    time.sleep(0.05)
                    peak = max(peak, server.memory())
            rounds = []
            for _ in range(args.rounds):
                quiet = [latencies(server.port, queries, transport) for transport in ("udp", "tcp")]
                with Transfers(args.sink, server.port):
                    busy = [latencies(server.port, queries, transport) for transport in ("udp", "tcp")]
                rounds.append([value for pair in zip(quiet, busy) for one in pair for value in one])
            figures = [statistics.median(column) for column in zip(*rounds)]
            waits = " | ".join(f"{figures[i]:.0f}/{figures[i + 1]:.0f}" for i in (0, 3, 6, 9))
            lost = sum(row[i] for row in rounds for i in (2, 5, 8, 11))
            print(f"| {server.name} | {ms:.0f} | {cpu:.0f} | {octets} | {messages} | {memory:.0f} | {max(0, peak - memory):.1f} | {waits} | {lost} |", flush=True)
    finally:
        for server in servers:
            server.stop()


def come_in(args, folder, zone_file, names):
    primary = Server("nsd", PRIMARY, f"{folder}/primary", zone_file, args.bin)
    try:
        primary.wait()
        rows = {name: [] for name in names}
        for _ in range(max(1, args.rounds // 2 + 1)):
            for name in names:
                server = Server(name, PORTS[name], f"{folder}/{name}-in", zone_file, args.bin, PRIMARY)
                try:
                    took = server.wait()
                    time.sleep(2)
                    rows[name].append((took, server.cpu(), server.memory()))
                finally:
                    server.stop()
        print(f"\nAXFR in, from the start of the secondary to its first answer, median of {len(rows[names[0]])}:\n")
        print("| server | s | CPU, s | memory, MB |\n|---|---|---|---|")
        for name in names:
            took, cpu, memory = (statistics.median(column) for column in zip(*rows[name]))
            print(f"| {name} | {took:.2f} | {cpu:.2f} | {memory:.0f} |", flush=True)
    finally:
        primary.stop()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default=",".join(PORTS))
    parser.add_argument("--what", default="out,in")
    parser.add_argument("--bin", default="target/release/signpost")
    parser.add_argument("--sink", default="target/release/examples/sink")
    parser.add_argument("--folder")
    args = parser.parse_args()
    args.bin, args.sink = os.path.abspath(args.bin), os.path.abspath(args.sink)
    folder = args.folder or tempfile.mkdtemp(prefix="transfer-")
    os.makedirs(folder, exist_ok=True)
    zone_file = f"{os.path.abspath(folder)}/{ZONE}.{args.records}.zone"
    if not os.path.exists(zone_file):
        write_zone(zone_file, args.records)
    os.sched_setaffinity(0, {ASK_CORE})
    try:
        names = args.only.split(",")
        if "out" in args.what:
            out(args, os.path.abspath(folder), zone_file, names)
        if "in" in args.what:
            come_in(args, os.path.abspath(folder), zone_file, names)
    finally:
        if not args.folder:
            shutil.rmtree(folder, ignore_errors=True)


main()
