#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The README shows what the tree has: its code blocks are the files that they name, all links and file names exist. usage: style-readme.sh SOURCE_ROOT
set -eu
cd "$1"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

# <!-- FILE --> and then a code block: the block is the file without its licence line
awk -v work="$work" '
	/^<!-- .* -->$/ { name = $2; next }
	/^```c$/ && name != "" { out = work "/" ++n; print name >(work "/names"); inside = 1; next }
	/^```$/ && inside { inside = 0; name = ""; close(out); next }
	inside { print >out }
' README.md
n=0
while read -r file; do
	n=$((n + 1))
	sed 1d "$file" | diff -u --label "$file" --label README.md - "$work/$n" || bad=1
done <"$work/names"
if [ $n -lt 1 ]; then
	echo "only $n programs are shown"
	bad=1
fi

# `path/with.suffix` and [text](path)
for path in $(grep -oE '`(common|libclient|daemon|ctl|examples|tests|man|systemd)/[A-Za-z0-9_./-]*`' README.md | tr -d '`') \
	$(grep -oE '\]\([^)#:]+\)' README.md | sed 's/^](//; s/)$//'); do
	[ -e "$path" ] || { echo "README.md names $path, which isn't there"; bad=1; }
done
for verb in demo test bench soak build setup; do
	./kickstart | grep -qE "^ +$verb " || { echo "./kickstart doesn't list $verb"; bad=1; }
	grep -q "kickstart $verb" README.md || { echo "README.md doesn't tell of ./kickstart $verb"; bad=1; }
done
exit $bad
