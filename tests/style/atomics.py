#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""All atomic access of common/ and libclient/ goes through common/memory/atomic.h, and that costs nothing.

1. No source but atomic.h says atomic_* or __atomic_*.
2. The compiler is given the same text, so makes the same instructions, when every km_load(...) and so on is replaced by
   the C11 operation that it stands for, written out in place.
3. A field that another process may write is read once, by the language's rules.
4. No access to an _Atomic is without its order (where there is a clang, which can say so).

usage: style-atomics.py SOURCE_ROOT CC
"""
import glob, os, re, shutil, subprocess, sys, tempfile

root, cc = sys.argv[1:3]
sources = sorted(path for part in ('common', 'libclient')
                 for path in glob.glob(f'{root}/{part}/**/*.[ch]', recursive=True))
bad = []
for path in sources:
    text = re.sub(r'/\*.*?\*/', '', open(path).read(), flags=re.S)
    if not path.endswith('/atomic.h') and re.search(r'\b(__)?atomic_\w+\s*\(', text):
        bad.append(path)
if bad:
    sys.exit('atomics that bypass common/memory/atomic.h: ' + ' '.join(bad))

# 3. What processes share in layout.h, but for the header that the broker alone believes (region.h), is _Atomic or
#    volatile; and no function reads one of the volatile fields twice.
layout = re.sub(r'/\*.*?\*/', '', open(root + '/common/memory/layout.h').read(), flags=re.S)
for name, body in re.findall(r'struct (km_(?:slot|ring|shared_\w+|bell|sample_header|endpoint)) \{(.*?)\n\};', layout, re.S):
    for member in body.split(';'):
        if member.strip() and not re.search(r'\b(_Atomic|volatile|struct km_shared_head|unsigned char cells)\b', member):
            sys.exit(f'layout.h: a field of {name} is neither _Atomic nor volatile: {member.strip()}')
for path in sources:
    text = re.sub(r'/\*.*?\*/', '', open(path).read(), flags=re.S)
    for function in re.split(r'\n\}\n', text):
        reads = re.findall(r'\bsample->(sequence|len|publisher_id)\b(?!\s*=[^=])', function)
        if 'struct km_sample_header' in function and len(reads) != len(set(reads)):
            sys.exit(f'{path}: reads a field of a sample header twice: {reads}')
if shutil.which('clang'):
    for path in sources:
        if path.endswith('.c'):
            subprocess.run(['clang', '-std=gnu11', '-D_GNU_SOURCE', '-DKM_VERSION="0"', f'-I{root}', f'-I{root}/libclient',
                            '-Wno-everything', '-fsyntax-only', '-Werror=atomic-implicit-seq-cst', path], check=True)


def arguments(text, start):
    """The arguments of the call whose parenthesis opens at start, and where it ends."""
    depth, parts, begin = 0, [], start + 1
    for i in range(start, len(text)):
        c = text[i]
        if c in '([{':
            depth += 1
        elif c in ')]}':
            depth -= 1
            if depth == 0:
                return parts + [text[begin:i]], i + 1
        elif c == ',' and depth == 1:
            parts.append(text[begin:i])
            begin = i + 1
    raise ValueError('unbalanced')


def written_out(text):
    """The text with each wrapper replaced by the operation of stdatomic.h."""
    while match := re.search(r'\bkm_(load|store|cas|and|add)\s*\(', text):
        args, end = arguments(text, match.end() - 1)
        args = [a.strip() for a in args]
        verb = {'load': 'load', 'store': 'store', 'cas': 'compare_exchange_strong', 'and': 'fetch_and',
                'add': 'fetch_add'}[match.group(1)]
        orders = args[1:3] if verb.startswith('compare') else args[1:2]
        operands = args[1 + len(orders):]
        new = f"atomic_{verb}_explicit({', '.join(operands + ['memory_order_' + o for o in orders])})"
        text = text[:match.start()] + new + text[end:]
    return text


def preprocessed(directory, source):
    """What the compiler is given, without blanks."""
    # without assert(), whose line number is another in the text that is written out
    text = subprocess.run([cc, '-E', '-P', '-O2', '-std=gnu11', '-D_GNU_SOURCE', '-DKM_VERSION="0"', '-DNDEBUG', '-w',
                           f'-I{directory}', f'-I{directory}/libclient', f'{directory}/{source}'],
                          check=True, capture_output=True, text=True).stdout
    return re.sub(r'\s+', '', text)


compared = 0
with tempfile.TemporaryDirectory() as as_is, tempfile.TemporaryDirectory() as plain:
    for path in sources:
        name = os.path.relpath(path, root)
        for directory in (as_is, plain):
            os.makedirs(os.path.join(directory, os.path.dirname(name)), exist_ok=True)
            text = open(path).read()
            if directory == plain and not name.endswith('/atomic.h'):
                text = written_out(text)
            open(os.path.join(directory, name), 'w').write(text)
    for path in sources:
        name = os.path.relpath(path, root)
        if not name.endswith('.c'):
            continue
        ours, theirs = preprocessed(as_is, name), preprocessed(plain, name)
        if ours != theirs:
            sys.exit(f'{name}: the wrappers change the instructions')
        compared += ours.count('__atomic_')
print(f'{compared} operations, the same with and without the wrappers')
sys.exit(compared < 400)
