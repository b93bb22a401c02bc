#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs a few messages of every load and looks at the table and the JSON. No figure is judged.

    smoke.py KICKMSG-BENCH
"""
import json
import math
import os
import subprocess
import sys
import tempfile

FIELDS = {"load", "system", "unit", "median", "min", "max", "ratio_to_floor"}


def run(*arguments):
    return subprocess.run(arguments, stdout=subprocess.PIPE, text=True, timeout=100)


def number(value):
    return isinstance(value, (int, float)) and math.isfinite(value) and value >= 0


def check_row(row, table):
    assert FIELDS <= row.keys(), f"{row} lacks {FIELDS - row.keys()}"
    assert all(number(row[name]) for name in ("median", "min", "max")), row
    assert 0 < row["median"] and row["min"] <= row["median"] <= row["max"], row
    assert row["ratio_to_floor"] is None or number(row["ratio_to_floor"]), row
    assert any(line[:2] == [row["load"], row["system"]] for line in table), f"{row} isn't in the table"


def main():
    bench = sys.argv[1]
    listed = run(bench, "--list")
    assert listed.returncode == 0
    loads = [line.split()[0] for line in listed.stdout.splitlines()]
    assert len(loads) > 20 and len(set(loads)) == len(loads), loads

    with tempfile.TemporaryDirectory(prefix="kickmsg-smoke-") as directory:
        # the bench's own directory is made in here, so what it leaves shows
        os.environ["TMPDIR"] = directory if len(directory) < 32 else "/tmp"
        path = os.path.join(directory, "rows.json")
        done = run(bench, "--smoke", "--json", path)
        print(done.stdout)
        assert done.returncode == 0, f"exit status {done.returncode}"
        with open(path, encoding="utf-8") as file:
            report = json.load(file)
        # what it must refuse
        assert run(bench, "--only", "nonsense").returncode == 1
        assert run(bench, "--nonsense").returncode == 2
        assert run(bench, "--smoke", "--only", "fanout-0", "--json", "/nonexistent/x").returncode == 1
        left = [name for name in os.listdir(directory) if name != "rows.json"]
        assert not left, f"left behind: {left}"

    table = [line.split() for line in done.stdout.splitlines()]
    assert isinstance(report["machine"], str) and report["machine"]
    assert report["verified"] > 1000, report["verified"]
    for row in report["rows"]:
        check_row(row, table)
    for load in loads:
        rows = [row for row in report["rows"] if row["load"].startswith(load)]
        assert rows, f"{load} has no row"
        if load not in ("attach", "broker-memory"):
            assert {"floor", "kickmsg-rings"} <= {row["system"] for row in rows}, rows

    print(f"{len(report['rows'])} rows, {report['verified']} payloads verified")


main()
