#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ./kickstart on a machine whose commands are played by scripts: what it installs, how it waits, what it builds.
# usage: style-kickstart.sh SOURCE_ROOT
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
cp "$1/kickstart" "$work/"

fail() {
	echo "$*"
	cat "$work/calls" "$work/said" 2>/dev/null
	exit 1
}

# play NAME: makes a command of that name whose body is stdin; each call of it is written down
play() {
	{
		printf '#!/bin/bash\necho "%s $*" >>%q\n' "$1" "$work/calls"
		cat
	} >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

play dpkg <<<'echo amd64'
# every package is installed, but libevent-dev only for another architecture
play dpkg-query <<-'END'
	case ${!#} in
	libevent-dev) echo 'arm64 install ok installed' ;;
	libinih-dev) printf 'arm64 install ok installed\namd64 install ok installed\n' ;;
	scdoc) echo 'amd64 deinstall ok config-files' ;;
	meson) echo 'all install ok installed' ;;
	*) echo 'amd64 hold ok installed' ;;
	esac
END
play sudo <<<'exec "$@"'
play meson <<-'END'
	mkdir -p "$2/meson-info"
	touch "$2/build.ninja"
END
play ninja <<<:
# apt's words may be written down late
play tee <<<'sleep 0.2; exec /usr/bin/tee "$@"'
# another apt runs: it has a lock for two tries
play apt-get <<-END
	case "\$*" in
	*update*)
		echo . >>"$work/tries"
		[ \$(wc -l <"$work/tries") -gt 2 ] || { echo 'E: Could not get lock /var/lib/apt/lists/lock.' >&2; exit 100; }
		;;
	esac
END
export PATH=$work/bin:$PATH KICKSTART_PATIENCE=0

"$work/kickstart" build >"$work/said" 2>&1 || fail "build fails"
[ "$(wc -l <"$work/tries")" -eq 3 ] || fail "it doesn't wait for the lock of the lists"
grep -q '^apt-get .*DPkg::Lock::Timeout=[1-9].* install .*--no-install-recommends libevent-dev scdoc$' "$work/calls" ||
	fail "it should install libevent-dev and scdoc, and wait for dpkg's lock"
grep -qE '^dpkg-query .* (check|valgrind|strace)$' "$work/calls" && fail "build asks for what only tests need"
grep -q '^meson setup build .*-Dtests=false' "$work/calls" || fail "build makes tests"
grep -q '^ninja -C build .*programs$' "$work/calls" || fail "build builds more than programs"

# kickstart doesn't wait for an error other than a lock
play apt-get <<<'echo "E: no network" >&2; exit 100'
rm -rf "$work/build"
if KICKSTART_PATIENCE=1000 timeout 60 "$work/kickstart" build >"$work/said" 2>&1; then
	fail "an apt-get that fails is no failure"
fi
grep -q 'no network' "$work/said" || fail "apt's words are lost"
[ -e "$work/build" ] && fail "it builds without its packages"

# a link to a section of a paper finds it in html, and so does one to the licence
play apt-get <<<:
play scdoc <<<cat
play mandoc <<<cat
play cmark-gfm <<<'echo "<h2>How it <em>works</em> (2026-12-01) &amp; why</h2>"'
mkdir "$work/man" "$work/docs"
touch "$work/man/x.7.scd" "$work/README.md" "$work/docs/x.md" "$work/LICENSE"
"$work/kickstart" docs >"$work/said" 2>&1 || fail "docs fails"
grep -q '^<h2 id="how-it-works-2026-12-01--why">' "$work/build-docs/docs/x.html" || fail "a section has no name"
for file in LICENSE README.html x.7.html; do
	[ -f "$work/build-docs/$file" ] || fail "no build-docs/$file"
done

# kickstart's list of libraries and the Debian packages' build dependencies name the same ones
here=$(sed -n '/^build_packages=(/,/)/p' "$1/kickstart" | grep -oE 'lib[a-z0-9-]+-dev' | grep -vx libc6-dev | sort)
there=$(grep -oE '^ lib[a-z0-9-]+-dev' "$1/debian/control" | tr -d ' ' | sort)
[ "$(wc -w <<<"$here")" -ge 5 ] || fail "few libraries seen: this check is broken"
[ "$here" = "$there" ] || fail "kickstart and debian/control differ: $(diff <(echo "$here") <(echo "$there"))"

# a shell whose completion is tested is installed for that
shells=$(sed -n "s/^foreach shell : \[\(.*\)\]$/\1/p" "$1/tests/meson.build" | tr -d "',")
[ "$(wc -w <<<"$shells")" -ge 2 ] || fail "few shells seen: this check is broken"
for shell in $shells; do
	sed -n '/^test_packages=(/,/)/p' "$1/kickstart" | grep -qw "$shell" || fail "test_packages of kickstart lacks $shell"
done
exit 0
