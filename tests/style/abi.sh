#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shared library's interface is what libclient/libkickmsg-client.abi describes: its symbols, and each type of
# the installed headers with its sizes and offsets. CONTRIBUTING says when the description may change. Needs abidw and abidiff
# (abigail-tools); skipped without them, and off x86-64, whose the description is.
# usage: style-abi.sh SOURCE_ROOT [write]
set -eu
kept=$1/libclient/libkickmsg-client.abi
for tool in abidw abidiff gcc; do
	command -v $tool >/dev/null || { echo "skipped: no $tool"; exit 77; }
done
[ "$(gcc -dumpmachine)" = x86_64-linux-gnu ] || { echo "skipped: the description is for x86-64"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
unset CFLAGS CPPFLAGS LDFLAGS

# a build of its own: abidw reads no debug information that lies apart, as ./kickstart build has it
if ! { CC=gcc meson setup --buildtype=debug -Dtests=false "$work/build" "$1" &&
	meson compile -C "$work/build" -j 2 kickmsg-client:shared_library; } >"$work/log" 2>&1; then
	cat "$work/log"
	exit 1
fi
mkdir "$work/public" # the headers that are installed
cp "$1"/libclient/kickmsg*.h "$work/public"
abidw --headers-dir "$work/public" --drop-private-types --drop-undefined-syms --no-show-locs --no-corpus-path \
	--no-comp-dir-path --no-elf-needed --out-file "$work/now.abi" "$work/build/libclient/libkickmsg-client.so"
if [ "${2-}" = write ]; then
	cp "$work/now.abi" "$kept"
	exit 0
fi
if ! abidiff "$kept" "$work/now.abi"; then
	echo "the interface isn't as libclient/libkickmsg-client.abi has it: see CONTRIBUTING, Versions"
	exit 1
fi
# abidiff sees another size of one struct, or this test shows nothing
sed "/class-decl name='kickmsg_sample'/s/size-in-bits='[0-9]*'/size-in-bits='64'/" "$kept" >"$work/other.abi"
if abidiff "$kept" "$work/other.abi" >/dev/null; then
	echo "a struct of another size isn't seen: this check is broken"
	exit 1
fi
