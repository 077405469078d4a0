#!/bin/sh
# Runs once before the daemon: refuses passwords that everybody knows, migrates, makes the token of Prometheus, and
# writes the demo's registry where none is there yet.
set -eu
for name in POSTGRES_PASSWORD READER_PASSWORD GRAFANA_PASSWORD ROLLWATCH_PEPPER; do
  eval "value=\${$name:-}"
  case "$value" in
    ""|postgres|password|admin|changeme|change-me|rollwatch|secret)
      echo "$name is unset or a password that everybody knows; set it in .env (for instance: openssl rand -hex 24)" >&2
      exit 1 ;;
  esac
done
rollwatch db upgrade
if [ ! -s /run/tokens/prometheus ]; then
  rollwatch token revoke prometheus >/dev/null 2>&1 || true
  rollwatch token create prometheus --scope read > /run/tokens/prometheus
fi
if [ ! -s /etc/rollwatch/keys.yaml ]; then
  first=$(printf 'demo-billing-key-v1\n' | rollwatch fingerprint)
  second=$(printf 'demo-billing-key-v2\n' | rollwatch fingerprint)
  sed -e "s/FINGERPRINT_1/$first/" -e "s/FINGERPRINT_2/$second/" /setup/keys.template.yaml > /etc/rollwatch/keys.yaml
fi
