"""Judges each message that comes into a maildir, at once, as a receiver does that owes nothing to OpenDKIM.

judge.py MAILDIR KEPT: each file of MAILDIR/new is judged by the DNS of this moment, told as one line of JSON, and
moved to KEPT/NUMBER, by the number in its X-Number. SPF (RFC 7208) is pyspf's opinion, DKIM (RFC 6376) dkimpy's of each
signature, and OpenDKIM's stands in the Authentication-Results (RFC 8601) at the top; DMARC (RFC 9989) is found from
them, the alignment relaxed. Needs (Debian): python3-dkim python3-spf python3-nacl.
"""
import email, json, os, re, sys, time

import dkim, spf
from dkim.dnsplug import get_txt
from dkim.util import parse_tag_value


def signature(message, index, text):
    """One signature: its selector and domain, and why it does not verify, or nothing."""
    tags = {name.strip().decode(): value.strip().decode() for name, value in parse_tag_value(text.encode()).items()}
    try:
        why = "" if dkim.DKIM(message).verify(idx=index) else "does not verify"
    except dkim.DKIMException as error:
        why = re.sub(r"b'.*", "", str(error)).strip() or type(error).__name__
    except Exception as error:
        why = f"no answer: {type(error).__name__}"
    return {"selector": tags["s"], "domain": tags["d"], "algorithm": tags["a"], "failure": why}


def aligned(domain, author):
    return domain == author or domain.endswith("." + author) or author.endswith("." + domain)


def judge(message):
    headers = email.message_from_bytes(message)
    helo, client = re.match(r"from (\S+) \(\S+ \[([\d.]+)\]\)", headers["Received"]).groups()
    envelope = headers["Return-Path"].strip("<>")
    author = headers["From"].rsplit("@", 1)[1].strip(" >")
    spf_result, spf_why = spf.check2(i=client, s=envelope, h=helo)
    signatures = [signature(message, *each) for each in enumerate(headers.get_all("DKIM-Signature", []))]
    results = (headers.get("Authentication-Results") or "").replace("\n", " ")
    opendkim = re.findall(r"dkim=(\w+)(?: reason=\"([^\"]*)\")?", results)
    policy = get_txt(f"_dmarc.{author}.".encode()) or b""
    passes = spf_result == "pass" and aligned(envelope.rsplit("@", 1)[1], author)
    passes = passes or any(not each["failure"] and aligned(each["domain"], author) for each in signatures)
    return {
        "number": int(headers["X-Number"]),
        "kind": headers["X-Kind"],
        "client": client,
        "spf": spf_result if spf_result == "pass" else f"{spf_result}: {spf_why}",
        "signatures": signatures,
        "opendkim": [f"{result}: {why}" if why else result for result, why in opendkim],
        "dmarc": "pass" if policy.startswith(b"v=DMARC1") and passes else "fail",
    }


def main(maildir, kept):
    new = os.path.join(maildir, "new")
    while True:
        names = sorted(os.listdir(new)) if os.path.isdir(new) else []
        for name in names:
            with open(os.path.join(new, name), "rb") as file:
                verdict = judge(file.read())
            os.rename(os.path.join(new, name), os.path.join(kept, str(verdict["number"])))
            print(json.dumps(verdict), flush=True)
        if not names:
            time.sleep(0.02)


main(*sys.argv[1:])
