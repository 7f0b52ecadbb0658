#!/bin/sh
# Starts RabbitMQ with rabbitmq.conf beside this script and our own user, whose password comes from a file: RabbitMQ reads
# none by itself. The user is made when the node first starts, with no data.
set -eu
umask 077
rendered=${RENDERED:-/run/rabbitmq/rabbitmq.conf}
cat "$(dirname "$0")/rabbitmq.conf" >"$rendered"
printf 'default_user = evenkeel\ndefault_pass = %s\n' "$(cat "$RABBITMQ_PASSWORD_FILE")" >>"$rendered"
export RABBITMQ_CONFIG_FILE="$rendered"
exec "$@"
