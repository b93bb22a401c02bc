#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes the explorer once for each fault of faults.txt, with that fault sown in, and runs it: it must find the fault.

The programs aren't optimised, since each runs for a moment and compiling takes most of the time.

    run-faults.py [--only NAME...] --with COMPILER ROOT ENGINE SOURCE...
"""
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

sys.dont_write_bytecode = True
from amalgamate import Mismatch, make, read_faults  # noqa: E402

FLAGS = ('-D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 -DKM_VERSION="" -std=gnu11 -fvisibility=hidden -fno-common '
         '-O0 -g0 -w -ffunction-sections -Wl,--gc-sections').split()


def run(fault, folder):
    """(whether the explorer found the fault, what it printed)"""
    name, _, hunks, by = fault
    program = os.path.join(folder, name)
    try:
        with open(program + '.c', 'w') as file:
            file.write(make(root, hunks, sources) + '\n')
    except Mismatch as problem:
        return False, f'{problem}; mend tests/explore/faults.txt'
    include = [f'-I{root}/{path}' for path in ('tests/explore', '', 'libclient')]
    said = ''
    for command in ([compiler, *include, *FLAGS, program + '.c', engine, '-o', program],
                    [program, 'caught', *by.split()]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        said += done.stdout.strip()
        if done.returncode != 0:
            break
    for path in (program, program + '.c'):
        if os.path.exists(path):
            os.remove(path)
    return done.returncode == 0, said


def main():
    faults = [fault for fault in read_faults(f'{root}/tests/explore/faults.txt') if not only or fault[0] in only]
    missed = runs = by_random = 0
    with tempfile.TemporaryDirectory(prefix='kickmsg-faults-') as folder, ThreadPoolExecutor(2) as pool:
        for fault, (found, text) in zip(faults, pool.map(lambda fault: run(fault, folder), faults)):
            missed += not found
            runs += int((re.search(r'(\d+) runs', text) or [0, 0])[1])
            by_random += 'by random runs: after' in text
            text = text.replace('\n', '\n' + 25 * ' ')
            print(f"{fault[0]:24} {fault[1]}\n{'':24} {text}", flush=True)
    print(f'{len(faults)} faults, {len(faults) - missed} caught, {missed} missed, {runs} schedules; '
          f'{by_random} by random runs too')
    return missed > 0 or by_random * 10 < len(faults) * 9 or len(faults) < (len(only) or 100)


at = sys.argv.index('--with')
only = sys.argv[2:at]
compiler, root, engine, *sources = sys.argv[at + 1:]
if __name__ == '__main__':
    sys.exit(main())
