#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a few messages of every load and looks at the table and the JSON. No figure is judged.

    smoke.py KICKMSG-BENCH
"""
import json
import math
import os
import re
import subprocess
import sys
import tempfile

# the most subscribers of a topic with private rings, as the rows have it in their names
LAYOUT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../common/memory/layout.h")
MOST = int(re.search(r"#define KM_MAX_RINGS\s+(\d+)", open(LAYOUT).read())[1])
FIELDS = {"load", "system", "unit", "median", "min", "max", "ratio_to_floor", "sent", "received", "lost"}
# the loads that papers and users name: each has a row of a floor, and rows of kickmsg
LOADS = ["latency-8", "latency-64", "latency-1k", "latency-4k", "latency-8k", "latency-16k", "latency-64k",
         "latency-1m", "blocking-64",
         "throughput-8", "throughput-64", "throughput-1k", "throughput-64k",
         "fanout-1", "fanout-4", "fanout-15", f"fanout-{MOST}", "flood-4to1",
         "topic-memory-default", "topic-memory-64", "topic-memory-1m"]
# the loads whose lost messages are counted
FLOODS = re.compile(r"(flood-(1to1|4to1|1to8|4to8)|many-64-flood|calls-8to1-flood|capacity-\d+|processes-\w+-\d+)$")
SETS = {"latency", "blocking", "waiting", "throughput", "fanout", "places", "flood", "memcpy", "capacity",
        "processes"}
# goals that the table judges besides those of ratio_to_floor
JUDGED = {("latency-8", "kickmsg-shared"): "tail <=1.5", ("latency-1m", "kickmsg-rings"): "tail <=1.5",
          ("blocking-64", "kickmsg-rings"): "tail <=1.5",
          (f"fanout-{MOST}", "kickmsg-shared"): "x fanout-1 <=1.2", (f"fanout-{MOST}", "kickmsg-rings"): "ns/ring <=25",
          (f"fanout-{MOST}-blocked", "kickmsg-shared"): "<=2", (f"fanout-{MOST}-polling", "kickmsg-shared-rw"): "<=2",
          (f"fanout-{MOST}-polling", "kickmsg-shared"): "<=2",
          ("call-64", "kickmsg-call"): "<=1.15", ("call-blocking-64", "kickmsg-call"): "<=1.1",
          ("calls-8to1", "kickmsg-call-rings"): ">=0.35", ("history-attach", "kickmsg-rings"): "<=1.2",
          ("reliable-64", "kickmsg-shared-reliable"): ">=0.9", ("reliable-64", "kickmsg-rings-reliable"): ">=0.9",
          ("reliable-frozen", "kickmsg-shared"): "<=1000", ("reliable-frozen", "kickmsg-rings"): "<=1000",
          ("waiting-64", "kickmsg-epoll-thread"): "<=2.2", ("waiting-64", "kickmsg-waitset-32"): "<=1.2",
          ("places-16", "kickmsg-rings"): "x places-1 <=1.1", (f"places-{MOST}", "kickmsg-rings"): "x places-1 <=1.1"}
SYSTEMS = {"floor", "kickmsg-rings", "kickmsg-shared"}
FREE = ["floor", "half-free", "8-free", "2-free", "1-free"]
# the rows of loads that compare kickmsg with itself, or have several floors
RECOVERY = ["floor", "kickmsg-rings", "kickmsg-shared"]
STALL = ["floor", "kickmsg-rings", "floor-shared", "kickmsg-shared"]
ATTACH = ["new-topic", "to-receiver", "new-topic-shared", "to-receiver-shared", "new-topic-small",
          "to-receiver-small", "first-topic", "first-topic-shared"]
OTHERS = {"recovery-publisher": RECOVERY, "recovery-1024": RECOVERY, "recovery-65536": RECOVERY,
          "recovery-subscriber": ["floor", "kickmsg-rings"], "stall-publish": STALL, "stall-gap": STALL,
          "attach": ATTACH, "attach-connected": ATTACH,
          "history-attach": ["floor", "kickmsg-rings"], "history-take": ["floor", "kickmsg-rings"],
          "waiting-64": ["floor", "floor-eventfd", "kickmsg-rings", "kickmsg-epoll-thread", "kickmsg-waitset-32"],
          "call-64": ["floor", "kickmsg-rings", "kickmsg-call", "kickmsg-call-rings", "kickmsg-call-timed"],
          "call-blocking-64": ["floor", "kickmsg-shared", "kickmsg-call", "kickmsg-call-rings", "kickmsg-call-timed"],
          "calls-8to1-flood": ["floor", "kickmsg-rings"],
          "calls-8to1": ["kickmsg-call", "kickmsg-call-rings", "kickmsg-call-timed"],
          "call-reset": ["kickmsg-call", "kickmsg-call-rings"],
          "reliable-64": ["floor", "kickmsg-shared-reliable", "kickmsg-rings", "kickmsg-rings-reliable"],
          "reliable-frozen": ["kickmsg-shared", "kickmsg-rings"],
          "wait-cpu": ["receive", "epoll-thread", "waitset"],
          "pool-hot": FREE, "pool-walk": FREE}


def run(*arguments):
    return subprocess.run(arguments, stdout=subprocess.PIPE, text=True, timeout=800)


def number(value):
    return isinstance(value, (int, float)) and math.isfinite(value) and value > 0


def check_row(row, table, instructions):
    assert row.keys() == FIELDS, f"{row}: {row.keys() ^ FIELDS}"
    assert any(line[:2] == [row["load"], row["system"]] for line in table), f"{row} isn't in the table"
    if row["median"] is None and (row["system"] not in SYSTEMS and row["load"] != "instructions"
                                  or row["load"] == "instructions" and not instructions):
        return  # a peer that can't; no valgrind
    assert all(number(row[name]) for name in ("median", "max")), row
    assert 0 <= row["min"] <= row["median"] <= row["max"], row
    assert row["ratio_to_floor"] is None or number(row["ratio_to_floor"]), row
    for name in ("sent", "received", "lost"):
        assert (row[name] is not None) == bool(FLOODS.match(row["load"])), f"{row}: {name}"


def check_floods(rows):
    """`lost` is what subscribers say that they missed, of ours; the other two are counted beside."""
    for row in rows:
        if not FLOODS.match(row["load"]) or row["median"] is None:
            continue
        assert row["received"] > 0 and 0 <= row["lost"] < 1, row
        if row["system"] in SYSTEMS:
            assert row["sent"] >= row["received"], row
            assert math.isclose(row["lost"], 1 - row["received"] / row["sent"], rel_tol=1e-5, abs_tol=1e-9), row
    # 4 publishers that don't wait send 64 times as many messages as rings keep, or the checks above show nothing
    assert any(row["lost"] for row in rows if row["load"] == "flood-4to8"), "no flood lost anything"


def check_lines(text, rows):
    """Each row of a set says how the line was around its turns."""
    for row in rows:
        if row["load"].split("-")[0] in SETS and row["median"] is not None:
            lines = [line for line in text.splitlines() if line.split()[:2] == [row["load"], row["system"]]]
            assert len(lines) == 1 and re.search(r"line [1-9]\d*/[1-9]\d* ns", lines[0]), f"line: {lines}"


def check_goals(text):
    for (load, system), goal in JUDGED.items():
        lines = [line for line in text.splitlines() if line.split()[:2] == [load, system]]
        assert len(lines) == 1 and re.search(re.escape(goal) + " (met|MISSED|few)\\b", lines[0]), f"{goal}: {lines}"
    # the table says which transport is faster
    for load in ("latency-4k", "latency-16k"):
        lines = [line for line in text.splitlines() if line.split()[:2] == [load, "kickmsg-shared"]]
        assert len(lines) == 1 and re.search(r"[0-9.]+ x kickmsg-rings\b", lines[0]), lines
    lost = [line for line in text.splitlines() if line.split()[:1] == ["flood-4to8"]]
    assert lost and all(re.search(r" lost [0-9.e+-]+ %", line) for line in lost), lost


def check_rows(report, table, loads):
    rows = {(row["load"], row["system"]): row for row in report["rows"]}
    assert len(rows) == len(report["rows"]), "a row is there twice"
    instructions = any(row["median"] for row in report["rows"] if row["load"] == "instructions")
    for row in report["rows"]:
        check_row(row, table, instructions)
    for load in LOADS:
        for system in SYSTEMS:
            assert (load, system) in rows, f"{load} has no row {system}"
            assert number(rows[load, system]["ratio_to_floor"]), rows[load, system]
        assert rows[load, "floor"]["ratio_to_floor"] == 1, rows[load, "floor"]
    for load, systems in OTHERS.items():
        for system in systems:
            assert (load, system) in rows, f"{load} has no row {system}"
            assert (load.startswith("attach") or load in ("call-reset", "reliable-frozen") or
                    number(rows[load, system]["ratio_to_floor"])), rows[load, system]
    for load in loads:
        assert any(name.startswith(load) for name, _ in rows), f"{load} has no row"


def main():
    bench = sys.argv[1]
    listed = run(bench, "--list")
    assert listed.returncode == 0
    loads = listed.stdout.split()
    assert len(loads) > 20 and len(set(loads)) == len(loads), loads

    with tempfile.TemporaryDirectory(prefix="kickmsg-smoke-") as directory:
        # the bench makes its own directory in this one, so files that it leaves show
        os.environ["TMPDIR"] = directory if len(directory) < 32 else "/tmp"
        path = os.path.join(directory, "rows.json")
        done = run(bench, "--smoke", "--json", path)
        print(done.stdout)
        assert done.returncode == 0, f"exit status {done.returncode}"
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        # the bench refuses these
        assert run(bench, "--rows", "nonsense").returncode == 1
        assert run(bench, "--nonsense").returncode == 2
        assert run(bench, "--smoke", "--rows", "latency-8", "--json", "/nonexistent/x").returncode == 1
        left = [name for name in os.listdir(directory) if name != "rows.json"]
        assert not left, f"left behind: {left}"

    assert report.keys() == {"machine", "rows"}, report.keys()
    assert isinstance(report["machine"], str) and report["machine"]
    check_rows(report, [line.split() for line in done.stdout.splitlines()], loads)
    check_floods(report["rows"])
    check_lines(done.stdout, report["rows"])
    check_goals(done.stdout)
    verified = [int(line.split()[0]) for line in done.stdout.splitlines() if "payloads verified" in line]
    assert verified and verified[0] > 1000, verified
    print(f"{len(report['rows'])} rows")


main()
