#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Builds the bench with -Dpeers=enabled in a folder of its own and lets the peers exchange a few messages. Skipped
(77), after all that can be done, where the library of a peer isn't installed.

    peers.py SOURCE_ROOT
"""
import json
import os
import re
import subprocess
import sys
import tempfile

# the build's names and those of their rows
NEED_LIBRARY = {"zeromq": "zeromq", "nng": "nng", "fastdds": "fastdds", "cyclone": "cyclonedds", "lcm": "lcm",
                "dbus": "dbus", "sdbus": "dbus-call",
                "aeron": "aeron", "iceoryx": "iceoryx"}
NEED_NOTHING = {"seqpacket", "posix-mq"}
# the others need a daemon or a network's multicast as well: they may be n/a, with the reason in the note
MUST_WORK = NEED_NOTHING | {"zeromq", "nng", "zeromq-call", "nng-call"}


def run(*arguments):
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        print(done.stdout)
        raise SystemExit(f"{arguments[0]} ended with status {done.returncode}")
    return done.stdout


def main():
    with tempfile.TemporaryDirectory(prefix="kickmsg-peers-") as directory:
        build = os.path.join(directory, "build")
        # the bench itself is always optimised; the rest needn't be for this
        said = run("meson", "setup", build, sys.argv[1], "-Dpeers=enabled", "-Dman=disabled", "-Dlibsystemd=disabled",
                   "-Doptimization=0", "-Dwerror=true")
        missing = set(re.findall(r"no library for the peer (\w+)", said))
        assert missing <= NEED_LIBRARY.keys(), missing
        run("ninja", "-C", build, "tests/bench/kickmsg-bench", "daemon/kickmsgd")
        path = os.path.join(directory, "rows.json")
        table = run(os.path.join(build, "tests/bench/kickmsg-bench"), "--smoke", "--rows", "throughput-8,call-64,calls-8to1", "--json",
                    path)
        with open(path, encoding="utf-8") as file:
            rows = {row["system"]: row for row in json.load(file)["rows"] if row["load"] != "calls-8to1"}
            file.seek(0)
            calls = {row["system"]: row for row in json.load(file)["rows"] if row["load"] == "calls-8to1"}
    print(table)
    built = NEED_NOTHING | {row for name, row in NEED_LIBRARY.items() if name not in missing}
    built |= {name + "-call" for name in ("zeromq", "nng") if name in built}
    assert built <= rows.keys(), f"no row of {built - rows.keys()}"
    broken = [name for name in built & MUST_WORK if not (rows[name]["median"] or 0) > 0]
    assert not broken, f"no figure of {broken}"
    many = {name + "-call" for name in ("zeromq", "nng") if name in built}
    broken = [name for name in many if not (calls[name]["median"] or 0) > 0]
    assert not broken, f"no calls in flight of {broken}"
    if missing:
        print(f"the rest works; not installed: the libraries of {', '.join(sorted(missing))}")
        return 77
    return 0


sys.exit(main())
