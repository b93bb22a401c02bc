#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Nothing in common/ and libclient/ reads the constant part of a topic's control header.

Participants can write there, so clients take a topic's shape, lifetime and schema from the broker's answer. Here every
source is compiled with a layout.h in which these fields have other names: a source that names one doesn't compile. Two functions
of region.c may, since the broker writes headers by them.

usage: header.py SOURCE_ROOT CC
"""
import glob, os, re, shutil, subprocess, sys, tempfile

root, cc = sys.argv[1:3]
LAYOUT = 'common/memory/layout.h'
WRITERS = {'common/memory/region.c': ['km_region_describe', 'km_region_format']}

layout = open(f'{root}/{LAYOUT}').read()
match = re.search(r'struct km_control_header \{(.*?)_Alignas\(KM_CACHE_LINE\) _Atomic uint64_t live;', layout, re.S)
if not match:
    sys.exit('layout.h has no struct km_control_header that goes on with `live`: this check is broken')
constant = re.sub(r'/\*.*?\*/', '', match.group(1), flags=re.S)
fields = re.findall(r'(\w+)(?:\[\w+\])?;', constant)
if 'geometry' not in fields or 'schema' not in fields or len(fields) < 10:
    sys.exit(f'only {fields} were found in struct km_control_header: this check is broken')


def renamed(text):
    for field in fields:
        text = re.sub(rf'\b{field}\b(?=(\[\w+\])?;)', f'{field}_is_for_people', text)
    return text


def without(text, function):
    """The text without a function's body."""
    text, count = re.subn(rf'(?m)^(\w[^;\n]*\b{function}\([^;{{]*\)\n)\{{.*?^\}}\n', r'\1{}\n', text, flags=re.S)
    if count != 1:
        sys.exit(f'{function}() was not found: this check is broken')
    return text


poisoned = layout.replace(match.group(1), renamed(match.group(1)))
poisoned = re.sub(r'(?m)^static_assert\(offsetof\(struct km_control_header, geometry\).*\n', '', poisoned)
bad = []
with tempfile.TemporaryDirectory() as copy:
    for part in ('common', 'libclient'):
        shutil.copytree(f'{root}/{part}', f'{copy}/{part}')
    open(f'{copy}/{LAYOUT}', 'w').write(poisoned)
    for path, functions in WRITERS.items():
        text = open(f'{copy}/{path}').read()
        for function in functions:
            text = without(text, function)
        open(f'{copy}/{path}', 'w').write(text)
    sources = sorted(path for part in ('common', 'libclient')
                     for path in glob.glob(f'{copy}/{part}/**/*.c', recursive=True))
    for path in sources:
        run = subprocess.run([cc, '-std=gnu11', '-D_GNU_SOURCE', '-DKM_VERSION="0"', f'-I{copy}', f'-I{copy}/libclient', '-w', '-fsyntax-only',
                              path], capture_output=True, text=True)
        bad += [line.replace(copy + '/', '') for line in run.stderr.splitlines() if 'error:' in line]
        text = re.sub(r'/\*.*?\*/', '', open(path).read(), flags=re.S)
        if re.search(r'(=|\()\s*\*[\w.>-]*\bheader\b|memcpy\([^;]*\bregion[\w.>-]*header\b', text):
            bad.append(f'{os.path.relpath(path, copy)}: copies a header as a whole')
if bad:
    sys.exit('\n'.join(['the constant part of a control header is for people (common/memory/layout.h):'] + bad))
print(f'{len(sources)} sources read none of {len(fields)} constant fields')
