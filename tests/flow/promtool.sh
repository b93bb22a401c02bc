#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the broker serves, its alert rules and its dashboard, as promtool reads them: $PROMTOOL, or the one in the path.
# Without promtool the names alone are compared. usage: promtool.sh SOURCE_ROOT KICKMSGD
set -eu
work=$(mktemp -d)
pid=
trap '[ -z "$pid" ] || kill "$pid"; rm -rf "$work"' EXIT
printf '[metrics]\nlisten = unix:%s/m\n' "$work" >"$work/conf"
"$2" --config "$work/conf" --socket "$work/s" 2>"$work/log" &
pid=$!
get() {
	python3 -c '
import http.client, socket, sys, time
class Local(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])
for _ in range(200):
    try:
        c = Local("localhost")
        c.request("GET", "/metrics", headers={"Accept": sys.argv[2]})
        break
    except OSError:
        time.sleep(0.05)
r = c.getresponse()
assert r.status == 200
sys.stdout.write(r.read().decode())' "$work/m" "$1"
}
get text/plain >"$work/text"
get application/openmetrics-text >"$work/openmetrics"
[ "$(tail -n 1 "$work/openmetrics")" = "# EOF" ]
# no rule and no panel asks for a number that isn't there
sed -n 's/^# TYPE \([a-z_]*\) .*/\1/p' "$work/text" | sort -u >"$work/names"
for file in kickmsgd-alerts.yaml kickmsgd-dashboard.json; do
	grep -oE '\b(kickmsg|process)_[a-z_]+' "$1/systemd/$file" | sed 's/_bucket$//' | sort -u >"$work/asked"
	[ -s "$work/asked" ]
	unknown=$(comm -23 "$work/asked" "$work/names")
	[ -z "$unknown" ] || { echo "$file asks for what isn't served: $unknown"; exit 1; }
done
python3 -m json.tool "$1/systemd/kickmsgd-dashboard.json" >"$work/dashboard"
promtool=${PROMTOOL:-$(command -v promtool || true)}
[ -n "$promtool" ] || {
	echo "skipped: promtool is not installed (Debian: prometheus)"
	exit 77
}
"$promtool" check metrics <"$work/text"
"$promtool" check rules "$1/systemd/kickmsgd-alerts.yaml"
