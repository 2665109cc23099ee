# The project's three images: speed-layer, batch-layer, workbench (the market simulator and other
# developers' tools).
#   docker build --target speed-layer --tag stock-lambda/speed-layer .
# No "# syntax=" line and no cache mounts: any engine and any mirror can build this, and a layer
# cache is enough.
# The base images are build arguments, so that a mirror or an image of your own can take their
# place.
ARG RUST_IMAGE=rust:1.95-bookworm
ARG RUNTIME_IMAGE=debian:bookworm-20260824-slim

FROM ${RUST_IMAGE} AS build
ARG FEATURES=speed-layer/kafka-logins,batch-layer/kafka-logins,speed-layer/otlp,batch-layer/otlp
# dist is what is released, optimised over all crates at once; release takes less time to build.
ARG PROFILE=dist
# What librdkafka, built from its crate's own sources, needs, Kerberos and OpenID Connect included.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends gcc g++ make pkg-config libc6-dev libssl-dev zlib1g-dev \
      libsasl2-dev libcurl4-openssl-dev \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
WORKDIR /src

# Dependencies first: this layer is rebuilt only when a manifest or the lock file changes. The
# stand-in sources are removed again, and so is what was built from them; cargo would otherwise take
# it for newer than the real sources.
COPY .cargo .cargo
COPY Cargo.toml Cargo.lock ./
COPY anomalies/Cargo.toml anomalies/
COPY common/Cargo.toml common/
COPY service/Cargo.toml service/
COPY testing/Cargo.toml testing/
COPY speed-layer/Cargo.toml speed-layer/
COPY hourly/Cargo.toml hourly/
COPY reconciliation/Cargo.toml reconciliation/
COPY batch-layer/Cargo.toml batch-layer/
COPY workbench/Cargo.toml workbench/
COPY xtask/Cargo.toml xtask/
RUN for crate in anomalies common service testing speed-layer hourly reconciliation batch-layer workbench xtask; do \
        mkdir $crate/src && touch $crate/src/lib.rs && echo 'fn main() {}' > $crate/src/main.rs || exit 1; \
    done \
 && mkdir hourly/examples && echo 'fn main() {}' > hourly/examples/spark.rs \
 && cargo build --profile "$PROFILE" --locked -p speed-layer -p batch-layer -p workbench --features "$FEATURES" \
 && cargo clean --profile "$PROFILE" -p anomalies -p common -p service -p testing -p speed-layer -p hourly -p reconciliation \
      -p batch-layer -p workbench \
 && rm -rf */src */examples

COPY . .
# One command for all three, so that they share each dependency built once with one set of features.
RUN cargo build --profile "$PROFILE" --locked -p speed-layer -p batch-layer -p workbench --features "$FEATURES" \
 && mkdir /out \
 && cp "target/$PROFILE/speed-layer" "target/$PROFILE/batch-layer" "target/$PROFILE/workbench" /out/

# The programs alone, for machines without containers:   docker build --target binaries --output DIR
# .
FROM scratch AS binaries
COPY --from=build /out/ /

FROM ${RUNTIME_IMAGE} AS runtime
RUN apt-get update \
 && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends ca-certificates libssl3 zlib1g \
      libsasl2-2 libsasl2-modules-gssapi-mit krb5-user libcurl4 \
 && rm -rf /var/lib/apt/lists/* /var/cache/apt/*
# The programs handle SIGTERM themselves, also as process 1.
STOPSIGNAL SIGTERM
# A number, so that Kubernetes can verify runAsNonRoot. Nothing here writes to the root file system.
USER 65532:65532
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.vendor="stock-lambda" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

FROM runtime AS workbench
LABEL org.opencontainers.image.title="workbench" \
      org.opencontainers.image.description="Market simulator and developers' tools of the stock pipeline"
# A volume mounted here takes over this owner.
USER root
RUN install -d -o 65532 -g 65532 /var/lib/workbench
USER 65532:65532
COPY --from=build /out/workbench /usr/local/bin/workbench
ENTRYPOINT ["workbench"]

FROM runtime AS batch-layer
LABEL org.opencontainers.image.title="batch-layer" \
      org.opencontainers.image.description="Computes hourly stock summaries from the archive, then exits"
COPY --from=build /out/batch-layer /usr/local/bin/batch-layer
ENTRYPOINT ["batch-layer"]

FROM runtime AS speed-layer
LABEL org.opencontainers.image.title="speed-layer" \
      org.opencontainers.image.description="Writes stock ticks from Kafka into PostgreSQL, each exactly once"
COPY --from=build /out/speed-layer /usr/local/bin/speed-layer
EXPOSE 9464
# Alive, not ready: an outage of Kafka or PostgreSQL is no reason to restart it. Kubernetes asks
# /healthz by itself.
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["speed-layer", "--healthcheck"]
ENTRYPOINT ["speed-layer"]
