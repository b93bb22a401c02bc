#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Memory orders: every access to shared memory has a label, and goes through common/memory/atomic.h. Every label stands
# in a table of orders with the order that the access uses. Every "pairs with" names labels that exist. usage: style-labels.sh SOURCE_ROOT
set -eu
cd "$1"
exec python3 - <<'PYTHON'
import glob
import re
import sys

LABEL = r"[A-Z]\d+"
CALL = re.compile(r"\bkm_(load|store|cas|and|add|add_own|fence)\(\s*(\w+)\s*,\s*(\w+)\s*(?:,\s*(\w+))?")
RAW = re.compile(r"\b(?:__)?atomic_(?:load|store|exchange|compare|fetch|thread)\w*|\b__sync_\w+")
problems = []
table = {}  # label -> (file, text of its row)
uses = {}

files = sorted(name for part in ("common", "libclient", "daemon")
    for name in glob.glob(part + "/**/*.[ch]", recursive=True))
texts = {}
for name in files:
    with open(name, encoding="utf-8") as source:
        texts[name] = source.read()

# rows: " *   R1 cell load   acquire   pairs with ..." in a paragraph that begins with " * Orders"
for name, text in texts.items():
    inside, current, label_end = False, [], None
    for line in text.splitlines():
        if re.match(r" \* Orders\b", line):
            inside, current = True, []
            continue
        if not inside:
            continue
        if line.strip() in ("*", "*/"):
            inside = False
            continue
        if not line.startswith(" *   "):  # a heading within the table
            current = []
            continue
        row = re.match(rf" \*\s+({LABEL})\s", line)
        if row:
            current = [row.group(1)] + re.findall(rf", ({LABEL}) ", line.split("pairs with")[0])
        for label in current:
            if row and label in table:
                problems.append(f"{name}: {label} is also in the table of {table[label][0]}")
            table[label] = (name, table.get(label, (name, ""))[1] + line + "\n")

for name, text in texts.items():
    if name == "common/memory/atomic.h":
        continue
    code = re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: "\n" * m.group().count("\n"), text, flags=re.S)
    if not name.startswith("daemon/"):
        for raw in RAW.finditer(code):
            line = code[: raw.start()].count("\n") + 1
            problems.append(f"{name}:{line}: {raw.group()} goes round common/memory/atomic.h")
    for call in CALL.finditer(code):
        operation, label, order, fail = call.groups()
        line = code[: call.start()].count("\n") + 1
        uses.setdefault(label, []).append(name)
        if label not in table:
            problems.append(f"{name}:{line}: label {label} is in no table of orders")
            continue
        orders = [order] + ([fail] if operation == "cas" else [])
        for wanted in orders:
            if not re.search(rf"\b{wanted}\b", table[label][1]):
                problems.append(f"{name}:{line}: {label} uses {wanted}; its row in {table[label][0]} doesn't")

for label, (name, row) in sorted(table.items()):
    if label not in uses:
        problems.append(f"{name}: {label} is in the table of orders but no access has it")
for name, text in texts.items():
    for pairs in re.finditer(r"pairs with ([^:;\n)]*)", text):
        for label in re.findall(rf"\b{LABEL}\b", pairs.group(1)):
            if label not in table:
                problems.append(f"{name}: 'pairs with {label}', which doesn't exist")

for problem in problems:
    print(problem)
print(f"{len(table)} labels, {sum(map(len, uses.values()))} accesses")
if len(table) < 15 or sum(map(len, uses.values())) < 40:
    print("too few were found: this check is broken")
    problems.append("broken")
sys.exit(1 if problems else 0)
PYTHON
