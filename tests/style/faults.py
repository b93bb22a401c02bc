#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What the explorer is told of the sources is still so. Texts are compared and nothing is compiled, so a change that
outdates a line of tests/explore hears it in seconds. explore-faults and explore-orders say so too, after many minutes.

1. Each fault of faults.txt can be sown: its text stands in its file exactly once, and the file is part of the program.
2. Each fault names the scenario that is to catch it, has an "about", and a name of its own.
3. Each order that orders.c lists as needed is the next order below one that an access with that label has.

usage: faults.py SOURCE_ROOT EXPLORED_SOURCE...
"""
import re
import sys

root, *sources = sys.argv[1:]
sys.dont_write_bytecode = True
sys.path.insert(0, root + '/tests/explore')
from amalgamate import Maker, Mismatch, maker_of, read_faults  # noqa: E402

FAULTS, ORDERS = 'tests/explore/faults.txt', 'tests/explore/orders.c'
# orders.c: add_weaker()
WEAKER = {'acq_rel': ['acquire', 'release'], 'acquire': ['relaxed'], 'release': ['relaxed']}
WEAKER_THAN_SEQ_CST = {'load': 'acquire', 'cas-fail': 'acquire', 'store': 'release'}
CALL = re.compile(r'\bkm_(load|store|cas|and|add|fence)\(\s*(\w+)\s*,\s*(\w+)\s*(?:,\s*(\w+))?')

problems = []


def read(path):
    return open(f'{root}/{path}').read()


def weaker(kind, order):
    return [WEAKER_THAN_SEQ_CST.get(kind, 'acq_rel')] if order == 'seq_cst' else WEAKER.get(order, [])


def weakenings(paths):
    """{(label, kind, order)} that the explorer tries."""
    found = set()
    for path in paths:
        for kind, label, order, fail in CALL.findall(re.sub(r'/\*.*?\*/', '', read(path), flags=re.S)):
            found |= {(label, kind, to) for to in weaker(kind, order)}
            if kind == 'cas':
                found |= {(label, 'cas-fail', to) for to in weaker('cas-fail', fail)}
    return found


program = maker_of(root, [], sources).seen | set(sources)
scenarios = set(re.findall(r'^\t\{ \.name = "(\w+)"', read('tests/explore/scenarios.c'), re.M))
faults, names = read_faults(f'{root}/{FAULTS}'), set()
for name, about, hunks, by in faults:
    for file in {hunk[0] for hunk in hunks}:
        try:
            if file not in program:
                raise Mismatch(f'{file} is not part of the program')
            Maker(root, hunks).text(file)
        except (Mismatch, OSError) as problem:
            problems.append(f'{FAULTS}: fault {name}: {problem}: its text has to follow the source')
    if not hunks or not about or name in names:
        problems.append(f'{FAULTS}: fault {name}: replaces nothing, says nothing about itself, or has the name of another')
    if not by or set(by.split()) - scenarios:
        problems.append(f'{FAULTS}: fault {name}: by "{by}", which is no scenario of tests/explore/scenarios.c')
    names.add(name)

tried = weakenings(sorted(program))
entries = re.findall(r'^\t\{ "(\w+)", "([\w-]+)", "(\w+)", "(\w+)" \},', read(ORDERS), re.M)
for label, kind, to, scenario in entries:
    if (label, kind, to) not in tried:
        problems.append(f'{ORDERS}: {label} {kind} -> {to}: no access of the sources is weakened to that')
    if scenario not in scenarios:
        problems.append(f'{ORDERS}: {label} {kind} -> {to}: {scenario} is no scenario')

if len(faults) < 100 or len(entries) < 30 or len(tried) < 40 or len(scenarios) < 40:
    problems.append(f'only {len(faults)} faults, {len(entries)} needed orders, {len(tried)} weaker orders and '
                    f'{len(scenarios)} scenarios seen: this check is broken')
print('\n'.join(problems))
sys.exit(bool(problems))
