#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every C file has the format of .clang-format (version 14, Debian 12's) and a licence line, and no paper has trailing
# blanks. usage: style-format.sh SOURCE_ROOT
set -eu
cd "$1"
command -v clang-format >/dev/null || { echo "no clang-format"; exit 1; }

files=$(find common libclient daemon ctl examples tests \( -name '*.[ch]' -o -name '*.hpp' -o -name '*.cc' \) | sort)
[ -n "$files" ]
bad=0
# shellcheck disable=SC2086
clang-format --dry-run -Werror $files || bad=1
for file in $files; do
	head -n 1 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0' || {
		echo "$file: the first line isn't the licence's"
		bad=1
	}
done
# clang-format leaves comments alone, since it would destroy tables of orders, so this checks their width
for file in $files; do
	if expand -t 8 "$file" | grep -nE '^.{121,}' | sed "s|^|$file:|" | grep .; then
		bad=1
	fi
done
for file in $(find . -name meson.build -not -path './build*'; echo kickstart README.md) $files; do
	if grep -nE '[[:blank:]]+$' "$file" | sed "s|^|$file:|" | grep .; then
		bad=1
	fi
done
exit $bad
