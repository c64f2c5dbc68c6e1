#!/bin/sh
# Rewrites the manifests on standard input. BERTH_CONFIG names the config file; --post-renderer-args adds options.
set -eu
exec "${BERTH:-berth}" rewrite --filename - ${BERTH_CONFIG:+--config "$BERTH_CONFIG"} "$@"
