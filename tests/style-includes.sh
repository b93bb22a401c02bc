#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Who includes whom: common/ nobody, libclient/ and daemon/ common/ and never each other, ctl/ libclient/ and
# common/, examples/ the public header alone. usage: style-includes.sh SOURCE_ROOT
set -eu
cd "$1"
bad=0
checked=0

# allowed FOLDER PLACE...: quoted includes of FOLDER's files are found in these places only
allowed() {
	folder=$1
	shift
	for file in $(find "$folder" -name '*.[ch]'); do
		for header in $(sed -n 's/^[[:blank:]]*#[[:blank:]]*include[[:blank:]]*"\([^"]*\)".*/\1/p' "$file"); do
			checked=$((checked + 1))
			found=
			for place in "$(dirname "$file")" "$@"; do
				case $place/$header in
				examples/kickmsg.h) ;;
				*) [ ! -e "$place/$header" ] || found=$place ;;
				esac
			done
			if [ -z "$found" ]; then
				echo "$file: may not include \"$header\""
				bad=1
			fi
		done
		# what isn't libc's
		case $folder in
		common | libclient | examples) others='event2/|event\.h|systemd/|check\.h|ini\.h|json' ;;
		ctl) others='event2/|event\.h|systemd/|check\.h' ;;
		*) others='check\.h' ;;
		esac
		if grep -nE "^[[:blank:]]*#[[:blank:]]*include[[:blank:]]*<($others)" "$file"; then
			echo "$file: may not use that library"
			bad=1
		fi
	done
}

# the explorer's header stands in for C11's atomics in its own build (common/atomic.h says when)

allowed common common tests/explore
allowed libclient libclient common
allowed daemon daemon common
allowed ctl ctl libclient common
public=$(mktemp -d)
trap 'rm -rf "$public"' EXIT
cp libclient/kickmsg.h "$public"
allowed examples "$public"

# only common/atomic.h may reach the explorer
if grep -rlE 'explore_atomic' common libclient daemon ctl | grep -v '^common/atomic.h$'; then
	echo "only common/atomic.h may know of the explorer"
	bad=1
fi
# the same rule for what is linked
if [ -e daemon/meson.build ] && grep -nE 'client_dep|client_static_dep|client_libs' daemon/meson.build; then
	echo "daemon/meson.build: the broker doesn't link the client library"
	bad=1
fi
if [ "$checked" -lt 20 ]; then
	echo "only $checked includes seen: this check is broken"
	bad=1
fi
exit $bad
