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

wanted='/bin/kickmsgctl$ /(s?bin|libexec|lib)/.*kickmsgd$ /include/kickmsg\.h$ /include/kickmsg-operator\.h$ /include/kickmsg-service\.h$ /include/kickmsg\.hpp$ /include/kickmsg-operator\.hpp$ /include/kickmsg-service\.hpp$ /libkickmsg-client\.a$ /libkickmsg-client\.so$
	/libkickmsg-client\.so\.1$ /pkgconfig/libkickmsg-client\.pc$ /system/kickmsgd\.service$ /system/kickmsgd\.socket$
	/user/kickmsgd\.service$ /user/kickmsgd\.socket$ /system-preset/90-kickmsg\.preset$ /sysusers\.d/kickmsg\.conf$
	/tmpfiles\.d/kickmsg\.conf$ /catalog/kickmsgd\.catalog$ /doc/kickmsg/kickmsgd\.conf$ /bash-completion/completions/kickmsgctl\.bash$ /zsh/site-functions/_kickmsgctl$ /fish/vendor_completions\.d/kickmsgctl\.fish$ /doc/kickmsg/kickmsgd-(metrics\.conf|dashboard\.json|alerts\.yaml)$ /cmake/kickmsg/kickmsgConfig\.cmake$
	/cmake/kickmsg/kickmsgConfigVersion\.cmake$ /doc/kickmsg/examples/hello\.c$ /doc/kickmsg/examples/cxx/hello_pubsub\.cc$
	/doc/kickmsg/examples/python/hello\.py$ /doc/kickmsg/examples/cmake/CMakeLists\.txt$ /kickmsg/python/pyproject\.toml$'
if [ "$3" = true ]; then
	wanted="$wanted /man8/kickmsgd\.8$ /man8/kickmsgd\.service\.8$ /man8/kickmsgd\.socket\.8$ /man1/kickmsgctl\.1$ /man3/libkickmsg-client\.3$ /man7/kickmsg\.7$"
fi
for pattern in $wanted; do
	grep -qE "$pattern" "$work/list" || { echo "not installed: $pattern"; bad=1; }
done
grep -v /doc/kickmsg/examples/ "$work/list" | grep -E '/(hello|demo|unit-|flow-|stress-|crash-)|\.h$' | grep -vE '/kickmsg(-operator|-service)?\.h$' && {
	echo "installed, but for no user"
	bad=1
}

# `man 3 FUNCTION` shows each public function's page
if [ "$3" = true ]; then
	man3=$(dirname "$(find "$work/root" -name libkickmsg-client.3)")
	sed -n 's/^[[:blank:]]*\(kickmsg_[a-z0-9_]*\);$/\1/p' "$1/libclient/libkickmsg-client.map" >"$work/functions"
	[ "$(wc -l <"$work/functions")" -ge 100 ] || { echo "few functions seen: this check is broken"; bad=1; }
	while read -r function; do
		[ "$(cat "$man3/$function.3" 2>/dev/null)" = ".so man3/libkickmsg-client.3" ] ||
			{ echo "no man page $function(3)"; bad=1; }
	done <"$work/functions"
	if command -v man >/dev/null && ! man -M "${man3%/man3}" 3 kickmsg_send 2>"$work/said" | grep -q 'kickmsg_send('; then
		echo "man 3 kickmsg_send doesn't show it: $(cat "$work/said")"
		bad=1
	fi
fi

# each file belongs to a Debian package, else the packages can't be built
sed -E 's/[[:blank:]].*//; s#^usr/##; s#/\*/#*/#' "$1"/debian/*.install >"$work/packaged"
while read -r file; do
	packaged=
	while read -r pattern; do
		# shellcheck disable=SC2254
		case $file in
		*/$pattern | */$pattern/*) packaged=yes ;;
		esac
	done <"$work/packaged"
	[ -n "$packaged" ] || { echo "in no Debian package: $file"; bad=1; }
done <"$work/list"

pc=$(dirname "$(find "$work/root" -name libkickmsg-client.pc)")
flags() {
	PKG_CONFIG_SYSROOT_DIR=$work/root PKG_CONFIG_LIBDIR=$pc pkg-config "$@" libkickmsg-client
}
library=$(dirname "$pc")
# Debian's loader looks in a folder of the architecture, which meson learns from dpkg-dev
multiarch=$(gcc -print-multiarch 2>/dev/null) || multiarch=
case $library in
*/"${multiarch:-}") ;;
*) [ -z "$multiarch" ] || { echo "the library goes to ${library#"$work/root"}, not to lib/$multiarch"; bad=1; } ;;
esac
# shellcheck disable=SC2046
cc -o "$work/shared" "$1/examples/hello.c" $(flags --cflags --libs)
LD_LIBRARY_PATH=$library ldd "$work/shared" | grep -q 'libkickmsg-client\.so\.1' || {
	echo "the program doesn't use the installed shared library"
	bad=1
}
# shellcheck disable=SC2046
cc -o "$work/static" "$1/examples/hello.c" $(flags --cflags) "$library/libkickmsg-client.a"
for program in shared static; do
	status=0
	LD_LIBRARY_PATH=$library KICKMSG_SOCKET=$work/nobody "$work/$program" 2>"$work/said" || status=$?
	if [ $status -ne 1 ] || ! grep -q "^hello: $work/nobody: no broker" "$work/said"; then
		echo "the $program program doesn't run (status $status)"
		bad=1
	fi
done
# pkg-config also tells of these variables
[ "$(PKG_CONFIG_LIBDIR=$pc pkg-config --variable=socket_path libkickmsg-client)" = /run/kickmsg/kickmsgd.sock ] || { echo "pkg-config doesn't tell the socket's path"; bad=1; }
for variable in examplesdir pythondir; do
	folder=$(PKG_CONFIG_LIBDIR=$pc pkg-config --variable=$variable libkickmsg-client)
	[ -d "$work/root$folder" ] || { echo "pkg-config says $variable is $folder, which isn't there"; bad=1; }
done
exit $bad
