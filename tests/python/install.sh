#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The package is built and installed as its README says, without a network: pip, a wheel, an sdist, and a wheel from it.
# usage: python-install.sh PYTHON SOURCE_ROOT BUILD_ROOT
set -eu
python=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
	echo "$*"
	cat "$work/said" 2>/dev/null
	exit 1
}

for module in pip venv build; do
	"$python" -c "import $module" 2>/dev/null || { echo "skipped: no Python module $module"; exit 77; }
done
export PKG_CONFIG_PATH="$3/meson-uninstalled" LD_LIBRARY_PATH="$3/libclient" CFLAGS="-O0 -g0" PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1
mkdir "$work/source"
(cd "$2/python" && tar -c --exclude=build --exclude=dist --exclude='*.egg-info' --exclude=__pycache__ .) | tar -x -C "$work/source"
version=$(sed -n "s/^[[:blank:]]*version: '\([0-9.]*\)',$/\1/p" "$2/meson.build")

# check PYTHON: checks that the installed package is complete
check() {
	cd "$work"
	said=$("$1" -c 'import kickmsg, os; print(kickmsg.__version__, os.path.exists(os.path.join(os.path.dirname(kickmsg.__file__), "py.typed")))')
	cd - >/dev/null
	[ "$said" = "$version True" ] || fail "the installed package says '$said', not '$version True'"
}

# pip builds in isolation, its default
"$python" -m venv --system-site-packages "$work/venv"
"$work/venv/bin/pip" install "$work/source" >"$work/said" 2>&1 || fail "pip install fails"
check "$work/venv/bin/python"
"$work/venv/bin/pip" uninstall -y kickmsg >"$work/said" 2>&1 || fail "pip uninstall fails"

# Debian's packages aren't for another Python: what the build needs is asked of pip
"$python" -I -S -c '
import sys, sysconfig
sysconfig.get_scheme_names = lambda: ("posix_prefix",)
sys.path.insert(0, sys.argv[1])
import backend
assert backend.get_requires_for_build_wheel() == ["setuptools", "wheel", "cffi"]' "$work/source" >"$work/said" 2>&1 ||
	fail "another Python builds with the packages of Debian's"

# an sdist is built, and a wheel from it
"$python" -m build --no-isolation --outdir "$work/dist" "$work/source" >"$work/said" 2>&1 || fail "python3 -m build fails"
sdist=$work/dist/kickmsg-$version.tar.gz
[ -f "$sdist" ] || fail "no $sdist"
tar -tzf "$sdist" >"$work/list"
for file in backend.py build_native.py setup.py README.md kickmsg/_core.py kickmsg/py.typed kickmsg/_native.pyi examples/hello.py; do
	grep -q "^kickmsg-$version/$file$" "$work/list" || fail "the sdist has no $file"
done
"$work/venv/bin/pip" install --no-deps "$work/dist/"kickmsg-"$version"-*.whl >"$work/said" 2>&1 || fail "the wheel can't be installed"
check "$work/venv/bin/python"
