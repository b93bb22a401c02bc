#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# `meson install` with DESTDIR puts everything below it, and a program builds against what it put there,
# with the shared and with the static library. usage: style-install.sh SOURCE_ROOT BUILD_ROOT MAN(true|false)
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
bad=0

DESTDIR=$work/root meson install -C "$2" --no-rebuild --quiet
(cd "$work/root" && find . ! -type d | sort) >"$work/list"

wanted='/bin/kickmsgctl$ /(s?bin|libexec|lib)/.*kickmsgd$ /include/kickmsg\.h$ /libkickmsg-client\.a$ /libkickmsg-client\.so$
	/libkickmsg-client\.so\.0$ /pkgconfig/libkickmsg-client\.pc$ /system/kickmsgd\.service$ /system/kickmsgd\.socket$
	/user/kickmsgd\.service$ /user/kickmsgd\.socket$ /system-preset/90-kickmsg\.preset$ /sysusers\.d/kickmsg\.conf$
	/tmpfiles\.d/kickmsg\.conf$ /catalog/kickmsgd\.catalog$ /doc/kickmsg/kickmsgd\.conf$'
if [ "$3" = true ]; then
	wanted="$wanted /man8/kickmsgd\.8$ /man8/kickmsgd\.service\.8$ /man8/kickmsgd\.socket\.8$ /man1/kickmsgctl\.1$ /man3/libkickmsg-client\.3$ /man7/kickmsg\.7$"
fi
for pattern in $wanted; do
	grep -qE "$pattern" "$work/list" || { echo "not installed: $pattern"; bad=1; }
done
grep -E '/(hello_|demo|unit-|flow-|stress-|crash-)|\.h$' "$work/list" | grep -v '/kickmsg\.h$' && {
	echo "installed, but for no user"
	bad=1
}

pc=$(dirname "$(find "$work/root" -name libkickmsg-client.pc)")
flags() {
	PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_LIBDIR=$pc pkg-config "$@" libkickmsg-client
}
library=$(dirname "$pc")
# shellcheck disable=SC2046
cc -o "$work/shared" "$1/examples/hello_pubsub.c" $(flags --cflags --libs)
LD_LIBRARY_PATH=$library ldd "$work/shared" | grep -q 'libkickmsg-client\.so\.0' || {
	echo "the program doesn't use the installed shared library"
	bad=1
}
# shellcheck disable=SC2046
cc -o "$work/static" "$1/examples/hello_pubsub.c" $(flags --cflags) "$library/libkickmsg-client.a"
for program in shared static; do
	status=0
	LD_LIBRARY_PATH=$library "$work/$program" 2>"$work/usage" || status=$?
	if [ $status -ne 2 ] || ! grep -q usage "$work/usage"; then
		echo "the $program program doesn't run (status $status)"
		bad=1
	fi
done
exit $bad
