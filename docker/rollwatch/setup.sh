#!/bin/sh
# Runs once before the daemon: migrates, makes Prometheus' token, and writes the demo's registry where none is there yet.
set -eu
rollwatch db upgrade
if [ ! -s /run/tokens/prometheus ]; then
  rollwatch token revoke prometheus >/dev/null 2>&1 || true
  rollwatch token create prometheus --scope read > /run/tokens/prometheus
fi
if [ ! -s /etc/rollwatch/keys.yaml ]; then
  first=$(printf 'demo-billing-key-v1\n' | rollwatch fingerprint)
  second=$(printf 'demo-billing-key-v2\n' | rollwatch fingerprint)
  now=$(date -u +%Y-%m-%dT%H:%M:%SZ)
  sed -e "s/FINGERPRINT_1/$first/" -e "s/FINGERPRINT_2/$second/" -e "s/NOW/$now/" \
    /setup/keys.template.yaml > /etc/rollwatch/keys.yaml
fi
