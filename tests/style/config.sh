#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The keys of the config: the program's, the example's and the manual's are the same, and the example is right when
# all of it counts. usage: style-config.sh SOURCE_ROOT KICKMSGD
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# the places where the program compares keys, and its tables of limits and of rights
sed -nE 's/.*(strcmp\(key, |\[KM_RIGHT_[A-Z]+\] = )"([a-z_]+)".*/\2/p; s/.*\{ "([a-z_]+)", offsetof.*/\1/p' \
	"$1/daemon/run/config_keys.c" "$1/daemon/run/policy.c" | sort -u >"$work/program"
sed -nE 's/^#([a-z_]+) = .*/\1/p' "$1/systemd/kickmsgd.conf" | sort -u >"$work/example"
sed -nE '/^# \[/,$s/^\*([a-z_]+)\*$/\1/p' "$1/man/kickmsgd.conf.5.scd" | sort -u >"$work/manual"
[ "$(wc -l <"$work/program")" -ge 18 ] || { echo "the program's keys weren't found"; exit 1; }
diff "$work/program" "$work/example" || { echo "program (<) and example (>) differ"; exit 1; }
diff "$work/program" "$work/manual" || { echo "program (<) and manual (>) differ"; exit 1; }
"$2" --config "$1/systemd/kickmsgd.conf" --check-config >"$work/said"
sed -E 's/^#([a-z_]+ = )/\1/' "$1/systemd/kickmsgd.conf" >"$work/all.conf"
[ "$(grep -cE '^[a-z_]+ = ' "$work/all.conf")" -eq "$(wc -l <"$work/program")" ]
"$2" --config "$work/all.conf" --check-config >"$work/said"
grep -qx OK "$work/said"
