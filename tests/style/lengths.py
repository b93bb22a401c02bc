#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files and functions are short enough to be read.

A file above 400 lines says in the comment at its head why it is so long: "The file is long because ...". A function of the product has at most 60 lines between its braces.

usage: lengths.py SOURCE_ROOT
"""
import os
import re
import sys

PRODUCT = ['common', 'libclient', 'daemon', 'ctl', 'examples']
PARTS = PRODUCT + ['tests']
FILE, FUNCTION = 400, 60
REASON = re.compile(r'\blong,? because\b|\bso it is long\b|\bone file (because|so that)\b', re.I)


def main():
    os.chdir(sys.argv[1])
    bad, seen = [], 0
    for part in PARTS:
        for folder, _, names in os.walk(part):
            for name in sorted(names):
                if not name.endswith(('.c', '.h', '.hpp', '.cc')):
                    continue
                path, begin = f'{folder}/{name}', 0
                text = open(f'{folder}/{name}').read()
                lines = text.split('\n')
                seen += 1
                head = re.sub(r'\s*\n \*\s*', ' ', ' '.join(re.findall(r'/\*.*?\*/', text, re.S)[:2]))
                if len(lines) - 1 > FILE and not REASON.search(head):
                    bad.append(f'{path} has {len(lines) - 1} lines: split it, or say at its head why it is long')
                for number, line in enumerate(lines, 1):
                    if line == '{':
                        begin = number
                    elif line == '}' and begin:
                        if number - begin - 1 > FUNCTION and part in PRODUCT:
                            bad.append(f'{path}:{begin}: a function of {number - begin - 1} lines')
                        begin = 0
    if seen < 400:
        bad.append(f'only {seen} files seen: this check is broken')
    print('\n'.join(bad))
    sys.exit(bool(bad))


main()
