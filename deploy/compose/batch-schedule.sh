#!/bin/sh
# The scheduler of a machine that has none: batch-layer every BATCH_INTERVAL seconds, and its verify
# once a day.
# A verify that differs comes again sooner: the first one may meet a backfill that is still on its
# way. Each reads every object of two days, so the pause doubles each time, up to a day: what stays
# different is compared once a day.
trap 'kill "$child" 2>/dev/null; wait; exit 0' TERM INT
case ${BATCH_INTERVAL:-} in
'' | 0* | *[!0-9]* | ??????*)
    # A pause that cannot be made would be none, and one run would follow on the other.
    echo "BATCH_INTERVAL is ${BATCH_INTERVAL:-empty}: seconds between two runs, 1 to 99999" >&2
    exit 1
    ;;
esac
day=86400
next_verify=0
soon=120
pause=$soon
while true; do
    batch-layer &
    child=$!
    wait "$child" || echo "batch-layer ended with exit code $?; next run in $BATCH_INTERVAL s" >&2
    if [ "$(date +%s)" -ge "$next_verify" ]; then
        batch-layer verify --format json &
        child=$!
        if wait "$child"; then
            next_verify=$(($(date +%s) + day))
            # Whole once: what differs from now on is no backfill.
            soon=3600
            pause=$soon
        else
            echo "batch-layer verify ended with exit code $?; again in $pause s; see the view hour_reconciliation" >&2
            next_verify=$(($(date +%s) + pause))
            pause=$((pause * 2))
            [ "$pause" -le "$day" ] || pause=$day
        fi
    fi
    sleep "$BATCH_INTERVAL" &
    child=$!
    wait "$child"
done
