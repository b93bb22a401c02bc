#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The type hints of the package and its examples hold (mypy, strict). usage: python-types.sh PYTHON SOURCE_ROOT
set -eu
"$1" -c 'import mypy' 2>/dev/null || { echo "skipped: no mypy"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$2/python"
"$1" -m mypy --cache-dir "$work/cache"

# mypy finds a fault that is put there, or this test shows nothing
cat >"$work/bad.py" <<'END'
import kickmsg

def wrong(subscriber: kickmsg.Subscriber) -> int:
    return subscriber.receive(1)
END
if MYPYPATH=. "$1" -m mypy --strict --cache-dir "$work/cache" "$work/bad.py" >"$work/said"; then
	echo "mypy sees no wrong type: this check is broken"
	exit 1
fi
grep -q 'return-value' "$work/said" || { cat "$work/said"; exit 1; }
