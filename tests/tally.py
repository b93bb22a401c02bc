#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adds up what `meson test` wrote in several build directories (testlog.json, one test a line).

Before that it shows what the crash tests have counted (kills, points, messages, times): the lines of their
output that aren't about one walk alone. A case that was left out within a test says so itself ("skip: ..."), and
an argument skipped=TEXT names what wasn't run at all. The last line is "N passed, N failed" and, if there were any,
", N skipped". Exits 1 when something failed; a log that is missing or empty is a failure too."""

import json
import os
import re
import sys

PASSED = {"OK", "EXPECTEDFAIL"}
SKIPPED = {"SKIP"}


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as log:
            return [json.loads(line) for line in log if line.strip()]
    except (OSError, ValueError) as error:
        print(f"{path}: {error}")
        return []


def counts(test):
    """What a crash test counted, without its walks one by one and without Check's words."""
    details = re.compile(r" points$|^Running suite|^\d+%: |^seed | s: \d+ kills$")
    if " / crash-" not in test["name"]:
        return []
    return [line for line in test.get("stdout", "").splitlines() if not details.search(line)]


def main():
    passed, skipped, failed, left_out = 0, [], [], []
    for path in sys.argv[1:]:
        if path.startswith("skipped="):
            skipped.append(path.removeprefix("skipped="))
            continue
        tests = read(path)
        if not tests:
            failed.append(f"{path}: no results")
        for test in tests:
            build = os.path.basename(os.path.dirname(os.path.dirname(path)))
            for line in counts(test):
                print(f"{build}: {test['name']}: {line}")
            left_out += [f"{build}: {line}" for line in test.get("stdout", "").splitlines()
                         if line.startswith("skip: ")]
            name = f"{build}: {test['name']} ({test['result'].lower()}, {test['duration']:.1f} s)"
            if test["result"] in PASSED:
                passed += 1
            elif test["result"] in SKIPPED:
                why = re.search(r"^skipped: (.*)", test.get("stdout", ""), re.MULTILINE)
                skipped.append(name + (f": {why[1]}" if why else ""))
            else:
                failed.append(name)
    print()
    for line in left_out:
        print(line)
    for name in skipped:
        print(f"skipped  {name}")
    for name in failed:
        print(f"FAILED   {name}")
    print(f"{passed} passed, {len(failed)} failed" + (f", {len(skipped)} skipped" if skipped else ""))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
