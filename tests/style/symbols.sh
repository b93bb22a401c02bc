#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The shared library exports exactly what the version map lists and the installed headers declare, and needs libc
# alone. usage: style-symbols.sh SOURCE_ROOT LIBRARY
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

nm -D --defined-only "$2" | awk '$2 ~ /^[A-Z]$/ && $2 != "A" { sub(/@.*/, "", $3); print $3 }' |
	sort -u >"$work/exported"
sed -n 's/^[[:blank:]]*\(kickmsg_[a-z0-9_]*\);$/\1/p' "$1/libclient/libkickmsg-client.map" | sort >"$work/map"
# declarations: a name and a bracket, outside of comments
sed 's|/\*.*\*/||; /\/\*/,/\*\//d' "$1"/libclient/kickmsg*.h | grep -oE '\bkickmsg_[a-z0-9_]+\(' |
	tr -d '(' | sort -u >"$work/header"
[ "$(wc -l <"$work/header")" -ge 20 ] || { echo "too few declarations found: this check is broken"; exit 1; }
for other in exported header; do
	if ! diff -u "$work/map" "$work/$other"; then
		echo "the version map and what is $other differ"
		bad=1
	fi
done

ldd "$2" | awk '{ print $1 }' | grep -vE '^(linux-vdso\.so\.1|linux-gate\.so\.1|libc\.so\.6|.*/ld-linux.*)$' && {
	echo "the library needs more than libc"
	bad=1
}
exit $bad
