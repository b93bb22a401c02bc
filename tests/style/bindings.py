#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything of the C headers is in kickmsg.hpp and in the Python package, or this says why it isn't.

A function of the version map is in a binding when that names it, and so is a field of a config or of options. An enumerator
is in the Python package when that names it.

usage: bindings.py SOURCE_ROOT
"""
import os
import re
import sys

HPP = ('libclient/kickmsg.hpp', 'libclient/kickmsg-service.hpp')
PYTHON = 'python/kickmsg'
OPERATORS = 'for tools of operators; kickmsgctl --json tells it'
C_STRUCTS = 'the C function takes node.c(), and its structs are as good in C++'

# functions that a binding leaves out, and why
NOT_IN_CXX = {
    'kickmsg_client_get_info': C_STRUCTS,
    'kickmsg_receive_into': 'receive_view() tells all of a message',
    'kickmsg_sample_is_held': 'a view knows: valid()',
    'kickmsg_topic_config_check': C_STRUCTS,
    'kickmsg_unlink': 'unlink_topic(), unlink_broadcast() and unlink_mailbox()',
    'kickmsg_version': C_STRUCTS,
}
NOT_IN_PYTHON = {
    'kickmsg_broker_clients': OPERATORS,
    'kickmsg_broker_config': OPERATORS,
    'kickmsg_broker_get_status': OPERATORS,
    'kickmsg_broker_set_log_level': OPERATORS,
    'kickmsg_broker_watch': OPERATORS,
    'kickmsg_call': 'call() begins a call and takes its reply: Python handles signals in between',
    'kickmsg_client_get_info': 'a Python program has no use for it',
    'kickmsg_fnv1a64': 'Schema.of() makes fingerprints',
    'kickmsg_kind_name': 'Kind has names',
    'kickmsg_part_read': OPERATORS,
    'kickmsg_part_write': OPERATORS,
    'kickmsg_receive_into': 'receive_view() tells all of a message',
    'kickmsg_socket_path': 'Node() looks there',
    'kickmsg_subscribe': 'kickmsg_subscribe_to() with a topic of that kind',
    'kickmsg_system_socket': 'Node() looks there',
    'kickmsg_topic_list_numbers': OPERATORS,
    'kickmsg_topic_reclaim': 'recover() does all three repairs',
    'kickmsg_topic_repair': 'recover() does all three repairs',
    'kickmsg_topic_reset_rings': 'recover() does all three repairs',
    'kickmsg_try_receive': 'kickmsg_receive() with time 0',
    'kickmsg_try_receive_copy': 'kickmsg_receive_copy() with time 0',
}
# structs whose fields users set: both bindings have each field
FILLED_IN = ('kickmsg_topic_config', 'kickmsg_subscribe_options', 'kickmsg_service_config')
NOT_SET_IN_CXX = {'ret_schema_diff': 'schema::diff() says it'}
# enumerators that Python does without
NOT_NEEDED = {
    'KICKMSG_WAIT_': 'of kickmsg_client_get_info()',
    'KICKMSG_PRIVILEGE_': 'SaidRight.privilege is a number',
}


def read(root, path):
    with open(os.path.join(root, path), encoding='utf-8') as file:
        return file.read()


def without_comments(text):
    return re.sub(r'/\*.*?\*/', '', text, flags=re.S)


def functions_of(root):
    return set(re.findall(r'^\t(kickmsg_\w+);$', read(root, 'libclient/libkickmsg-client.map'), re.M))


def unused(what, functions, text, allowed):
    """Returns what is wrong: a function that isn't there, and a reason that isn't needed any more."""
    used = functions & set(re.findall(r'\bkickmsg_\w+', text))
    wrong = [f'{what} has no {name}: add it, or say why not in tests/style/bindings.py'
             for name in sorted(functions - used - set(allowed))]
    return wrong + [f'{what}: tests/style/bindings.py gives a reason for {name}, which '
                    f'{"is there" if name in used else "the library has not"}'
                    for name in sorted(set(allowed) & used | set(allowed) - functions)]


def fields_of(headers):
    """Yields the fields that people set."""
    for struct in FILLED_IN:
        body = re.search(r'struct %s \{(.*?)\n\};' % struct, headers, re.S).group(1)
        for names in re.findall(r'^\s*(?:const )?(?:struct )?\w+\s+([^;(]+);', body, re.M):
            for field in re.findall(r'\b(?!reserved)[a-z_]\w*', re.sub(r'\[.*?\]', '', names)):
                yield struct, field


def missing_names(headers, text):
    """Returns the fields and enumerators that the Python package doesn't have."""
    wrong = [f'Python lacks {struct}.{field}' for struct, field in fields_of(headers)
             if not re.search(r'\b%s\b' % field.removesuffix('_ns'), text)]
    for enumerator in re.findall(r'^\t(KICKMSG_[A-Z0-9_]+) = ', headers, re.M):
        if not enumerator.startswith(tuple(NOT_NEEDED)) and not re.search(r'\b%s\b' % enumerator, text):
            wrong.append(f'Python lacks {enumerator}')
    return wrong


def main():
    root = sys.argv[1]
    functions = functions_of(root)
    headers = without_comments(''.join(read(root, 'libclient/' + name)
                                       for name in ('kickmsg.h', 'kickmsg-service.h', 'kickmsg-operator.h')))
    operators = set(re.findall(r'\b(kickmsg_\w+)\(', without_comments(read(root, 'libclient/kickmsg-operator.h'))))
    cxx = without_comments(''.join(read(root, path) for path in HPP))
    python = ''.join(read(root, os.path.join(PYTHON, name)) for name in sorted(os.listdir(os.path.join(root, PYTHON)))
                     if name.endswith('.py'))
    if len(functions) < 100 or len(operators & functions) < 10 or len(python) < 10000:
        sys.exit('few functions seen: this check is broken')
    # kickmsg-operator.h is C++ as it stands, and small: it has no .hpp
    wrong_cxx = unused('kickmsg.hpp', functions - operators, cxx, NOT_IN_CXX)
    wrong = wrong_cxx + [f'kickmsg.hpp lacks {struct}.{field}' for struct, field in fields_of(headers)
                         if field not in NOT_SET_IN_CXX and not re.search(r'\bret\.%s = ' % field, cxx)]
    wrong += unused('the Python package', functions, python, NOT_IN_PYTHON)
    wrong += missing_names(headers, python)
    # the checks find what is missing here, or this test shows nothing
    if len(unused('', functions - operators, cxx.replace('kickmsg_send_many', ''), NOT_IN_CXX)) != 1 + len(wrong_cxx) or \
            not missing_names(headers, python.replace('max_reliable', '')):
        sys.exit('a function or a field that was taken away is not missed: this check is broken')
    for line in wrong:
        print(line)
    return bool(wrong)


sys.exit(main())
