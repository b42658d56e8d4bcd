#!/usr/bin/env python3
"""How far a dry run's price is from what is then billed.

    bench/dryrun_bench.py --server build/release/millrace [--documents 2000] [--json PATH]

Real documents from Debian packages (those of documents_bench.py) are first sent to `millrace serve` as dry
runs, which must make no call to the provider, then ingested. The provider is `millrace simulate`, which
counts the tokens that it would bill. The sum of the estimates is to be within 5 % of that. Then each document
is estimated again: all of its passages must be cached.
"""

import concurrent.futures
import json
import sys
import time
import urllib.parse

from documents_bench import Server, check, ingest, main, wait_ended

CLIENTS = 4
PRICE = 0.02  # for a million tokens
ERROR_MAX = 0.05


def estimate(server: Server, document: str, content: bytes, kind: str) -> dict:
    path = "/v1/documents?dryRun=true&id=" + urllib.parse.quote(document, safe="")
    while True:
        status, body = server.request("POST", path, content, {"Content-Type": kind})
        if status == 200:
            return json.loads(body)
        if status not in (429, 503):
            sys.exit(f"dry run of {document}: {status} {body[:200]!r}")
        time.sleep(0.2)


def estimate_all(server: Server, documents: dict[str, tuple[bytes, str]]) -> dict[str, dict]:
    with concurrent.futures.ThreadPoolExecutor(CLIENTS) as pool:
        found = pool.map(lambda item: (item[0], estimate(server, item[0], *item[1])), documents.items())
        return dict(found)


def measure(server: Server, simulator: Server, documents: dict, problems: list[str]) -> dict:
    estimates = estimate_all(server, documents)
    estimated = sum(one["promptTokens"] for one in estimates.values())
    cost = sum(one["cost"] for one in estimates.values())
    failing = {document for document, one in estimates.items() if one["failing"]}
    print(f"  estimated: {estimated:,} tokens, cost {cost:.4f}, {len(failing)} would fail", flush=True)
    check(simulator.json("/simulator/report")["calls"] == 0, "dry runs called nobody", problems)
    queues = server.json("/v1/queues")["queues"]
    check(sum(queue["totals"]["enqueued"] for queue in queues) == 0, "dry runs queued nothing", problems)

    ended = wait_ended(server, ingest(server, documents))
    report = simulator.json("/simulator/report")
    billed = report["billedTokens"]["prompt"]
    failed = {document for document, view in ended.items() if view["status"] == "failed"}
    chunks = sum(view["chunks"] for view in ended.values())
    print(f"  billed: {billed:,} tokens for {chunks:,} passages, {len(failed)} documents failed")
    print(f"  inputs: {report['inputs']}, tokens of different ones {report['neededTokens']:,}")
    check(failed == failing, "those fail that the dry run said would", problems)
    ratio = estimated / billed
    check(abs(ratio - 1) <= ERROR_MAX, f"estimate / billed = {ratio:.4f}", problems)

    again = estimate_all(server, {name: one for name, one in documents.items() if name not in failed})
    cached = sum(one["cachedChunks"] for one in again.values())
    tokens = sum(one["promptTokens"] for one in again.values())
    check(tokens == 0 and cached == chunks,
          f"again: {cached:,} of {chunks:,} passages cached, {tokens} tokens", problems)
    return {"estimated": estimated, "billed": billed, "ratio": ratio, "failing": len(failing),
            "passages": chunks}


if __name__ == "__main__":
    sys.exit(main(__doc__, measure, f"price_prompt = {PRICE}\n"))
