#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Guards the number of instructions of the hot path's calls. Skipped (77) where there is no valgrind, or none
that can run this build.

    instructions.py KICKMSG-BENCH
"""
import json
import os
import shutil
import subprocess
import sys
import tempfile

# A little above what gcc 12 makes of them on x86-64. A change that needs more has a reason to say.
AT_MOST = {"send": 110, "loan": 45, "publish": 85, "receive": 60, "release": 25, "receive-copy": 105,
           "send-shared": 95, "receive-copy-shared": 70, "send-many": 145, "receive-many": 80, "release-many": 30,
           "send-many-shared": 85, "receive-many-shared": 90,
           "send-reliable": 130, "publish-reliable": 100, "receive-reliable": 90, "receive-copy-reliable": 130,
           "send-reliable-shared": 105, "send-wait-reliable-shared": 108, "receive-copy-reliable-shared": 102,
           "call": 190, "take-request": 305, "reply": 210, "take-reply": 195, "release-reply": 30,
           "call-loan": 95, "call-publish": 200, "take-request-in-place": 315, "reply-loan": 110,
           "reply-publish": 225, "take-reply-in-place": 205, "release-reply-in-place": 35}


def why_not(bench):
    """Why nothing was counted, found out without the bench; None: there is no reason."""
    if not shutil.which("valgrind"):
        return "no valgrind"
    done = subprocess.run(["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=/dev/null", bench, "--version"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60)
    return f"valgrind can't run this build:\n{done.stderr}" if done.returncode else None


def without_debug_information(bench, directory):
    """A copy for valgrind, which counts by symbols. Valgrind 3.19 stops at split debug information (-gsplit-dwarf)."""
    copy = os.path.join(directory, "kickmsg-bench")
    subprocess.run(["objcopy", "--strip-debug", bench, copy], check=True)
    return copy


def main():
    with tempfile.TemporaryDirectory(prefix="kickmsg-count-") as directory:
        path = os.path.join(directory, "rows.json")
        bench = without_debug_information(sys.argv[1], directory)
        subprocess.run([bench, "--smoke", "--rows", "instructions", "--json", path],
                       check=True, timeout=280)
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
        counts = {row["system"]: row["median"] for row in rows}
        assert counts.keys() == AT_MOST.keys(), counts
        if all(count is None for count in counts.values()):
            reason = why_not(bench)
            print(f"not counted: {reason}" if reason else "valgrind can run this build, yet the bench counted nothing")
            return 77 if reason else 1
    over = [f"{name}: {counts[name]} instructions, at most {most}"
            for name, most in AT_MOST.items() if counts[name] is None or not 5 < counts[name] <= most]
    print("\n".join(over))
    return 1 if over else 0


sys.exit(main())
