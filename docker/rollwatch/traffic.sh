#!/bin/sh
# A client that moves from the old key to the new one: one request a second, the first two minutes with the old.
set -eu
started=$(date +%s)
while true; do
  key=demo-billing-key-v1
  [ $(($(date +%s) - started)) -gt 120 ] && key=demo-billing-key-v2
  curl -s -o /dev/null -H "x-api-key: $key" -A storefront/1.0 http://envoy:10000/billing || true
  sleep 1
done
