#!/bin/sh
# Makes what the parts of the stack are let in by: at random, once. The originals stay in SECRETS_DIR/originals; each part
# has a folder with what it needs and no more, that its own user alone can read. What is missing there is put back.
set -eu
umask 077
root=$SECRETS_DIR

# original NAME: prints the secret of that name, made when it was first asked for.
original() {
  file=$root/originals/$1
  if [ ! -s "$file" ]; then
    mkdir -p "$root/originals"
    head -c 32 /dev/urandom | od -An -v -tx1 | tr -d ' \n' >"$file.new"
    mv "$file.new" "$file"
  fi
  cat "$file"
}

# hand FOLDER UID FILE CONTENT: writes the file as a whole, for that user.
hand() {
  folder=$root/$1
  mkdir -p "$folder"
  printf '%s\n' "$4" >"$folder/$3.new"
  chmod 0400 "$folder/$3.new"
  # Without root they all are the same user's.
  if [ "$(id -u)" = 0 ]; then chown "$2" "$folder" "$folder/$3.new"; fi
  chmod 0700 "$folder"
  mv "$folder/$3.new" "$folder/$3"
}

superuser=$(original postgres)
evenkeel=$(original postgres-evenkeel)
application=$(original postgres-evenkeel-app)
temporal=$(original postgres-temporal)
amqp=$(original rabbitmq)
carrier=$(original carrier-callback)

hand postgres 999 password "$superuser"
hand databases 10001 superuser-url "postgres://postgres:$superuser@$POSTGRES_ADDRESS/postgres"
hand databases 10001 evenkeel-password "$evenkeel"
hand databases 10001 evenkeel_login-password "$application"
hand databases 10001 temporal-password "$temporal"
hand temporal 1000 password "$temporal"
hand migration 10001 database-url "postgres://evenkeel:$evenkeel@$POSTGRES_ADDRESS/evenkeel"
hand evenkeel 10001 database-url "postgres://evenkeel_login:$application@$POSTGRES_ADDRESS/evenkeel"
hand evenkeel 10001 amqp-url "amqp://evenkeel:$amqp@$RABBITMQ_ADDRESS"
hand evenkeel 10001 carrier-callback-secret "$carrier"
hand evenkeel 10001 payload-keys "k1:$(original payload-key)"
hand sandbox 10001 carrier-callback-secret "$carrier"
hand rabbitmq 999 password "$amqp"
hand grafana 472 password "$(original grafana)"
echo "the secrets are in place"
