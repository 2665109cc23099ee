#!/bin/sh
# Creates the archive's bucket in any S3-compatible store, if it is not there. May run again at any
# time.
set -eu

: "${S3_ENDPOINT_URL:?}" "${S3_BUCKET:?}" "${S3_REGION:?}" "${AWS_ACCESS_KEY_ID:?}" "${AWS_SECRET_ACCESS_KEY:?}"
deadline=$(($(date +%s) + 60))
case $S3_BUCKET in
*[!A-Za-z0-9._-]*)
    echo "bucket $S3_BUCKET: no store takes such a name (S3_BUCKET): letters, digits, dots and hyphens" >&2
    exit 1
    ;;
esac
# SHA-256 of the empty body: stores want it among the signed headers, and not every curl adds it by
# itself.
empty=e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855

# The keys go in by standard input: arguments can be read by every process of the host.
request() {
    escaped=$(printf '%s:%s' "$AWS_ACCESS_KEY_ID" "$AWS_SECRET_ACCESS_KEY" | sed 's/["\\]/\\&/g')
    printf 'user = "%s"\n' "$escaped" | curl --config - --silent --show-error --max-time 10 --output /dev/null \
        --write-out '%{http_code}' --header "x-amz-content-sha256: $empty" \
        --aws-sigv4 "aws:amz:$S3_REGION:s3" "$@" "$S3_ENDPOINT_URL/$S3_BUCKET" || true
}

while true; do
    code=$(request --head)
    case $code in
    200) echo "bucket $S3_BUCKET: there at $S3_ENDPOINT_URL" && exit 0 ;;
    403)
        echo "bucket $S3_BUCKET: $S3_ENDPOINT_URL refuses (HTTP 403): check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY" >&2
        exit 1
        ;;
    404) code=$(request --request PUT) ;; # the next round sees it
    esac
    if [ "$code" = 400 ]; then
        echo "bucket $S3_BUCKET: $S3_ENDPOINT_URL refuses (HTTP 400): check S3_BUCKET (3 to 63 letters, digits, dots and" \
            "hyphens) and S3_REGION" >&2
        exit 1
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
        echo "bucket $S3_BUCKET: not created at $S3_ENDPOINT_URL within 60 s, last answer HTTP $code" >&2
        exit 1
    fi
    sleep 1
done
