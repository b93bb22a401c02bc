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

# Half as many again as gcc 12 makes of them on x86-64; who needs more has a reason to say.
AT_MOST = {"send": 270, "loan": 90, "publish": 220, "receive": 165, "release": 60, "receive-copy": 225,
           "send-shared": 245, "receive-copy-shared": 185}


def why_not(bench):
    """Why nothing was counted, found out without the bench; None: there is no reason."""
    if not shutil.which("valgrind"):
        return "no valgrind"
    done = subprocess.run(["valgrind", "-q", "--tool=callgrind", "--callgrind-out-file=/dev/null", bench, "--version"],
                          stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, timeout=60)
    return f"valgrind can't run this build:\n{done.stderr}" if done.returncode else None


def main():
    with tempfile.TemporaryDirectory(prefix="kickmsg-count-") as directory:
        path = os.path.join(directory, "rows.json")
        subprocess.run([sys.argv[1], "--smoke", "--rows", "instructions", "--json", path],
                       check=True, timeout=110)
        with open(path, encoding="utf-8") as file:
            rows = json.load(file)["rows"]
    counts = {row["system"]: row["median"] for row in rows}
    assert counts.keys() == AT_MOST.keys(), counts
    if all(count is None for count in counts.values()):
        reason = why_not(sys.argv[1])
        print(f"not counted: {reason}" if reason else "valgrind can run this build, yet the bench counted nothing")
        return 77 if reason else 1
    over = [f"{name}: {counts[name]} instructions, at most {most}"
            for name, most in AT_MOST.items() if counts[name] is None or not 5 < counts[name] <= most]
    print("\n".join(over))
    return 1 if over else 0


sys.exit(main())
