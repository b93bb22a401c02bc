#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All sources build without a warning. Explorers with a seeded fault are left out: they are the same sources. usage: style-warnings.sh SOURCE_ROOT COMPILER
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v "$2" >/dev/null || { echo "no $2"; exit 1; }
if ! CC=$2 meson setup --werror -Dfaults=false "$work/build" "$1" >"$work/log" 2>&1; then
	cat "$work/log"
	exit 1
fi
if ! ninja -k 0 -C "$work/build" >"$work/log" 2>&1; then
	grep -vE '^\[[0-9]+/[0-9]+\]' "$work/log"
	exit 1
fi
if grep -E 'warning:' "$work/log"; then
	exit 1
fi
