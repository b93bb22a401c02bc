# SPDX-License-Identifier: Apache-2.0
# A real systemd as PID 1 of namespaces of its own, over this machine's files: what is written there is gone with it.
# Source this; then machine_boot, machine COMMAND..., machine_stop (also from a trap). Needs root, an overlay file system,
# and the cgroup hierarchies unified, systemd and pids; machine_boot says what is missing and exits with 77.

machine_dir=
machine_init=
machine_outer=
machine_cgroup=kickmsg-test-$$

machine_missing() {
	echo "skipped: $1"
	exit 77
}

# Runs inside the new namespaces, in the process that becomes PID 1.
machine_inner='
set -eu
dir=$1
mount --make-rprivate /
mount -t tmpfs machine "$dir"
mkdir "$dir/upper" "$dir/work" "$dir/root"
mount -t overlay -o "lowerdir=/,upperdir=$dir/upper,workdir=$dir/work" machine "$dir/root"
cd "$dir/root"
rm -rf etc/systemd/system etc/fstab var/log/journal
mkdir -p etc/systemd/system proc sys dev run tmp
# units that would touch the machine below are masked
for unit in getty.target systemd-udevd.service systemd-sysctl.service systemd-modules-load.service \
	systemd-remount-fs.service sys-kernel-debug.mount sys-kernel-tracing.mount sys-kernel-config.mount \
	sys-fs-fuse-connections.mount dev-hugepages.mount apt-daily.timer apt-daily-upgrade.timer; do
	ln -s /dev/null "etc/systemd/system/$unit"
done
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t tmpfs -o mode=755 cgroup sys/fs/cgroup
mkdir sys/fs/cgroup/unified sys/fs/cgroup/systemd sys/fs/cgroup/pids
mount -t cgroup2 cgroup2 sys/fs/cgroup/unified
mount -t cgroup -o none,name=systemd cgroup sys/fs/cgroup/systemd
mount -t cgroup -o pids cgroup sys/fs/cgroup/pids
mount -t tmpfs -o mode=755 dev dev
mkdir dev/pts dev/shm dev/mqueue
mount -t devpts -o newinstance,ptmxmode=666 devpts dev/pts
mount -t tmpfs -o mode=1777 shm dev/shm
mknod -m 666 dev/null c 1 3
mknod -m 666 dev/zero c 1 5
mknod -m 666 dev/full c 1 7
mknod -m 666 dev/random c 1 8
mknod -m 666 dev/urandom c 1 9
mknod -m 666 dev/tty c 5 0
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
mount -t tmpfs -o mode=755 run run
mount -t tmpfs -o mode=1777 tmp tmp
mkdir tmp/old
pivot_root . tmp/old
umount -l /tmp/old
rmdir /tmp/old
mount --make-rshared /
exec env -i container=kickmsg-test PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	setpriv --bounding-set=-sys_time,-sys_module,-sys_rawio \
	/lib/systemd/systemd --system --unit=multi-user.target --show-status=no
'

# Removes what the machine's processes leave: its cgroups and its directory.
machine_sweep='
for tries in $(seq 100); do
	find /sys/fs/cgroup/*/"$1" -depth -type d -exec rmdir {} + 2>/dev/null
	ls -d /sys/fs/cgroup/*/"$1" >/dev/null 2>&1 || break
	sleep 0.02
done
[ -n "$2" ] && rm -rf "$2" "$2".*
'

machine_boot() {
	local hierarchy state tries

	[ "$(id -u)" -eq 0 ] || machine_missing "only root can start a systemd of its own"
	[ -x /lib/systemd/systemd ] || machine_missing "systemd is not installed"
	for hierarchy in unified systemd pids; do
		[ -d "/sys/fs/cgroup/$hierarchy" ] || machine_missing "no cgroup hierarchy $hierarchy here"
		mkdir "/sys/fs/cgroup/$hierarchy/$machine_cgroup" 2>/dev/null ||
			machine_missing "no cgroup can be made in $hierarchy"
	done
	machine_dir=$(mktemp -d /tmp/kickmsg-machine-XXXXXX)
	# if this shell is killed the machine dies with it (--pdeathsig), and nobody writes here any more
	exec {machine_alive}> >(exec setsid bash -c "trap '' TERM INT HUP; cat; $machine_sweep" janitor \
		"$machine_cgroup" "$machine_dir" >/dev/null 2>&1)
	sh -c '
		for hierarchy in unified systemd pids; do
			echo $$ >"/sys/fs/cgroup/$hierarchy/$1/cgroup.procs"
		done
		exec setpriv --pdeathsig KILL setsid unshare --mount --pid --uts --ipc --net --cgroup --fork --kill-child \
			bash -c "$2" machine "$3"' boot \
		"$machine_cgroup" "$machine_inner" "$machine_dir" </dev/null >"$machine_dir.log" 2>&1 &
	machine_outer=$!
	for tries in $(seq 1500); do
		kill -0 "$machine_outer" 2>/dev/null || break
		read -r machine_init _ 2>/dev/null <"/proc/$machine_outer/task/$machine_outer/children" || true
		if [ -n "$machine_init" ] && [ -S "/proc/$machine_init/root/run/systemd/private" ]; then
			state=$(machine systemctl is-system-running --wait 2>/dev/null || true)
			case $state in running | degraded) return 0 ;; esac
		fi
		sleep 0.02
	done
	tail -n 5 "$machine_dir.log"
	machine_missing "no systemd of its own can be started here"
}

# Runs a command within the machine.
machine() {
	nsenter -t "$machine_init" -a -- "$@"
}

machine_stop() {
	local tries

	set +e
	if [ -n "$machine_outer" ]; then
		# systemd powers off at once by this signal
		[ -n "$machine_init" ] && kill -s RTMIN+14 "$machine_init" 2>/dev/null
		for tries in $(seq 250); do
			kill -0 "$machine_outer" 2>/dev/null || break
			sleep 0.02
		done
		kill -9 "$machine_outer" 2>/dev/null # by --kill-child all its processes end
		wait "$machine_outer" 2>/dev/null
	fi
	bash -c "$machine_sweep" sweep "$machine_cgroup" "$machine_dir"
}

# until_it TEXT COMMAND...: waits until the command succeeds, at most 30 s; else fail TEXT, which is the test's.
until_it() {
	local what=$1 tries

	shift
	for tries in $(seq 300); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.1
	done
	fail "$what"
}
