#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything of the C headers is in kickmsg*.hpp and in the Python package.

A function of the version map is in a binding when that names it, or names another function that does all that it does. A
field of a config or of options is there when the binding names it, and so is an enumerator in the Python package.
tests/python/test_operator.py compares the fields of the structs that Python reads.

usage: bindings.py SOURCE_ROOT
"""
import os
import re
import sys

HPP = ('libclient/kickmsg.hpp', 'libclient/kickmsg-operator.hpp', 'libclient/kickmsg-service.hpp')
PYTHON = 'python/kickmsg'
# functions that Python needn't call, and the one by which it does the same
OTHERWISE_IN_PYTHON = {
    'kickmsg_call': 'kickmsg_call_begin',  # Python handles signals before the reply comes
    'kickmsg_subscribe': 'kickmsg_subscribe_to',
    'kickmsg_try_receive': 'kickmsg_receive',
    'kickmsg_try_receive_copy': 'kickmsg_receive_copy',
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


def unused(what, functions, text, otherwise):
    """Returns what is wrong: a function that isn't there, and a line of `otherwise` that isn't so."""
    used = functions & set(re.findall(r'\bkickmsg_\w+', text))
    wrong = [f'{what} has no {name}' for name in sorted(functions - used - set(otherwise))]
    return wrong + [f'{what}: tests/style/bindings.py says that it does {name}() by {other}(), which isn\'t so'
                    for name, other in otherwise.items() if name in used or name not in functions or other not in used]


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
        if not re.search(r'\b%s\b' % enumerator, text):
            wrong.append(f'Python lacks {enumerator}')
    return wrong


def main():
    root = sys.argv[1]
    functions = functions_of(root)
    headers = without_comments(''.join(read(root, 'libclient/' + name)
                                       for name in ('kickmsg.h', 'kickmsg-service.h', 'kickmsg-operator.h')))
    cxx = without_comments(''.join(read(root, path) for path in HPP))
    python = ''.join(read(root, os.path.join(PYTHON, name)) for name in sorted(os.listdir(os.path.join(root, PYTHON)))
                     if name.endswith('.py'))
    if len(functions) < 100 or len(python) < 10000:
        sys.exit('few functions seen: this check is broken')
    wrong_cxx = unused('kickmsg*.hpp', functions, cxx, {})
    wrong = wrong_cxx + [f'kickmsg*.hpp lacks {struct}.{field}' for struct, field in fields_of(headers)
                         if field not in NOT_SET_IN_CXX and not re.search(r'\bret\.%s = ' % field, cxx)]
    wrong += unused('the Python package', functions, python, OTHERWISE_IN_PYTHON)
    wrong += missing_names(headers, python)
    # the checks find what is missing here, or this test shows nothing
    if len(unused('', functions, cxx.replace('kickmsg_send_many', ''), {})) != 1 + len(wrong_cxx) or \
            len(unused('', functions, python.replace('kickmsg_receive_copy', ''), OTHERWISE_IN_PYTHON)) < 2 or \
            not missing_names(headers, python.replace('max_reliable', '')):
        sys.exit('a function or a field that was taken away is not missed: this check is broken')
    for line in wrong:
        print(line)
    return bool(wrong)


sys.exit(main())
