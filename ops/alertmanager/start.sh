#!/bin/sh
# Starts Alertmanager with the webhooks whose URLs are there: URLS_DIR/page, URLS_DIR/ticket, URLS_DIR/deadman, one URL in
# each file. For each, the line "# webhook: NAME" of the configuration becomes a webhook; without a file it stays a
# comment. Arguments are handed on to Alertmanager.
set -eu
config=${CONFIG:-/etc/alertmanager/alertmanager.yml}
urls=${URLS_DIR:-/run/alert-urls}
rendered=${RENDERED:-/tmp/alertmanager.yml}

umask 077
while IFS= read -r line || [ -n "$line" ]; do
  case $line in
  *'# webhook: '*)
    name=${line##*: }
    url=
    [ ! -e "$urls/$name" ] || IFS= read -r url <"$urls/$name" || [ -r "$urls/$name" ]
    case $url in
    '') printf '%s\n' "$line" ;;
    *[\'\ ]*)
      echo "$urls/$name holds no URL" >&2
      exit 1
      ;;
    *)
      # The end of the watchdog is no sign of life.
      resolved=true
      [ "$name" != deadman ] || resolved=false
      printf "    webhook_configs: [{ url: '%s', send_resolved: %s }]\n" "$url" "$resolved"
      ;;
    esac
    ;;
  *) printf '%s\n' "$line" ;;
  esac
done <"$config" >"$rendered"

exec "${ALERTMANAGER:-/bin/alertmanager}" --config.file="$rendered" "$@"
