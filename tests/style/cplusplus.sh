#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The installed headers give a C++ program no warning, however many it asks for: the C headers and kickmsg*.hpp by
# g++ and by clang++, from C++17 to C++23. Needs g++; skipped without it. usage: style-cplusplus.sh SOURCE_ROOT
set -eu
command -v g++ >/dev/null || { echo "skipped: no g++"; exit 77; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
flags="-I$1/libclient -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Werror -fsyntax-only"

printf '#include <kickmsg-operator.h>\n#include <kickmsg-service.h>\nint main() { return kickmsg_version() == nullptr; }\n' >"$work/good.cc"
# A struct and a function have one name here: the compilers warn, or this test shows nothing.
printf 'struct twice { int x; };\nint twice(struct twice *);\n' >"$work/bad.cc"
g++ -std=c++17 $flags "$work/good.cc"
if g++ -std=c++17 $flags "$work/bad.cc" 2>/dev/null; then
	echo "a struct and a function of one name gave no warning: this check is broken"
	exit 1
fi

# sources that use each class and template; one uses no exceptions and is compiled without them
printf '#include <kickmsg-operator.hpp>\n#include <kickmsg-service.hpp>\nint main() { kickmsg::Node n("n"); kickmsg::Server<> s(n, "s"); s.try_take_request(); kickmsg::Operator(n).status(); return n.advertise("t").send("", 0); }\n' >"$work/plain.cc"
check() {
	command -v "$1" >/dev/null || { echo "no $1"; return 0; }
	for standard in c++17 c++20 c++2b; do
		for source in flow service operator shapes; do
			"$1" -std=$standard $flags "$source_root/tests/cplusplus/$source.cc"
		done
	done
	"$1" -std=c++17 -fno-exceptions -fno-rtti $flags "$work/plain.cc"
}
source_root=$1
check g++ &
of_gcc=$!
check clang++ &
of_clang=$!
bad=0
wait $of_gcc || bad=1
wait $of_clang || bad=1
exit $bad
