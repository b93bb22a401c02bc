#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes DIRECTORY hold all that a build for arm64 and its tests under qemu-user need. Next to nothing of it can be
# installed beside the machine's own: libevent-dev of two architectures excludes itself.
#
#   root/      Debian packages, unpacked: the cross compiler and qemu of this machine's architecture,
#              headers and libraries of arm64
#   bin/       the compiler's tools with their libraries, and the emulator with its root; programs that use Check
#              get ten times the time there
#   cross.ini  for `meson setup --cross-file`; written last, so where it is all is there
#
# Nothing of the machine changes and no privileges are needed: apt resolves and downloads with a state, a cache
# and an (empty) list of installed packages of its own, from the sources that the machine has.
# Exit status 77, with the reason in the last line: the packages can't be had here.
# usage: root.sh DIRECTORY
set -euo pipefail
directory=$(realpath -m "$1")
tools=(gcc-aarch64-linux-gnu qemu-user-static)
libraries=(libc6-dev libevent-dev libsystemd-dev libinih-dev libjson-c-dev libsmartcols-dev
	libncurses-dev libzstd-dev liblz4-dev check)

skip() {
	echo "skipped: $1"
	exit 77
}

[ -f "$directory/cross.ini" ] && exit 0
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || skip "no apt here to get Debian's packages"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "the cross compiler is looked for on amd64 alone"

# --- apt with a state of its own, and the machine's configuration without its hooks
apt=$directory/apt
rm -rf "$directory"
mkdir -p "$apt"/{lists,archives}/partial "$apt/parts" "$directory"/{bin,root}
: >"$apt/status"
{
	apt-config dump | grep -vE '^(APT::Architecture|Dir::|[A-Za-z:]+::(Pre|Post)-|DPkg::)'
	cat <<-END
		APT::Architecture "amd64";
		APT::Architectures { "amd64"; "arm64"; };
		APT::Install-Recommends "false";
		APT::Sandbox::User "$(id -un)";
		Acquire::Languages "none";
		Acquire::Retries "2";
		Acquire::http::Timeout "20";
		Dir::Etc::main "/dev/null";
		Dir::Etc::parts "$apt/parts";
		Dir::State "$apt";
		Dir::State::status "$apt/status";
		Dir::State::lists "$apt/lists";
		Dir::Cache "$apt";
		Dir::Cache::archives "$apt/archives";
		Dir::Log "$apt";
	END
} >"$apt/apt.conf"
export APT_CONFIG=$apt/apt.conf LC_ALL=C
apt-get -q update >"$apt/update.log" 2>&1 || skip "apt-get update: $(tail -n 1 "$apt/update.log")"
apt-get -q -y --download-only install "${tools[@]}" "${libraries[@]/%/:arm64}" >"$apt/install.log" 2>&1 ||
	skip "apt-get install: $(grep '^E:' "$apt/install.log" | head -n 1)"

# --- the packages, unpacked; the machine's loader and libc run the tools
for package in "$apt"/archives/*.deb; do
	case ${package##*/} in
	libc6_*_amd64.deb) ;;
	qemu-user-static_*) # this package has emulators of 30 machines
		dpkg-deb --fsys-tarfile "$package" | tar -C "$directory/root" -x ./usr/bin/qemu-aarch64-static
		;;
	*)
		dpkg-deb -x "$package" "$directory/root"
		;;
	esac
done
rm -rf "$apt"

# --- scripts that call the tools
root=$directory/root
for tool in gcc ar strip objcopy; do
	cat >"$directory/bin/$tool" <<-END
		#!/bin/sh
		LD_LIBRARY_PATH='$root/usr/lib/x86_64-linux-gnu' exec '$root/usr/bin/aarch64-linux-gnu-$tool' "\$@"
	END
done
cat >"$directory/bin/emulator" <<-END
	#!/bin/sh
	KICKMSG_EMULATED=1 CK_TIMEOUT_MULTIPLIER=10 exec '$root/usr/bin/qemu-aarch64-static' -L '$root' "\$@"
END
chmod +x "$directory"/bin/*
cat >"$directory/cross.ini.new" <<-END
	[binaries]
	c = '$directory/bin/gcc'
	ar = '$directory/bin/ar'
	strip = '$directory/bin/strip'
	objcopy = '$directory/bin/objcopy'
	pkgconfig = 'pkg-config'
	exe_wrapper = '$directory/bin/emulator'
	[properties]
	sys_root = '$root'
	pkg_config_libdir = '$root/usr/lib/aarch64-linux-gnu/pkgconfig:$root/usr/share/pkgconfig'
	emulator = '$directory/bin/emulator'
	[built-in options]
	c_args = ['--sysroot=$root']
	c_link_args = ['--sysroot=$root']
	[host_machine]
	system = 'linux'
	cpu_family = 'aarch64'
	cpu = 'aarch64'
	endian = 'little'
END
mv "$directory/cross.ini.new" "$directory/cross.ini"
