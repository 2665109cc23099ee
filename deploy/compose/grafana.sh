#!/bin/sh
# Starts Grafana by the command that follows: grafana.sh /run.sh. Grafana reads GF_SECURITY_ADMIN_PASSWORD only when it
# makes its database, so a password that is changed later is brought in here, before anybody can log in. The demo's own
# is left alone: a person may have changed it in the browser.
set -eu

if [ -s "$GF_PATHS_DATA/grafana.db" ] && [ "$GF_SECURITY_ADMIN_PASSWORD" != admin ]; then
    said=$(printf '%s\n' "$GF_SECURITY_ADMIN_PASSWORD" |
        grafana cli --homepath "$GF_PATHS_HOME" --config "$GF_PATHS_CONFIG" admin reset-admin-password --password-from-stdin 2>&1) || {
        printf '%s\n' "$said" >&2
        case $said in
        *'user not found'* | *user.not-found*)
            # Deleted, after somebody has made an administrator of their own: nobody can log in as the demo's.
            echo "Grafana starts without it: its first administrator was deleted, so GRAFANA_ADMIN_PASSWORD is nobody's" >&2
            exec "$@"
            ;;
        esac
        echo "Grafana does not start: the administrator's password could not be set to GRAFANA_ADMIN_PASSWORD" >&2
        exit 1
    }
fi
exec "$@"
