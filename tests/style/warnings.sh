#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# All sources build without a warning. Explorers with a seeded fault are left out: they are the same sources.
# gcc warns of some faults only when it optimises, so it builds everything; clang finds its warnings as it parses, so it
# makes no code. usage: style-warnings.sh SOURCE_ROOT COMPILER
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

command -v "$2" >/dev/null || { echo "no $2"; exit 1; }
if ! CC=$2 meson setup --werror -Ddebug=false "$work/build" "$1" >"$work/log" 2>&1; then
	cat "$work/log"
	exit 1
fi
targets=
if [ "$2" = clang ]; then
	sed -i '/^rule c_COMPILER$/,/^$/s/^ command = .* \$ARGS/& -fsyntax-only/' "$work/build/build.ninja"
	grep -q -e '-fsyntax-only' "$work/build/build.ninja" || { echo "no rule of a compiler: this check is broken"; exit 1; }
	targets=$(ninja -C "$work/build" -t targets all | sed -n 's/: c_COMPILER$//p')
	[ "$(echo "$targets" | wc -l)" -gt 400 ] || { echo "few sources seen: this check is broken"; exit 1; }
fi
# shellcheck disable=SC2086
if ! ninja -k 0 -C "$work/build" $targets >"$work/log" 2>&1; then
	grep -vE '^\[[0-9]+/[0-9]+\]' "$work/log"
	exit 1
fi
if grep -E 'warning:' "$work/log"; then
	exit 1
fi
