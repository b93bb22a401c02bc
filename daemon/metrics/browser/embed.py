#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a C source of the page for browsers (browser.h): one document with its style and its script in it.

The policy that goes with the page allows this style and this script by their hashes, and nothing else but
requests to where the page came from.

usage: embed.py OUTPUT PAGE.html STYLE.css SCRIPT.js...
"""
import base64
import hashlib
import sys


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def digest(text):
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def literal(text):
    """The text as string literals, a line each."""
    lines = []
    for line in text.splitlines(keepends=True):
        escaped = "".join(
            {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"}.get(c)
            or (c if " " <= c <= "~" else "".join(f"\\{byte:03o}" for byte in c.encode()))
            for c in line)
        lines.append(f'\t"{escaped}"')
    return "\n".join(lines).replace("??", '?""?')


def main():
    output, page, style, *scripts = sys.argv[1:]
    css = "\n" + read(style)
    script = "\n'use strict';\n" + "".join(read(path) for path in scripts)
    whole = read(page)
    for mark, text in (("<!--STYLE-->", f"<style>{css}</style>"), ("<!--SCRIPT-->", f"<script>{script}</script>")):
        if whole.count(mark) != 1:
            sys.exit(f"{page} has no {mark}, or more than one")
        whole = whole.replace(mark, text)
    for text in (css, script):
        if "</style" in text or "</script" in text:
            sys.exit("a style or script can't have its own end in it")
    policy = (f"default-src 'none'; script-src {digest(script)}; style-src {digest(css)}; connect-src 'self'; "
              "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
    with open(output, "w", encoding="utf-8") as file:
        file.write(f"""/* Made by embed.py. */
#include <stddef.h>
extern const char km_browser_page[], km_browser_policy[];
extern const size_t km_browser_size;
const char km_browser_page[] =
{literal(whole)};
const size_t km_browser_size = sizeof km_browser_page - 1;
const char km_browser_policy[] =
{literal(policy)};
""")


main()
