#!/bin/sh
# Brings the schema of both of Temporal's databases to this version of its tools: from nothing, or from any before.
set -eu
host=${TEMPORAL_SQL_ADDRESS%:*}
port=${TEMPORAL_SQL_ADDRESS##*:}
schemas=${TEMPORAL_SCHEMAS:-/etc/temporal/schema/postgresql/v12}
SQL_PASSWORD=$(cat "$TEMPORAL_SQL_PASSWORD_FILE")
export SQL_PASSWORD

# bring DATABASE SCHEMA
bring() {
  tool="temporal-sql-tool --plugin postgres12_pgx --ep $host --port $port --user temporal --db $1"
  # Makes the table of versions; where there is one, it stays.
  $tool setup-schema --version 0.0
  $tool update-schema --schema-dir "$schemas/$2/versioned"
}
bring temporal temporal
bring temporal_visibility visibility
