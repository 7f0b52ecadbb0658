#!/bin/sh
# Replaces what runs by the given image: schema, then workers, then API, so that nobody meets what he does not know. Each
# step waits for the one before to be done, or healthy. Run from the checkout; DOCKER_HOST says where.
set -eu
EVENKEEL_IMAGE=${1:?usage: ops/compose/roll-out.sh IMAGE}
export EVENKEEL_IMAGE
compose() { docker compose -f docker-compose.yml -f ops/compose/release.yaml "$@"; }

compose pull --quiet migrate
compose run --rm --no-deps migrate
compose up --detach --no-deps --wait worker
compose up --detach --no-deps --wait api
