#!/bin/sh
# Replaces what runs by the given image: schema, then workers, then APIs, so that nobody meets what he does not know. With
# --back to the image of before: APIs, then workers, and the schema stays. The new ones start beside the old ones, which go
# once these are healthy, so that nothing pauses; if they are not, they go, and the old ones stay. At the end the image is
# written to .env, by which every later 'docker compose' knows it. Runs on the machine of the stack.
set -eu
usage='usage: ops/compose/roll-out.sh [--back] IMAGE'
way=forth
if [ "${1-}" = --back ]; then
  way=back
  shift
fi
EVENKEEL_IMAGE=${1:?$usage}
export EVENKEEL_IMAGE
cd "$(dirname "$0")/../.."

containers() { docker compose ps --all --quiet "$1"; }

# healthy CONTAINER: waits until it is, for three minutes.
healthy() {
  for _ in $(seq 60); do
    case $(docker inspect --format '{{ .State.Health.Status }}' "$1") in
    healthy) return 0 ;;
    unhealthy) return 1 ;;
    esac
    sleep 3
  done
  return 1
}

# roll SERVICE: as many new ones as there are, then without the old ones.
roll() {
  old=$(containers "$1")
  count=$(echo "$old" | grep -c .) || { echo "no $1 is there: begin with docker compose up" >&2 && exit 1; }
  docker compose up --detach --no-deps --no-recreate --scale "$1=$((2 * count))" "$1"
  new=$(containers "$1" | grep -vxF "$old")
  for container in $new; do
    healthy "$container" || {
      docker logs --tail 50 "$container" >&2
      docker rm --force $new
      echo "the new $1 does not become healthy; what was there before goes on" >&2
      exit 1
    }
  done
  docker stop $old
  docker rm $old
}

# What was pulled with somebody else's login is there already.
docker image inspect "$EVENKEEL_IMAGE" >/dev/null 2>&1 || docker pull --quiet "$EVENKEEL_IMAGE"
if [ "$way" = forth ]; then
  docker compose run --rm --no-deps migrate
  roll worker
  roll api
else
  roll api
  roll worker
fi

touch .env
{ grep -v '^EVENKEEL_IMAGE=' .env || :; } >.env.new
echo "EVENKEEL_IMAGE=$EVENKEEL_IMAGE" >>.env.new
cat .env.new >.env
rm .env.new
