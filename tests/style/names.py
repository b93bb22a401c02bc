#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Files, functions, structs and tests that the papers name are there.

In ARCHITECTURE.md, README.md, CONTRIBUTING.md, docs/ and the comments of all C sources:
  - a path, or a file's name, of source, header, script or paper is that of a file of the tree;
  - km_name(), kickmsg_name() and `struct NAME` stand in the code;
  - each source of daemon/ stands in the table of ARCHITECTURE.md;
  - `SUITE-NAME` in a paper is a test: NAME, or all of it, stands in a meson.build below tests/, in quotes or as a list of words.
Papers that tell of the past (NEWS.md, docs/measurements.md) are left out.

usage: names.py SOURCE_ROOT
"""
import fnmatch
import os
import re
import sys

PAPERS = ['ARCHITECTURE.md', 'README.md', 'CONTRIBUTING.md', 'docs/memory-and-orders.md', 'docs/restart-and-rejoin.md',
          'docs/explorer.md', 'docs/performance.md', 'docs/threat-model.md', 'docs/services.md', 'docs/python.md']
CODE = ['common', 'daemon', 'libclient', 'ctl', 'examples', 'tests']
OUTSIDE = {'sd-daemon.h'}  # files of other projects that papers name
FILE = re.compile(r'(?<![\w./%-])((?:[\w-]+/)*[\w*-]+\.(?:c|h|py|sh|md|scd|conf|catalog|build|txt|map|abi))(?![\w/-]|\.\w)')
FUNCTION = re.compile(r'(?<!\w)((?:km|kickmsg)_\w+)\(\)')
STRUCT = re.compile(r'\bstruct ((?:km|kickmsg)_\w+)')
TEST = re.compile(r'`((?:unit|flow|crash|stress|hostile|style|explore|fuzz|systemd|bench|count|ctl)-[a-z0-9*-]+)`')


def tree(root):
    for folder, names, files in os.walk(root):
        names[:] = [n for n in names if n != '.git' and not n.startswith('build') and n != 'subprojects']
        for name in files:
            yield os.path.relpath(os.path.join(folder, name), root)


def comments(text):
    """The comments of C, blanks elsewhere, so that lines keep their numbers."""
    def blank(match):
        found = match.group(0)
        return found if found.startswith('/*') else re.sub(r'[^\n]', ' ', found)
    return re.sub(r'/\*.*?\*/|"(?:\\.|[^"\\\n])*"|[^/"]+|.', blank, text, flags=re.S)


def main():
    root = sys.argv[1]
    files = sorted(tree(root))
    code = '\n'.join(open(os.path.join(root, f), errors='replace').read() for f in files if f.endswith(('.c', '.h')))
    words = set(re.findall(r'\w+', re.sub(r'/\*.*?\*/', ' ', code, flags=re.S)))
    builds = '\n'.join(open(os.path.join(root, f)).read() for f in files if re.fullmatch(r'tests/.*meson\.build', f))
    lists = [re.findall(r"'([^']+)'", found) for found in re.findall(r"\[('[^\[\]]*')\]", builds)]
    tests = set(re.findall(r"'([\w-]+)'", builds)) | {'-'.join(words) for words in lists}
    bad = looked = 0
    for path in PAPERS + [f for f in files if f.split('/')[0] in CODE and f.endswith(('.c', '.h'))]:
        text = open(os.path.join(root, path)).read()
        if path.endswith(('.c', '.h')):
            text = comments(text)
        else:  # examples name what other projects have
            text = re.sub(r'^```.*?^```', lambda m: re.sub(r'[^\n]', '', m[0]), text, flags=re.S | re.M)
        for number, line in enumerate(text.split('\n'), 1):
            missing = []
            for name in FILE.findall(line):
                looked += 1
                if name not in OUTSIDE and not any(f == name or f.endswith('/' + name) or fnmatch.fnmatch('/' + f, '*/' + name) for f in files):
                    missing.append(name)
            for name in FUNCTION.findall(line) + STRUCT.findall(line):
                looked += 1
                template = name.rsplit('_', 1)[1].isupper()  # km_serve_NAME()
                if name not in words and not template and not (name.endswith('_') and any(w.startswith(name) for w in words)):
                    missing.append(name)
            for name in TEST.findall(line) if path in PAPERS else []:
                looked += 1
                if not any(fnmatch.fnmatch(t, name) or fnmatch.fnmatch(t, name.split('-', 1)[1]) for t in tests):
                    missing.append(name)
            bad += len(missing)
            for name in missing:
                print(f'{path}:{number}: {name} isn\'t there: {line.strip()[:100]}')
    table = re.findall(r'`([\w*-]+\.c)`', open(os.path.join(root, 'ARCHITECTURE.md')).read())
    for path in files:
        if path.startswith('daemon/') and path.endswith('.c') and not any(
                fnmatch.fnmatch(os.path.basename(path), name) for name in table):
            print(f'ARCHITECTURE.md: its table of daemon/ says nothing of {path}')
            bad += 1
    print(f'{looked} names looked at')
    if looked < 500:
        print('so few: this check is broken')
    sys.exit(bad > 0 or looked < 500)


main()
