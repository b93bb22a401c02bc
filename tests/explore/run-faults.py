#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each program with a fault must find it:  run-faults.py FAULTS BUILD_DIR [NAME...]"""
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
from amalgamate import read_faults  # noqa: E402


def run(fault):
    program = os.path.join(sys.argv[2], 'explore-fault-' + fault['name'])
    done = subprocess.run([program, 'caught', *fault['by'].split()], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)
    return fault, done.returncode, done.stdout.strip()


def main():
    faults = [{'name': name, 'about': about, 'by': by} for name, about, _, by in read_faults(sys.argv[1])
              if not sys.argv[3:] or name in sys.argv[3:]]
    missed = runs = by_random = 0
    with ThreadPoolExecutor(2) as pool:
        for fault, code, text in pool.map(run, faults):
            missed += code != 0
            runs += int((re.search(r'(\d+) runs', text) or [0, 0])[1])
            by_random += 'by random runs: after' in text
            text = text.replace('\n', '\n' + 25 * ' ')
            print(f"{fault['name']:24} {fault['about']}\n{'':24} {text}", flush=True)
    print(f'{len(faults)} faults, {len(faults) - missed} caught, {missed} missed, {runs} schedules; '
          f'{by_random} by random runs too')
    sys.exit(missed > 0 or by_random * 10 < len(faults) * 9)


main()
