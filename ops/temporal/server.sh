#!/bin/sh
# Starts Temporal's server, by its own variables, with the configuration beside this script. It knows no *_FILE: its
# password is handed to it here, and stays within the process.
set -eu
TEMPORAL_SQL_PASSWORD=$(cat "$TEMPORAL_SQL_PASSWORD_FILE")
export TEMPORAL_SQL_PASSWORD
exec temporal-server start
