#!/bin/sh
# The namespace, and what orders are found by (src/workflows/contract.ts). Safe to repeat. TEMPORAL_ADDRESS and
# TEMPORAL_NAMESPACE are read by the CLI itself.
set -eu

# A server that has just begun to listen may still refuse for some seconds.
attempts=60
until temporal operator cluster health >/dev/null 2>&1; do
  attempts=$((attempts - 1))
  if [ "$attempts" = 0 ]; then
    temporal operator cluster health
    exit 1
  fi
  sleep 1
done

# Histories of orders that are at their end are kept for this long, to be looked at.
retention=168h
temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1 ||
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention "$retention"

# The server's own processes learn of a new namespace within some seconds.
attempts=60
until temporal operator search-attribute create --name OrderStatus --type Keyword \
  --name OrderAttention --type Keyword; do
  attempts=$((attempts - 1))
  if [ "$attempts" = 0 ]; then exit 1; fi
  sleep 1
done
