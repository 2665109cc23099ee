#!/bin/sh
# Runs before anything that publishes a port. Ends with 1, and nothing that publishes one starts,
# where an address beyond loopback stands in .env beside a password that everybody can read in
# .env.example.
set -eu

is_loopback() {
    case $1 in
    127.* | ::1 | '[::1]') return 0 ;;
    *) return 1 ;;
    esac
}

# known NAME VALUE: adds NAME to the list where VALUE is one of the demo's.
list=
known() {
    case $2 in
    '' | stocks | owner | speed | batch | grafana | admin | minioadmin) list="$list $1" ;;
    esac
}

# refused VARIABLE ADDRESS: ends the job where the list has a name.
refused() {
    [ -n "$list" ] || return 0
    echo "$1 is $2, which others can reach, and these passwords are still the demo's, which everybody knows:$list." \
        "Set your own in .env, or leave the address on 127.0.0.1 (docs/deployment.md, Settings)." >&2
    exit 1
}

if ! is_loopback "$GRAFANA_BIND_ADDRESS"; then
    known GRAFANA_ADMIN_PASSWORD "$GRAFANA_ADMIN_PASSWORD"
    is_loopback "$BIND_ADDRESS" && refused GRAFANA_BIND_ADDRESS "$GRAFANA_BIND_ADDRESS"
fi
if ! is_loopback "$BIND_ADDRESS"; then
    list=
    known POSTGRES_PASSWORD "$POSTGRES_PASSWORD"
    known OWNER_DB_PASSWORD "$OWNER_DB_PASSWORD"
    known SPEED_DB_PASSWORD "$SPEED_DB_PASSWORD"
    known BATCH_DB_PASSWORD "$BATCH_DB_PASSWORD"
    known GRAFANA_DB_PASSWORD "$GRAFANA_DB_PASSWORD"
    known GRAFANA_ADMIN_PASSWORD "$GRAFANA_ADMIN_PASSWORD"
    known MINIO_ROOT_PASSWORD "$MINIO_ROOT_PASSWORD"
    refused BIND_ADDRESS "$BIND_ADDRESS"
fi
