#!/usr/bin/env bash
# Builds Smarthop and runs it in the foreground with relay.conf.sample.
# With --demo it sends one message through it to a sink of its own, shows what became of it, and
# ends.
set -euo pipefail
cd "$(dirname "$0")"
. scripts/packages.sh

demo=no
case "${1:-}" in
"") ;;
--demo) demo=yes ;;
*)
    echo "usage: ./start.sh [--demo]" >&2
    exit 2
    ;;
esac

packages_need build
cmake --preset release -DSMARTHOP_TESTS=OFF >build.log 2>&1 && ninja -C build/release smarthopd smarthopctl sendmail \
    bundled_plugins smtp_sink >>build.log 2>&1 || {
    tail -n 30 build.log >&2
    echo "The build failed; all of its output is in build.log." >&2
    exit 1
}
rm -f build.log
bin=build/release/bin

if [ ! -e var/tls/cert.pem ]; then
    mkdir -p var/tls
    (umask 077 && openssl req -x509 -newkey rsa:2048 -nodes -days 825 -subj "/CN=$(hostname)" \
        -keyout var/tls/key.pem -out var/tls/cert.pem 2>/dev/null)
    echo "Made a self-signed certificate: var/tls/cert.pem"
fi
mkdir -p var

if [ $demo = yes ]; then
    exec scripts/demo.sh $bin build/release/tests/support/smtp_sink
fi

cat <<END
Smarthop listens on 127.0.0.1:2525 (SMTP) and 127.0.0.1:2465 (SMTPS); its store is in ./var/queue.
relay.conf.sample sends everything to [127.0.0.1]:2526, where nothing listens unless you start it:
    build/release/tests/support/smtp_sink --listen 127.0.0.1:2526
Send a first message from another terminal:
    printf 'Subject: hello\r\n\r\nFirst words.\r\n' |
        curl smtp://127.0.0.1:2525 --mail-from me@example.org --mail-rcpt you@example.org -T -
and see where it is:
    $bin/smarthopctl -c relay.conf.sample queue list
The plugins that come along are built, too: a section plugin "NAME" in the configuration is enough
(docs/PLUGINS.md); NAME is one of $(cd build/release/lib/smarthop && echo *.so | sed 's/\.so//g').
END
exec $bin/smarthopd -c relay.conf.sample
