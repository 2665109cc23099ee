#!/bin/sh
# Starts Grafana by the command that follows: grafana.sh /run.sh. Grafana reads
# GF_SECURITY_ADMIN_PASSWORD only when it makes its database, so a password that is changed later is
# brought in here, before anybody can log in. The demo's own is left alone: a person may have
# changed it in the browser. Where RUNBOOKS says where docs/operations.md can be read, each alert
# has a button that leads to its section: Grafana expands no variable in what is provisioned of an
# alert.
set -eu

if [ -n "${RUNBOOKS:-}" ]; then
    case $RUNBOOKS in
    *[!A-Za-z0-9:/.@%_~?=+,-]* | [!h]*)
        echo "Grafana does not start: RUNBOOKS is no address of a page, such as https://docs.example.com/operations.md" >&2
        exit 1
        ;;
    esac
    provisioning=${TMPDIR:-/tmp}/provisioning
    rm -rf "$provisioning"
    cp -R "${GF_PATHS_PROVISIONING:-/etc/grafana/provisioning}" "$provisioning"
    sed -i "s|\"runbook\": \"docs/operations\.md#|\"runbook_url\": \"$RUNBOOKS#|" "$provisioning"/alerting/*.json
    export GF_PATHS_PROVISIONING="$provisioning"
fi

if [ -s "$GF_PATHS_DATA/grafana.db" ] && [ "$GF_SECURITY_ADMIN_PASSWORD" != admin ]; then
    said=$(printf '%s\n' "$GF_SECURITY_ADMIN_PASSWORD" |
        grafana cli --homepath "$GF_PATHS_HOME" --config "$GF_PATHS_CONFIG" admin reset-admin-password --password-from-stdin 2>&1) || {
        printf '%s\n' "$said" >&2
        case $said in
        *'user not found'* | *user.not-found*)
            # Deleted, after somebody has made an administrator of their own: nobody can log in as
            # the demo's.
            echo "Grafana starts without it: its first administrator was deleted, so GRAFANA_ADMIN_PASSWORD is nobody's" >&2
            exec "$@"
            ;;
        esac
        echo "Grafana does not start: the administrator's password could not be set to GRAFANA_ADMIN_PASSWORD" >&2
        exit 1
    }
fi
exec "$@"
