#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# What the broker serves, its alert rules and its dashboard, as promtool reads them: $PROMTOOL, or the one in the path.
# Where there is a Prometheus too, it scrapes the broker and evaluates the rules. Without promtool the names alone are
# compared. usage: promtool.sh SOURCE_ROOT KICKMSGD
set -eu
work=$(mktemp -d)
pid= prometheus_pid=
trap '[ -z "$pid$prometheus_pid" ] || kill $pid $prometheus_pid; rm -rf "$work"' EXIT
ports() {
	python3 -c '
import socket
sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
print(*(s.getsockname()[1] for s in sockets))'
}
# shellcheck disable=SC2046
set -- "$1" "$2" $(ports)
printf '[metrics]\nlisten = 127.0.0.1:%s\n' "$3" >"$work/conf"
"$2" --config "$work/conf" --socket "$work/s" 2>"$work/log" &
pid=$!
get() {
	python3 -c '
import sys, time, urllib.request
request = urllib.request.Request(sys.argv[1], headers={"Accept": sys.argv[2]})
for _ in range(200):
    try:
        sys.stdout.write(urllib.request.urlopen(request, timeout=20).read().decode())
        break
    except OSError:
        time.sleep(0.05)
else:
    sys.exit("no answer: " + sys.argv[1])' "$1" "$2"
}
get "http://127.0.0.1:$3/metrics" text/plain >"$work/text"
get "http://127.0.0.1:$3/metrics" application/openmetrics-text >"$work/openmetrics"
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
command -v prometheus >/dev/null || {
	echo "no Prometheus scraped it: it is not installed"
	exit 0
}
cat >"$work/prometheus.yml" <<EOF
global:
  scrape_interval: 1s
  evaluation_interval: 1s
rule_files: ["$1/systemd/kickmsgd-alerts.yaml"]
scrape_configs:
  - job_name: kickmsg
    static_configs:
      - targets: ["127.0.0.1:$3"]
EOF
"$promtool" check config "$work/prometheus.yml"
prometheus --config.file "$work/prometheus.yml" --storage.tsdb.path "$work/data" --web.listen-address "127.0.0.1:$4" \
	>"$work/prometheus.log" 2>&1 &
prometheus_pid=$!
# Prometheus says which metrics it was served, and that each rule could be evaluated.
python3 - "http://127.0.0.1:$4/api/v1/" <<'EOF' || { cat "$work/prometheus.log"; exit 1; }
import json, sys, time, urllib.request

def ask(what):
    try:
        return json.load(urllib.request.urlopen(sys.argv[1] + what, timeout=20))["data"]
    except OSError:
        return None

def wait(ready, what):
    for _ in range(600):
        if ready():
            return
        time.sleep(0.1)
    sys.exit(f"not within a minute: {what}")

def is_up():
    found = ask("query?query=up")
    return found and [series["value"][1] for series in found["result"]] == ["1"]

def rules():
    found = ask("rules") or {"groups": []}
    return [rule for group in found["groups"] for rule in group["rules"]]

wait(is_up, "Prometheus has scraped the broker")
wait(lambda: rules() and all(rule["health"] == "ok" for rule in rules()), "its rules are evaluated")
about = ask("metadata?metric=kickmsg_bytes")["kickmsg_bytes"]
assert about == [{"type": "counter", "help": "Bytes of the payloads that were sent, in all.", "unit": "bytes"}], about
for name in ("kickmsg_bytes_total", "kickmsg_messages_total", "kickmsg_used", "kickmsg_recovery_seconds_bucket"):
    assert ask("query?query=" + name)["result"], name
assert len(rules()) > 5
print(f"Prometheus scraped it and evaluated {len(rules())} rules")
EOF
