#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A turn by kickmsg.hpp or kickmsg-service.hpp takes at most 1.02 times the instructions of the same turn by the C headers, as callgrind counts.

    cost.py COST_PROGRAM LIBRARY KICKMSGD
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

PAIRS = ("send_copy", "send_view", "loan_view", "many", "loan_many", "call")
AT_MOST = 1.02


def without_debug_information(path, copy):
    """Valgrind 3.19 stops at split debug information (-gsplit-dwarf), the library's too."""
    subprocess.run(["objcopy", "--strip-debug", path, copy], check=True)
    return copy


def soname(library):
    said = subprocess.run(["readelf", "-d", library], stdout=subprocess.PIPE, text=True, check=True).stdout
    return re.search(r"SONAME.*\[(.*)\]", said).group(1)


def with_broker(directory, kickmsgd, command):
    socket = os.path.join(directory, "s")
    broker = subprocess.Popen([kickmsgd, "--socket", socket], stderr=subprocess.DEVNULL)
    try:
        ends = time.monotonic() + 10
        while not os.path.exists(socket):
            assert time.monotonic() < ends and broker.poll() is None, "the broker doesn't come up"
            time.sleep(0.01)
        return subprocess.run(command, env=dict(os.environ, KICKMSG_SOCKET=socket, LD_LIBRARY_PATH=directory),
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=100)
    finally:
        broker.terminate()
        broker.wait(20)


def main():
    program, library, kickmsgd = sys.argv[1:]
    if not shutil.which("valgrind"):
        print("skipped: no valgrind")
        return 77
    with tempfile.TemporaryDirectory(prefix="kickmsg-cost-") as directory:
        out = os.path.join(directory, "out")
        copy = without_debug_information(program, os.path.join(directory, "cost"))
        without_debug_information(library, os.path.join(directory, soname(library)))
        done = with_broker(directory, kickmsgd, ["valgrind", "-q", "--tool=callgrind", f"--callgrind-out-file={out}",
                                                 "--toggle-collect=c_*", "--toggle-collect=cxx_*", copy])
        if done.returncode:
            print(done.stdout)
            return 1
        said = subprocess.run(["callgrind_annotate", "--inclusive=yes", "--threshold=100", out],
                              stdout=subprocess.PIPE, text=True, check=True).stdout
    costs = {name: int(cost.replace(",", ""))
             for cost, name in re.findall(r"^\s*([\d,]+) .*?:((?:c|cxx)_\w+)", said, re.M)}
    bad = 0
    for pair in PAIRS:
        ratio = costs[f"cxx_{pair}"] / costs[f"c_{pair}"]
        bad += not 0.5 < ratio <= AT_MOST
        print(f"{pair}: {costs[f'c_{pair}'] / 2000:.1f} and {costs[f'cxx_{pair}'] / 2000:.1f} instructions, {ratio:.4f}")
    return bad != 0


sys.exit(main())
