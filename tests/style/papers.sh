#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The papers stay short enough to be read: lines and words in all, how many words of the README's prose are numbers,
# width of prose, and links that lead somewhere. words.py looks at the sentences. usage: style-papers.sh SOURCE_ROOT
set -eu
cd "$1"
bad=0

# at_most FILE LINES WORDS
at_most() {
	lines=$(wc -l <"$1")
	words=$(wc -w <"$1")
	[ "$lines" -le "$2" ] || { echo "$1 has $lines lines, at most $2 are wanted"; bad=1; }
	[ "$words" -le "$3" ] || { echo "$1 has $words words, at most $3 are wanted"; bad=1; }
}
at_most README.md 150 1000
at_most ARCHITECTURE.md 350 4000
# at most one word in ten is a number: the README is for newcomers, and docs/performance.md has the tables
awk '/^```/ { code = !code } !code { for (i = 1; i <= NF; i++) { all++; numbers += $i ~ /[0-9]/ } }
	END { if (all < 300 || numbers * 10 > all) { print "README.md: " numbers " of " all " words have numbers"; exit 1 } }' \
	README.md || bad=1

checked=0
for paper in README.md ARCHITECTURE.md NEWS.md CONTRIBUTING.md docs/*.md; do
	checked=$((checked + 1))
	# tables and code are as wide as they must be
	awk -v paper="$paper" '
		/^```/ { code = !code }
		code || /^\|/ || /^ *\[[^ ]*\]:/ { next }
		length($0) > 100 { print paper ":" NR ": " length($0) " columns, prose wraps at 100"; bad = 1 }
		END { exit bad }' "$paper" || bad=1
	for path in $(grep -oE '\]\([^)#:]+\)' "$paper" | sed 's/^](//; s/)$//'); do
		[ -e "$(dirname "$paper")/$path" ] || { echo "$paper names $path, which isn't there"; bad=1; }
	done
done
[ $checked -ge 8 ] || { echo "only $checked papers seen: this check is broken"; bad=1; }
exit $bad
