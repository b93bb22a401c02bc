#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The checkout as a meson subproject: gives the dependency, and nothing but the library is built.
# usage: style-subproject.sh SOURCE_ROOT
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mkdir -p "$work/project/subprojects"
ln -s "$1" "$work/project/subprojects/kickmsgd"
cat >"$work/project/meson.build" <<'END'
project('user', 'c', default_options: ['c_std=c11', 'warning_level=2', 'werror=true'])
kickmsg = dependency('libkickmsg-client', fallback: ['kickmsgd'])
executable('user', 'user.c', dependencies: kickmsg)
END
cat >"$work/project/user.c" <<'END'
#include <kickmsg.h>
#include <stdio.h>

int main(void)
{
	return puts(kickmsg_version()) < 0;
}
END
# a library that is installed on this machine must not be found instead
meson setup --force-fallback-for=libkickmsg-client "$work/build" "$work/project" >"$work/log" 2>&1 &&
	ninja -C "$work/build" user >>"$work/log" 2>&1 || {
	cat "$work/log"
	exit 1
}
version=$("$work/build/user")
wanted=$(sed -n "s/^[[:blank:]]*version: '\([0-9.]*\)',$/\1/p" "$1/meson.build")
if [ "$version" != "$wanted" ]; then
	echo "the program says '$version', not '$wanted'"
	exit 1
fi
if ninja -C "$work/build" -t targets all | grep -E 'kickmsgd:|kickmsgctl:|unit-|hello'; then
	echo "a subproject should build the library alone"
	exit 1
fi
