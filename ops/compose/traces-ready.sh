#!/bin/sh
# Waits until both answer: the images of the collector and of Jaeger hold no program to ask with.
set -eu
for url in "$@"; do
  until wget -q -O /dev/null "$url"; do sleep 1; done
  echo "$url answers"
done
