#!/usr/bin/env bash
# One message through the daemon to a sink: what start.sh --demo shows. Run from the top folder.
set -euo pipefail
bin=$1
sink=$2
work=$(mktemp -d)
pids=()

finish() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

wait_for() { # SECONDS COMMAND...
    local tries=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tries=$((tries - 1))
        [ $tries -gt 0 ] || return 1
        read -rt 0.1 <> <(:) || true
    done
}

title() { printf '\n== %s\n' "$*"; }

mkdir "$work/delivered"
"$sink" --listen 127.0.0.1:0 --record "$work/delivered" >"$work/sink.log" 2>&1 &
pids+=($!)
wait_for 10 grep -q '^listening' "$work/sink.log" || { cat "$work/sink.log"; exit 1; }
hop=$(sed -n 's/^listening //p' "$work/sink.log")

cat >"$work/relay.conf" <<END
hostname = "demo.smarthop.test"
store_path = "$work/queue"
control_socket = "$work/control.sock"
log_target = "$work/log"
tls_certificate = "$PWD/var/tls/cert.pem"
tls_key = "$PWD/var/tls/key.pem"
listener "smtp" { address = "127.0.0.1:0" tls = "starttls" }
route "*" { hosts = {"[${hop%:*}]:${hop##*:}"} }
END
title "configuration"
cat "$work/relay.conf"

"$bin/smarthopd" -c "$work/relay.conf" 2>&1 &
pids+=($!)
wait_for 10 grep -q ' started ' "$work/log" || { cat "$work/log"; exit 1; }
port=$(sed -n 's/.* listening .*address=127.0.0.1:\([0-9]*\).*/\1/p' "$work/log")

title "sending a message over STARTTLS to 127.0.0.1:$port"
printf 'From: Ann <ann@example.org>\r\nTo: Ben <ben@example.net>\r\nSubject: demo\r\n\r\nHello Ben.\r\n.A line that begins with a dot.\r\n' >"$work/message"
curl -sS --ssl-reqd -k "smtp://127.0.0.1:$port/client.example.org" --mail-from ann@example.org \
    --mail-rcpt ben@example.net -T "$work/message" -v 2>&1 | grep -E '^[<>] ' | tr -d '\r'

wait_for 10 grep -q ' delivered ' "$work/log" || { cat "$work/log"; exit 1; }
wait_for 10 test -s "$work/delivered/000001.eml" || exit 1
title "acceptance with its route, and delivery, from the log"
grep -E ' (accepted|delivered) ' "$work/log"
title "the queue (empty again)"
"$bin/smarthopctl" -c "$work/relay.conf" queue list
title "the envelope and the bytes that the next hop got"
cat "$work/delivered/000001.env" "$work/delivered/000001.eml"
tail -n +1 "$work/delivered/000001.eml" | tail -c "$(stat -c %s "$work/message")" |
    cmp - "$work/message" && title "The body is byte for byte what was sent. Run ./start.sh to keep it running."
