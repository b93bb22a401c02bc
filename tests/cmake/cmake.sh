#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# CMake programs: against what `meson install` puts somewhere (find_package), and with the library built beside them
# (ExternalProject). usage: flow-cmake.sh SOURCE_ROOT BUILD_ROOT PREFIX
set -eu
command -v cmake >/dev/null || { echo "skipped: no cmake"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "$*"
	cat "$work/said"
	exit 1
}

# makes NAME ARGUMENT...: configures and builds, and runs `hello`, which says where it looked for a broker
makes() {
	name=$1
	shift
	cmake -B "$work/$name" "$@" >"$work/said" 2>&1 || fail "$name can't be configured"
	cmake --build "$work/$name" >"$work/said" 2>&1 || fail "$name can't be built"
	for program in hello hello_pubsub; do
		[ -x "$work/$name/$program" ] || continue
		if KICKMSG_SOCKET=$work/nobody "$work/$name/$program" >"$work/said" 2>&1; then
			fail "$name: $program succeeds without a broker"
		fi
		grep -q "^$program: $work/nobody: no broker" "$work/said" || fail "$name: $program doesn't run"
	done
}

DESTDIR=$work/root meson install -C "$2" --no-rebuild --quiet
export CMAKE_PREFIX_PATH="$work/root$3"
makes installed "$1/examples/cmake"
[ -x "$work/installed/hello_pubsub" ] || fail "hello_pubsub isn't built"

# find_package() refuses another version than the one that is asked for
mkdir "$work/newer"
printf 'cmake_minimum_required(VERSION 3.16)\nproject(newer C)\nfind_package(kickmsg 0.3 REQUIRED)\n' >"$work/newer/CMakeLists.txt"
if cmake -B "$work/newer/build" "$work/newer" >"$work/said" 2>&1; then
	fail "0.2 is taken for 0.3"
fi
grep -q 'kickmsgConfig.cmake, version: 0\.2' "$work/said" || fail "not a clear error"

unset CMAKE_PREFIX_PATH
makes external -DKICKMSGD_SOURCE="$1" "$1/examples/cmake/external"
