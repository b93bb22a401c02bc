#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A topic's limits stand in common/memory/layout.h, the broker's in its sources. All papers that repeat one have the
same number.

PLACES are the sentences that repeat a limit; a sentence that isn't found any more fails too. A number like KM_MAX_RINGS
in one of these files that stands in none of the sentences fails: it has to be added here, or said without the number.

usage: limits.py SOURCE_ROOT
"""
import os
import re
import sys

PLACES = [
    ('libclient/kickmsg.h', r'or max_subscribers is above (\S+), else', ['RINGS']),
    ('libclient/kickmsg.h', r'max_subscribers;\s+/\* \[16\] 1 to (\d+); shared ring: to (\d+);', ['RINGS', 'SUBSCRIBERS']),
    ('libclient/kickmsg.h', r'max_subscribers is at most (\d+) then, and max_reliable', ['RINGS_WITH_HISTORY']),
    ('libclient/kickmsg.h', r'shared by all, 2 to (\d+)\.', ['POOL']),
    ('libclient/kickmsg.h', r'max_publishers;\s+/\* \[16\] 1 to (\d+) ', ['PUBLISHERS']),
    ('libclient/kickmsg.h', r'max_payload_size;\s+/\* \[4096\] bytes, 1 to (\d+) GiB', ['PAYLOAD']),
    ('libclient/kickmsg.h', r'\(kickmsg_subscribe_options\.reliable\), 0 to (\d+), at', ['RINGS']),
    ('libclient/kickmsg.h', r'max_loans;\s+/\* \[4\] of a publisher at once, 1 to (\d+) ', ['HOLDS']),
    ('libclient/kickmsg.h', r'max_borrows;\s+/\* \[4\] of a subscriber at once, 1 to (\d+) ', ['HOLDS']),
    ('man/kickmsg.7.scd', r'may be (\d+)\.\n', ['RINGS']),
    ('man/kickmsg.7.scd', r'\babove (\d+)\.', ['RINGS']),
    ('man/kickmsg.7.scd', r'topic\'s name has at most (\d+) bytes', ['NAME']),
    ('man/libkickmsg-client.3.scd', r'_max_subscribers_ 16 \(1 to (\d+); with a shared ring to\s+(\d+)\)', ['RINGS', 'SUBSCRIBERS']),
    ('man/libkickmsg-client.3.scd', r'_max_publishers_ 16 \(1 to (\d+)\)', ['PUBLISHERS']),
    ('man/libkickmsg-client.3.scd', r'_max_borrows_ 4 \(1 to (\d+)\)', ['HOLDS']),
    ('man/libkickmsg-client.3.scd', r'power of two up to (\d+)\)', ['CAPACITY']),
    ('man/libkickmsg-client.3.scd', r'_pool_size_ 0 \(2 to (\d+), or 0', ['POOL']),
    ('man/libkickmsg-client.3.scd', r'_max_payload_size_ 4096 \(1 byte to (\d+) GiB\)', ['PAYLOAD']),
    ('README.md', r'subscribers of a topic \| 16 \| (\d+); ([\d ]+) with a shared ring', ['RINGS', 'SUBSCRIBERS']),
    ('README.md', r'publishers of a topic \| 16 \| ([\d ]+) \|', ['PUBLISHERS']),
    ('README.md', r'bytes of a message \| 4 096 \| (\d+) GiB', ['PAYLOAD']),
    ('ARCHITECTURE.md', r'Limits: (\d+) subscribers a topic \(bits of a word; ([\d ]+) with a shared ring\), ([\d ]+) publishers, 2\^(\d+)\s+slots, payloads to (\d+) GiB',
     ['RINGS', 'SUBSCRIBERS', 'PUBLISHERS', 'POOL_BITS', 'PAYLOAD']),
    ('docs/threat-model.md', r'subscriber place: up to (\d+) in', ['RINGS']),
    ('docs/restart-and-rejoin.md', r'seen as opened: bits (\d+) to 61', ['RINGS']),
]
# the broker's limits: each stands in its source as a number, or as ns where papers have seconds
BROKER = {
    'CLIENTS': ('daemon/run/config.c', r'\.total = \{ \[KM_CLIENTS\] = \{ (\d+) \}'),
    'TOPICS': ('daemon/run/config.c', r'\.total = [^;]*?\[KM_TOPICS\] = \{ (\d+) \}'),
    'ENDPOINTS': ('daemon/run/config.c', r'\[KM_ENDPOINTS\] = \{ (\d+) \}'),
    'CLIENT_ENDPOINTS': ('daemon/run/config.c', r'\.client_endpoints = \{ (\d+) \}'),
    'CLIENT_RATE': ('daemon/run/config.c', r'\.user_rate = \{ \[KM_CLIENTS\] = \{ (\d+) \}'),
    'TOPIC_RATE': ('daemon/run/config.c', r'\.user_rate = [^;]*?\[KM_TOPICS\] = \{ (\d+) \}'),
    'INTERVAL': ('daemon/run/config.c', r'\.interval_ms = (\d+)'),
    'SOCKET_MODE': ('daemon/run/config.c', r'\.socket_mode = (\d+)'),
    'OPERATORS': ('daemon/serve/hello.c', r'#define PLACES_FOR_OPERATORS (\d+)'),
    'OPERATOR_FDS': ('daemon/peer/operator.c', r'#define DESCRIPTORS_FOR_OPERATORS (\d+)'),
    'STRANGERS_OF_USER': ('daemon/peer/stranger.h', r'#define KM_STRANGERS_OF_USER (\d+)'),
    'STRANGERS': ('daemon/peer/stranger.h', r'#define KM_STRANGERS_IN_ALL\s+(\d+)'),
    'HELLO_S': ('daemon/peer/stranger.h', r'#define KM_HELLO_LIMIT_NS\s+INT64_C\((\d+)0{9}\)'),
    'BURST_S': ('daemon/run/account.h', r'#define KM_RATE_BURST_NS INT64_C\((\d+)0{9}\)'),
    'LOG_S': ('daemon/run/log_limit.h', r'#define KM_LOG_INTERVAL_NS\s+INT64_C\((\d+)0{9}\)'),
    'LOG_PEER': ('daemon/run/log_limit.h', r'#define KM_LOG_PEER_BURST\s+(\d+)'),
    'LOG_USER': ('daemon/run/log_limit.h', r'#define KM_LOG_USER_BURST\s+(\d+)'),
}
MAN, EXAMPLE, HEAD = 'man/kickmsgd.conf.5.scd', 'systemd/kickmsgd.conf', 'daemon/run/config.h'
PLACES += [
    (MAN, r'Connected programs\. Default (\d+)\.', ['CLIENTS']),
    (MAN, r'Topics of all prefixes\. Default (\d+)\.', ['TOPICS']),
    (MAN, r'Publishers and subscribers\. Default (\d+)\.', ['ENDPOINTS']),
    (MAN, r'Publishers and subscribers of one client\. Default (\d+)\.', ['CLIENT_ENDPOINTS']),
    (MAN, r'Defaults\s+(\d+) and (\d+); 0: any number', ['CLIENT_RATE', 'TOPIC_RATE']),
    (MAN, r'health of the regions\. Default (\d+)\.', ['INTERVAL']),
    (MAN, r'socket file, octal\. Default (\d+)\.', ['SOCKET_MODE']),
    (MAN, r'has more than (\d+) clients or (\d+) topics', ['CLIENT_BURST', 'TOPIC_BURST']),
    (MAN, r'there are (\d+) clients beyond', ['OPERATORS']),
    (MAN, r'last (\d+) of the broker\'s descriptors', ['OPERATOR_FDS']),
    (MAN, r'closed after (\d+) seconds', ['HELLO_S']),
    (MAN, r'one user has (\d+) such connections, or all users together have (\d+),', ['STRANGERS_OF_USER', 'STRANGERS']),
    ('ARCHITECTURE.md', r'Of a kind, (\d+) events about one process or topic are logged in (\d+) s, and (\d+) about all',
     ['LOG_PEER', 'LOG_S', 'LOG_USER']),
]
for path, comment in (EXAMPLE, '#'), (HEAD, r' \* +'):
    for key, name in [('clients', 'CLIENTS'), ('topics', 'TOPICS'), ('endpoints', 'ENDPOINTS'),
                      ('client_endpoints', 'CLIENT_ENDPOINTS'), ('user_client_rate', 'CLIENT_RATE'),
                      ('user_topic_rate', 'TOPIC_RATE'), ('interval', 'INTERVAL'), ('socket_mode', 'SOCKET_MODE')]:
        PLACES.append((path, rf'(?m)^{comment}{key} = (\d+)\b', [name]))
# numbers that are no limit: stack, another program's version
OTHERS = r'\d+ KiB|Aeron 1\.\d+'


def limits(root):
    text = open(os.path.join(root, 'common/memory/layout.h')).read()
    found = {}
    for name, value in re.findall(r'^#define KM_(?:MAX_)?(RINGS|SUBSCRIBERS|PUBLISHERS|CAPACITY|POOL|PAYLOAD|HOLDS|NAME)(?:_SIZE)?\s+([^/\n]+)', text, re.M):
        shift = re.fullmatch(r'\((?:1u|UINT64_C\(1\)) << (\d+)\)', value.strip())
        found[name] = 1 << int(shift[1]) if shift else int(value)
    found['PAYLOAD'] >>= 30
    found['NAME'] -= 1
    for name, (path, pattern) in BROKER.items():
        match = re.search(pattern, open(os.path.join(root, path)).read())
        if not match:
            sys.exit(f'{path} has nothing like "{pattern}" (BROKER in tests/style/limits.py)')
        found[name] = int(match[1])
    found['CLIENT_BURST'] = found['CLIENT_RATE'] * found['BURST_S']
    found['TOPIC_BURST'] = found['TOPIC_RATE'] * found['BURST_S']
    found['RINGS_WITH_HISTORY'] = found['RINGS'] - 1  # KM_KEPT_RING
    found['POOL_BITS'] = found['POOL'].bit_length() - 1
    return found


def main():
    root = sys.argv[1]
    values, bad, covered = limits(root), [], {}
    texts = {path: open(os.path.join(root, path)).read() for path in {place[0] for place in PLACES}}
    for path, sentence, names in PLACES:
        # the paper may wrap anywhere
        match = re.search(sentence.replace(' ', r'\s+'), texts[path])
        if not match:
            bad.append(f'{path}: no sentence like "{sentence}" (PLACES in tests/style/limits.py)')
            continue
        covered.setdefault(path, []).append(match.span())
        for name, said in zip(names, match.groups()):
            if int(said.replace(' ', '')) != values[name]:
                bad.append(f'{path}: "{match[0].strip()}", but the sources have {values[name]} for {name}')
    for path in texts:
        for match in re.finditer(rf'(?<![\w-]){values["RINGS"]}(?!\w)', texts[path]):
            line = texts[path][texts[path].rfind('\n', 0, match.start()) + 1:].split('\n')[0]
            if not any(a <= match.start() < b for a, b in covered.get(path, [])) and not re.search(OTHERS, line):
                bad.append(f'{path}: a limit that no line of PLACES holds: {line.strip()}')
    print('\n'.join(bad))
    sys.exit(bool(bad))


main()
