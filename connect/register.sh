#!/bin/sh
# Creates or updates a connector and waits until it and every task of it run. May run again at any
# time: it updates, and restarts a task that has failed. Exit code 1, with the task's error, when it
# does not come to run.
#   CONNECT_URL=http://127.0.0.1:8083 connect/register.sh minio-sink-connector connect/confluent-sink-connector.json
set -eu

name=$1
config=$2
url=${CONNECT_URL:-http://127.0.0.1:8083}
deadline=$(($(date +%s) + ${CONNECT_TIMEOUT:-180}))

say() { printf 'connector %s: %s\n' "$name" "$*"; }

fail() {
    say "$*" >&2
    exit 1
}

# A worker that is starting answers as it does to what it cannot read (HTTP 500), so a file that
# cannot do is told here.
[ -r "$config" ] || fail "cannot read $config"
case $(tr -d ' \n\r\t' <"$config") in
'{'*'}') ;;
*) fail "$config holds no JSON object" ;;
esac

# request METHOD PATH [curl's arguments]: sets $code (000: no answer) and $body.
request() {
    method=$1
    path=$2
    shift 2
    answer=$(curl --silent --max-time 20 --request "$method" --write-out '\n%{http_code}' "$@" "$url$path") || true
    code=${answer##*
}
    body=${answer%
*}
}

# again WHY: pauses, or gives up once the time is over.
again() {
    [ "$(date +%s)" -lt "$deadline" ] || fail "gave up after ${CONNECT_TIMEOUT:-180} s: $*"
    sleep 2
}

while true; do
    request PUT "/connectors/$name/config" --header 'Content-Type: application/json' --data-binary "@$config"
    case $code in
    200) say "updated at $url" && break ;;
    201) say "created at $url" && break ;;
    000) again "no answer from the Connect worker at $url" ;;
    404 | 409 | 5*)
        case $body in
        *'Unexpected '* | *'Unrecognized token'* | *'Cannot deserialize'*) fail "$config is no JSON, says $url: $body" ;;
        esac
        again "worker at $url answers HTTP $code: $body" # starting, or rebalancing
        ;;
    *) fail "refused by $url with HTTP $code: $body" ;;
    esac
done

# Three looks in a row, because an old status stands until the new tasks have started.
restarted=no
seen=0
while [ "$seen" -lt 3 ]; do
    request GET "/connectors/$name/status"
    tasks=${body#*\"tasks\":}
    case $body in
    *'"state":"FAILED"'*)
        # The messages of the exception and of its causes, without the stack.
        trace=$(printf '%s' "$body" | sed 's/.*"trace":"//; s/\\n\\t[^\\]*//g; s/\\n/ /g; s/","worker_id.*//; s/"}.*//' | cut -c 1-1000)
        [ "$restarted" = no ] || fail "FAILED: $trace"
        say "had failed, restarting it"
        request POST "/connectors/$name/restart?includeTasks=true&onlyFailed=true"
        restarted=yes
        seen=0
        again "$trace"
        ;;
    *'"connector":{"state":"RUNNING"'*'"tasks":[{'*)
        others=$(printf '%s' "$tasks" | grep -o '"state":"[A-Z]*"' | grep -cv RUNNING) || true
        if [ "$others" -eq 0 ]; then seen=$((seen + 1)); else seen=0; fi
        again "not every task is RUNNING: $body"
        ;;
    *)
        seen=0
        again "no task is RUNNING, HTTP $code: $body"
        ;;
    esac
done
say "RUNNING"
