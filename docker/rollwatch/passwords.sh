#!/bin/sh
# Runs before everything else: refuses passwords that are short or that everybody knows.
set -eu
for name in POSTGRES_PASSWORD ROLLWATCH_READER_PASSWORD GRAFANA_PASSWORD ROLLWATCH_PEPPER; do
  eval "value=\${$name:-}"
  case "$value" in
    ????????????*) ;;
    *)
      echo "$name has less than 12 characters; set it in .env (for instance: openssl rand -hex 24)" >&2
      exit 1 ;;
  esac
  case "$(echo "$value" | tr '[:upper:]' '[:lower:]')" in
    *changeme*|*change-me*|*password*|*postgres*|*rollwatch*|*example*|*secret*|*123456*)
      echo "$name holds a word that everybody tries; set it in .env (for instance: openssl rand -hex 24)" >&2
      exit 1 ;;
  esac
  case "$value" in
    *[!A-Za-z0-9._~-]*)
      echo "$name holds a character that would have to be escaped in a URL; use letters, digits and . _ ~ -" >&2
      exit 1 ;;
  esac
done
