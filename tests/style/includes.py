#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The includes of each part lead where they may.

1. A quoted include is written from the top: "common/ring/slot.h".
2. A part includes itself and the parts that it may need: common/ nobody, libclient/ and daemon/ common/ and never each
   other, ctl/ and examples/ nobody, since they have the installed headers (<kickmsg.h> and its like).
3. Inside a part an include goes down or sideways: FLOORS has the rooms of each part from the ground up.
4. No circle of sources: a source and its header are one; a source that must call upwards does so by a handler that is set from
   above.
5. What isn't libc's is used where it belongs.
6. A source of common/, libclient/ and daemon/ declares what others use in its own header. A source without one has
   only public calls (the installed headers), requests (daemon/serve/serve.h) or main(), or it shares the header of
   what it is a part of, which the comment at its head names ("see caller.h").

usage: includes.py SOURCE_ROOT
"""
import os
import re
import sys

PARTS = {
    'common': ['common'],
    'libclient': ['libclient', 'common'],
    'daemon': ['daemon', 'common'],
    'ctl': ['ctl'],
    'examples': ['examples'],
}
# the rooms of one line are beside each other; '' has the files in the part's own folder
FLOORS = {
    'common': [[''], ['memory'], ['protocol'], ['ring'], ['shared'], ['repair']],
    'libclient': [[''], ['watch'], ['client'], ['handle'], ['wait'], ['rejoin'], ['path'], ['endpoint'], ['set'], ['look'], ['service']],
    'daemon': [['run', 'keep'], ['peer'], ['topic'], ['repair'], ['serve'], ['metrics'], ['start'], ['']],
}
LIBRARIES = {
    'event2/|event.h': ['daemon', 'examples'],
    'systemd/': ['daemon', 'examples'],
    'ini.h': ['daemon'],
    'json': ['ctl'],
    'ncurses': ['ctl'],
    'check.h': [],
}
# headers that replace another one in some builds (common/memory/atomic.h says when)
STAND_INS = {('common/memory/atomic.h', 'explore_atomic.h')}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.M)

# a function that isn't static, with what stands before its name
FUNCTION = re.compile(r'^(?!static\b)[a-z][\w \t*]*?\b(km_(?!serve_)\w+)\([^;{}]*\)\n\{', re.M)

problems = []


def files_of(part):
    for folder, _, names in os.walk(part):
        for name in sorted(names):
            if name.endswith(('.c', '.h')):
                yield f'{folder}/{name}'


def floor(path):
    part, *rest = path.split('/')
    room = rest[0] if len(rest) > 1 else ''
    for number, rooms in enumerate(FLOORS.get(part, [])):
        if room in rooms:
            return number
    if part in FLOORS:
        problems.append(f'{path}: its room has no floor (FLOORS in tests/style/includes.py)')
    return 0


def look_at_header(path):
    """Yields functions that a source shares and doesn't declare where a reader looks for them."""
    text, own = open(path).read(), path[:-2] + '.h'
    if os.path.exists(own):
        headers = [own]
    else:
        head = re.search(r'\A(?:/\*.*?\*/\s*)+', text, re.S)[0]
        headers = [f'{os.path.dirname(path)}/{name}' for name in re.findall(r'\b(\w+\.h)\b', head)]
    declared = ''.join(open(header).read() for header in headers if os.path.exists(header))
    shared = FUNCTION.findall(re.sub(r'/\*.*?\*/', '', text, flags=re.S))
    for name in shared:
        if not re.search(rf'\b{name}\(', declared):
            problems.append(f'{path}: {name}() is declared neither in its own header nor in one that its head names')
    return len(shared)


def unit(path):
    return os.path.splitext(path)[0]


def circles(graph):
    """Strongly connected components of more than one unit (Tarjan)."""
    index, low, stack, found = {}, {}, [], []

    def visit(v):
        index[v] = low[v] = len(index)
        stack.append(v)
        for w in sorted(graph.get(v, ())):
            if w not in index:
                visit(w)
                low[v] = min(low[v], low[w])
            elif w in stack:
                low[v] = min(low[v], index[w])
        if low[v] == index[v]:
            members = stack[stack.index(v):]
            del stack[stack.index(v):]
            if len(members) > 1:
                found.append(members)

    for v in sorted(graph):
        if v not in index:
            visit(v)
    return found


def main():
    os.chdir(sys.argv[1])
    sys.setrecursionlimit(10000)
    checked, shared, graph = 0, 0, {}
    for part, allowed in PARTS.items():
        for path in files_of(part):
            if part in FLOORS and path.endswith('.c'):
                shared += look_at_header(path)
            for kind, header in INCLUDE.findall(open(path).read()):
                if kind == '<':
                    for pattern, users in LIBRARIES.items():
                        if re.match(pattern, header) and part not in users:
                            problems.append(f'{path}: may not use <{header}>')
                    continue
                checked += 1
                if (path, header) in STAND_INS:
                    continue
                if part == 'examples':
                    if not os.path.exists(os.path.join(os.path.dirname(path), header)):
                        problems.append(f'{path}: may not include "{header}"')
                    continue
                if not os.path.exists(header):
                    problems.append(f'{path}: "{header}" is not written from the top')
                elif header.split('/')[0] not in allowed:
                    problems.append(f'{path}: may not include "{header}"')
                elif header.split('/')[0] == part:
                    graph.setdefault(unit(path), set()).add(unit(header))
                    if floor(header) > floor(path):
                        problems.append(f'{path}: "{header}" is on a floor above')
    for members in circles({v: w - {v} for v, w in graph.items()}):
        problems.append('a circle: ' + ' '.join(members))
    if os.path.exists('daemon/meson.build') and re.search(r'client_(dep|static_dep|libs)', open('daemon/meson.build').read()):
        problems.append("daemon/meson.build: the broker doesn't link the client library")
    if re.search(r'client_static_dep|common_dep|client_libs', open('ctl/meson.build').read()):
        problems.append('ctl/meson.build: kickmsgctl links the shared library alone, as any tool does')
    if checked < 100 or shared < 300:
        problems.append(f'only {checked} includes and {shared} shared functions seen: this check is broken')
    print('\n'.join(problems))
    sys.exit(bool(problems))


main()
