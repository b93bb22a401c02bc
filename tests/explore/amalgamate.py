#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes one C file of the product's sources and the actors. run-faults.py makes such files with a fault sown in.

    amalgamate.py OUTPUT ROOT SOURCE...

The sources follow each other in one translation unit, each header once, so that a fault in a header is in all of them.
Names that are private to a file get the file's name in front."""
import os
import re
import sys


def read_faults(path):
    """[(name, about, [(file, old, new)], by)]; run-faults.py and tests/style/faults.py use it too"""
    faults, hunks, part, file = [], None, None, None
    for line in open(path):
        if part is not None and not line.startswith(('====', '>>>>')):
            part.append(line)
        elif line.startswith('fault '):
            hunks = []
            faults.append([line[6:].strip(), '', hunks, ''])
        elif line.startswith('about '):
            faults[-1][1] = line[6:].strip()
        elif line.startswith('by '):
            faults[-1][3] = line[3:].strip()
        elif line.startswith('file '):
            file = line[5:].strip()
        elif line.startswith('<<<<'):
            old, new = [], []
            hunks.append((file, old, new))
            part = old
        elif line.startswith('===='):
            part = new
        elif line.startswith('>>>>'):
            part = None
        elif line.strip() and not line.startswith('#'):
            sys.exit(f'{path}: what is "{line.strip()}"?')
    return [(n, a, [(f, ''.join(o), ''.join(w)) for f, o, w in h], b) for n, a, h, b in faults]


class Mismatch(Exception):
    pass


class Maker:
    def __init__(self, root, hunks):
        self.root, self.hunks, self.seen, self.out = root, list(hunks), set(), []

    def text(self, path):
        text = open(os.path.join(self.root, path)).read()
        for file, old, new in self.hunks:
            if file != path:
                continue
            pattern = r'\s*'.join(re.escape(t) for t in re.findall(r'\w+|[^\w\s]', old))
            count = len(re.findall(pattern, text))
            if count != 1:
                raise Mismatch(f'its text is {count} times in {path}')
            text = re.sub(pattern, lambda m: new.strip(), text)
        return text

    def find(self, name):
        return next((p for p in (name, 'tests/explore/' + name, 'libclient/' + name) if os.path.exists(os.path.join(self.root, p))), None)

    def emit(self, path):
        text = self.text(path)
        is_source = path.endswith('.c')
        private = set(re.findall(r'^static (?!inline)[^;=(]*?\b(\w+)\(', text, re.M)) if is_source else []
        prefix = re.sub(r'\W', '_', os.path.basename(path))
        self.out += [f'#define {name} {prefix}_{name}' for name in sorted(private)]
        self.out.append(f'#line 1 "{self.root}/{path}"')
        for number, line in enumerate(text.split('\n'), 1):
            include = re.match(r'\s*#\s*include [<"](.+)[>"]', line)
            found = include and self.find(include[1])
            if found:
                if found not in self.seen:
                    self.seen.add(found)
                    self.emit(found)
                self.out.append(f'#line {number + 1} "{self.root}/{path}"')
            elif not line.startswith('#pragma once'):
                self.out.append(line)
            else:
                self.out.append('')
        self.out += [f'#undef {name}' for name in sorted(private)]
        if is_source:
            names = re.findall(r'^#define (\w+)', text, re.M)
            self.out += [f'#undef {name}' for name in names]


def maker_of(root, hunks, sources):
    """The maker that has gone through all sources."""
    maker = Maker(root, hunks)
    maker.out = ['#define KM_EXPLORE 1', '#include <stdint.h>', '#include <stdlib.h>',
                 'void *world_calloc(uint64_t count, uint64_t size);',
                 'void *world_aligned_alloc(uint64_t alignment, uint64_t size);',
                 'void *world_reallocarray(void *memory, uint64_t count, uint64_t size);', 'void world_free(void *memory);', 'char *world_getenv(const char *name);',
                 '#define calloc world_calloc', '#define aligned_alloc world_aligned_alloc', '#define free world_free',
                 # kernel.c
                 '#define eventfd world_eventfd', '#define read world_read', '#define write world_write',
                 '#define syscall world_syscall', '#define ppoll world_ppoll', '#define pthread_create world_thread_create',
                 '#define pthread_mutex_lock world_mutex_lock', '#define pthread_mutex_unlock world_mutex_unlock',
                 '#define reallocarray world_reallocarray', '#define pthread_join world_thread_join', '#define secure_getenv world_getenv']
    for source in sources:
        maker.emit(source)
    for file, _, _ in hunks:
        if file not in maker.seen and file not in sources:
            raise Mismatch(f'{file} is not part of the program')
    return maker


def make(root, hunks, sources):
    """The file's text. Mismatch: a hunk's text isn't in the sources, or not once."""
    return '\n'.join(maker_of(root, hunks, sources).out)


def main():
    output, root, *sources = sys.argv[1:]
    with open(output, 'w') as file:
        file.write(make(root, [], sources) + '\n')


if __name__ == '__main__':
    main()
