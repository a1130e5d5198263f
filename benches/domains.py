#!/usr/bin/env python3
"""Many mail domains on one machine: start, memory, and what a change costs, beside the peers.

Makes N zones of twelve records, K of them with a 2048-bit DKIM key in a key directory, the others with a static
one, and lets each server in turn load and answer them. Told are: seconds from the start to the first and to the last
zone answered; memory (PSS) afterwards; the time from the rename(2) of a changed file to the first right answer; the
same for many files dropped at once, and what dnsperf feels of it, at half of the rate that it reaches. Signpost gets a key file
renamed into place and nothing else; its peers get a zone file and the command that makes them reload it.

    benches/domains.py [--zones 100000] [--keys 10000] [--only signpost,nsd,knot,bind,pdns] [--changes 200]
                       [--bulk 1000] [--bin target/release/signpost] [--folder DIR]

The folder is made anew unless it holds the same number of zones and keys already; a million zones take some
6 GB of disk and four minutes to write. Needs (Debian): nsd knot bind9 pdns-server pdns-backend-bind openssl dnsperf.
"""
import argparse, base64, json, os, random, re, shutil, signal, socket, statistics, struct, subprocess, sys, tempfile, time

PORT = 17300
RECORD_TYPE = {"SOA": 6, "TXT": 16}


def zone_text(i, dkim=None, serial=1):
    text = f"""$TTL 3600
@ IN SOA ns1.example.net. hostmaster.example.net. {serial} 7200 3600 1209600 300
@ IN NS ns1.example.net.
@ IN NS ns2.example.net.
@ IN MX 10 mail
@ IN A 192.0.2.{i % 256}
@ IN AAAA 2001:db8::{i % 65536:x}
mail IN A 192.0.2.{i % 256}
mail IN AAAA 2001:db8::{i % 65536:x}
www IN CNAME @
@ IN TXT "v=spf1 ip4:192.0.2.{i % 256} mx -all"
_dmarc IN TXT "v=DMARC1; p=reject; rua=mailto:dmarc@d{i}.test"
"""
    if dkim:
        record = "v=DKIM1; k=rsa; p=" + dkim
        text += "m._domainkey IN TXT " + " ".join(f'"{record[j:j + 255]}"' for j in range(0, len(record), 255)) + "\n"
    return text


class Domains:
    """The files: zones/ and keys/ for Signpost, full/ for the peers' version of the zones with a key."""

    def __init__(self, folder, zones, keys):
        self.folder, self.zones, self.keys = folder, zones, keys
        made = f"{folder}/made.json"
        os.makedirs(folder, exist_ok=True)
        self.pool = [subprocess.run(["openssl", "genrsa", "2048"], capture_output=True, text=True, check=True).stdout for _ in range(8)]
        self.public = ["".join(subprocess.run(["openssl", "rsa", "-pubout"], input=p, capture_output=True, text=True, check=True).stdout.split("\n")[1:-2]) for p in self.pool]
        if os.path.exists(made) and json.load(open(made)) == [zones, keys]:
            for i in range(keys):
                self.reset(i)
            return
        for part in ("zones", "keys", "full"):
            shutil.rmtree(f"{folder}/{part}", ignore_errors=True)
        for i in range(zones):
            if i % 1000 == 0:
                for part in ("zones", "full"):
                    os.makedirs(f"{folder}/{part}/{i // 1000:04d}", exist_ok=True)
            keyed = i < keys
            self.write(self.zone_file(i), zone_text(i, None if keyed else self.public[i % 8]))
            if keyed:
                os.makedirs(f"{folder}/keys/d{i}.test")
                self.reset(i)
        json.dump([zones, keys], open(made, "w"))

    def write(self, path, text):
        with open(path, "w") as file:
            file.write(text)

    def reset(self, i):
        self.write(f"{self.folder}/keys/d{i}.test/m.private", self.pool[0])
        self.write(self.full_file(i), zone_text(i, self.public[0]))

    def zone_file(self, i):
        return f"{self.folder}/zones/{i // 1000:04d}/d{i}.test.zone"

    def full_file(self, i):
        """The file that holds all of the zone, for a server that composes nothing."""
        return f"{self.folder}/full/{i // 1000:04d}/d{i}.test.zone" if i < self.keys else self.zone_file(i)

    def change(self, i, generation, composes):
        """Prepares the next key of domain i; returns what renames it into place, and the `p=` to be seen then."""
        target = f"{self.folder}/keys/d{i}.test/m.private" if composes else self.full_file(i)
        key = generation % 8
        self.write(f"{self.folder}/next.{i}", self.pool[key] if composes else zone_text(i, self.public[key], generation + 1))
        return (lambda: os.rename(f"{self.folder}/next.{i}", target)), self.public[key]


class Peer:
    """How a server is configured, started and told of a change."""

    def __init__(self, name, domains, binary):
        self.name, self.domains, self.binary = name, domains, binary
        self.composes = name == "signpost"
        self.folder = f"{domains.folder}/{name}"
        shutil.rmtree(self.folder, ignore_errors=True)
        os.makedirs(self.folder)
        self.command = getattr(self, name)()

    def put(self, path, lines):
        with open(f"{self.folder}/{path}", "w") as file:
            file.writelines(lines)
        return f"{self.folder}/{path}"

    def each(self, form):
        return (form.format(zone=f"d{i}.test", file=self.domains.full_file(i)) for i in range(self.domains.zones))

    def signpost(self):
        at = self.domains.folder
        # Those are the cores that it will be left with when queries are asked: two workers on one core wait for each other.
        config = f'listen = ["127.0.0.1:{PORT}"]\nworkers = {(os.cpu_count() + 1) // 2}\nzones = "{at}/zones"\nkeys = "{at}/keys"\nstate = "{self.folder}/state"\n'
        # As its unit does.
        return ["nice", "-n", "-10", self.binary, "--config", self.put("signpost.toml", [config]), "serve"]

    def nsd(self):
        control = f'remote-control:\n control-enable: yes\n control-interface: "{self.folder}/control"\n'
        head = f'server:\n rrl-ratelimit: 0\n ip-address: 127.0.0.1@{PORT}\n username: ""\n zonesdir: "{self.folder}"\n pidfile: "{self.folder}/pid"\n xfrdfile: "{self.folder}/xfrd"\n zonelistfile: "{self.folder}/list"\n xfrdir: "{self.folder}"\n'
        conf = self.put("nsd.conf", [head, control, *self.each("zone:\n name: {zone}\n zonefile: {file}\n")])
        self.control = self.put("control.conf", [control])
        return ["nsd", "-d", "-c", conf]

    def knot(self):
        head = f'server:\n  rundir: "{self.folder}"\n  listen: 127.0.0.1@{PORT}\nlog:\n  - target: stderr\n    any: error\ndatabase:\n  storage: "{self.folder}"\ntemplate:\n  - id: default\n    zonefile-sync: -1\nzone:\n'
        return ["knotd", "-c", self.put("knot.conf", [head, *self.each("  - domain: {zone}\n    file: {file}\n")])]

    def bind(self):
        secret = base64.b64encode(random.randbytes(32)).decode()
        key = f'key "bench" {{ algorithm hmac-sha256; secret "{secret}"; }};\n'
        self.rndc = self.put("rndc.conf", [key, f'options {{ default-key "bench"; default-server 127.0.0.1; default-port {PORT + 1}; }};\n'])
        head = f'{key}options {{ directory "{self.folder}"; listen-on port {PORT} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; pid-file "{self.folder}/pid"; }};\ncontrols {{ inet 127.0.0.1 port {PORT + 1} allow {{ 127.0.0.1; }} keys {{ "bench"; }}; }};\n'
        return ["named", "-f", "-c", self.put("named.conf", [head, *self.each('zone "{zone}" {{ type primary; file "{file}"; }};\n')])]

    def pdns(self):
        self.put("named.conf", self.each('zone "{zone}" {{ type master; file "{file}"; }};\n'))
        self.put("pdns.conf", [f"launch=bind\nbind-config={self.folder}/named.conf\nlocal-address=127.0.0.1\nlocal-port={PORT}\nsocket-dir={self.folder}\n"])
        return ["pdns_server", f"--config-dir={self.folder}", "--daemon=no", "--guardian=no"]

    def tell(self, zones):
        """The reload command; Signpost needs none. None of them is given the configuration of all zones: reading
        it anew for each command would be most of the time that is measured."""
        call = {
            "signpost": lambda z: None,
            "nsd": lambda z: ["nsd-control", "-c", self.control, "reload", z],
            "knot": lambda z: ["knotc", "-s", f"{self.folder}/knot.sock", "zone-reload", z],
            "bind": lambda z: ["rndc", "-c", self.rndc, "reload", z],
            "pdns": lambda z: ["pdns_control", f"--config-dir={self.folder}", "bind-reload-now", z],
        }[self.name]
        for zone in zones:
            if command := call(zone):
                subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=60)


class Asker:
    """A stub resolver of one socket."""

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.connect(("127.0.0.1", PORT))
        self.number = 0

    def ask(self, name, rtype, timeout=0.5):
        """The response, or nothing in time or from nobody."""
        self.number = self.number % 65535 + 1
        labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        query = struct.pack(">6H", self.number, 0, 1, 0, 0, 1) + labels + struct.pack(">BHH", 0, RECORD_TYPE[rtype], 1)
        query += b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)
        end = time.monotonic() + timeout
        try:
            self.socket.send(query)
            while (left := end - time.monotonic()) > 0:
                self.socket.settimeout(left)
                answer = self.socket.recv(4096)
                if answer[:2] == query[:2]:
                    return answer
        except OSError:
            time.sleep(0.001)
        return None

    def serves(self, zone):
        answer = self.ask(zone, "SOA", 0.2)
        return answer is not None and answer[3] & 15 == 0 and answer[6:8] != b"\0\0"

    def has_key(self, i, public):
        answer = self.ask(f"m._domainkey.d{i}.test", "TXT")
        # Strings of up to 255 octets cut the key; its last octets are in one piece.
        return answer is not None and public[-60:].encode() in answer


def family(pid):
    out = [pid]
    for parent in out:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                out += [int(child) for child in open(f"/proc/{parent}/task/{task}/children").read().split()]
        except OSError:
            pass
    return out


def memory(pid):
    """Proportional set size of the server's processes, MB."""
    total = 0
    for member in family(pid):
        try:
            total += int(re.search(r"^Pss:\s+(\d+)", open(f"/proc/{member}/smaps_rollup").read(), re.M).group(1))
        except OSError:
            pass
    return total / 1024


def wait(what, condition, limit):
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            sys.exit(f"{what}: not within {limit} s")


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def start(peer, asker):
    domains = peer.domains
    step = max(1, domains.zones // 50)
    probes = [f"d{i}.test" for i in {*range(0, domains.zones, step), domains.zones - 1}]
    begin = time.monotonic()
    log = open(f"{peer.folder}/log", "w")
    process = subprocess.Popen(peer.command, stdout=log, stderr=log, cwd=peer.folder)
    first, waiting = None, probes
    while waiting:
        if process.poll() is not None or time.monotonic() - begin > 1200:
            process.kill()
            sys.exit(f"{peer.name} does not serve:\n" + open(f"{peer.folder}/log").read()[-800:])
        before = len(waiting)
        waiting = [zone for zone in waiting if not asker.serves(zone)]
        if first is None and len(waiting) < before:
            first = time.monotonic() - begin
        time.sleep(0.02)
    return process, first, time.monotonic() - begin


def changes(peer, asker, count, rng):
    """Milliseconds from the rename to the right answer, one domain after the other."""
    took = []
    for generation in range(1, count + 1):
        i = rng.randrange(peer.domains.keys)
        rename, public = peer.domains.change(i, generation, peer.composes)
        begin = time.monotonic()
        rename()
        peer.tell([f"d{i}.test"])
        wait(f"{peer.name}: a change of d{i}.test", lambda: asker.has_key(i, public), 60)
        took.append((time.monotonic() - begin) * 1000)
        peer.domains.reset(i)
        peer.tell([f"d{i}.test"])
        wait(f"{peer.name}: d{i}.test as it was", lambda: asker.has_key(i, peer.domains.public[0]), 60)
    return took


class Load:
    """dnsperf asking for domains that are not changed."""

    COMMAND = ["dnsperf", "-s", "127.0.0.1", "-p", str(PORT), "-c", "4", "-q", "100"]

    def __init__(self, peer, seconds, rate=None):
        self.seconds = seconds
        self.queries = f"{peer.folder}/queries"
        if not os.path.exists(self.queries):
            first = peer.domains.keys % peer.domains.zones
            with open(self.queries, "w") as file:
                file.writelines(f"d{random.randrange(first, peer.domains.zones)}.test MX\n" for _ in range(20_000))
        command = [*self.COMMAND, "-d", self.queries, "-l", str(seconds), *(["-Q", str(int(rate)), "-v"] if rate else [])]
        # Below /dev/shm: a disk would be felt.
        self.output = tempfile.TemporaryFile("w+", dir="/dev/shm")
        self.process = subprocess.Popen(command, stdout=self.output, stderr=subprocess.STDOUT)

    def text(self):
        self.process.wait(self.seconds + 60)
        self.output.seek(0)
        return self.output.read()

    def rate(self):
        """Answers a second."""
        return float(re.search(r"Queries per second:\s+([\d.]+)", self.text()).group(1))

    def p99(self):
        """Of the latencies, µs; a query that is lost took a second."""
        text = self.text()
        lost = int(re.search(r"Queries lost:\s+(\d+)", text).group(1))
        return int(1e6 * percentile([float(word) for word in re.findall(r"^> NOERROR .* ([\d.]+)$", text, re.M)] + [1.0] * lost, 0.99))


def pin(pid):
    """The server gets one half of the machine, whoever asks the other; returns what undoes the latter."""
    all_cores = sorted(os.sched_getaffinity(0))
    half = (len(all_cores) + 1) // 2
    for member in family(pid):
        for task in os.listdir(f"/proc/{member}/task"):
            os.sched_setaffinity(int(task), all_cores[:half])
    os.sched_setaffinity(0, all_cores[half:] or all_cores)
    return lambda: os.sched_setaffinity(0, all_cores)


def bulk(peer, asker, count):
    """Seconds until `count` domains changed at once are all right; and p99 of what dnsperf asks at half of the rate that
    it reaches, before and meanwhile, µs: medians of up to five rounds, as many as can be begun within 20 s."""
    half = Load(peer, 3).rate() / 2
    rows, end = [], time.monotonic() + 20
    while not rows or len(rows) < 5 and time.monotonic() < end:
        quiet = Load(peer, 2, half).p99()
        prepared = [(i, *peer.domains.change(i, 1, peer.composes)) for i in range(count)]
        busy = Load(peer, 2, half)
        time.sleep(0.3)
        begin = time.monotonic()
        for _, rename, _ in prepared:
            rename()
        peer.tell(f"d{i}.test" for i, _, _ in prepared)
        # The last one first: to ask for all of them again and again would be felt by dnsperf.
        for i, _, public in reversed(prepared):
            wait(f"{peer.name}: one of {count} changes, d{i}.test", lambda: asker.has_key(i, public) or time.sleep(0.001), 120)
        rows.append((time.monotonic() - begin, quiet, busy.p99()))
        for i, _, _ in prepared:
            peer.domains.reset(i)
        peer.tell(f"d{i}.test" for i, _, _ in prepared)
        for i, _, _ in prepared:
            wait(f"{peer.name}: d{i}.test as it was", lambda: asker.has_key(i, peer.domains.public[0]) or time.sleep(0.001), 120)
    return [statistics.median(column) for column in zip(*rows)]


def main():
    ap = argparse.ArgumentParser(formatter_class=argparse.RawDescriptionHelpFormatter, description=__doc__)
    ap.add_argument("--zones", type=int, default=100_000)
    ap.add_argument("--keys", type=int, default=10_000)
    ap.add_argument("--only", default="signpost,nsd,knot,bind,pdns")
    ap.add_argument("--changes", type=int, default=200)
    ap.add_argument("--bulk", type=int, default=1000)
    ap.add_argument("--bin", default="target/release/signpost")
    ap.add_argument("--folder")
    a = ap.parse_args()
    folder = os.path.abspath(a.folder) if a.folder else tempfile.mkdtemp(prefix="domains.")
    domains = Domains(folder, a.zones, a.keys)
    print(f"{a.zones} zones, {a.keys} with a key in the key directory\n")
    print("| server | first answer, s | last answer, s | memory, MB | a change, ms: p50 | p99 | "
          f"{a.bulk} at once, s | p99 of dnsperf at half load, µs | meanwhile, µs |\n|---|---|---|---|---|---|---|---|---|", flush=True)
    for name in a.only.split(","):
        for i in range(domains.keys):
            domains.reset(i)
        peer, asker = Peer(name, domains, os.path.abspath(a.bin)), Asker()
        process, first, last = start(peer, asker)
        try:
            time.sleep(3)
            used = memory(process.pid)
            took = changes(peer, asker, a.changes, random.Random(7)) if a.keys and a.changes else [0]
            unpin = pin(process.pid)
            all_right, quiet, busy = bulk(peer, asker, min(a.bulk, a.keys)) if a.keys and a.bulk else (0, 0, 0)
            unpin()
            print(f"| {name} | {first:.2f} | {last:.2f} | {used:.0f} | {statistics.median(took):.1f} | {percentile(took, .99):.1f} | "
                  f"{all_right:.2f} | {quiet:.0f} | {busy:.0f} |", flush=True)
        finally:
            for pid in family(process.pid):
                try:
                    os.kill(pid, signal.SIGTERM)
                except OSError:
                    pass
            try:
                process.wait(120)
            except subprocess.TimeoutExpired:
                process.kill()
    if not a.folder:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
