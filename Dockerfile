# All three programs in one image; docker-compose.yml and deploy/kubernetes say which of them a container runs.
#   docker build --tag stormhook:local .
ARG BUILD_IMAGE=rust:1.95-slim-trixie
ARG RUNTIME_IMAGE=debian:trixie-slim

FROM ${BUILD_IMAGE} AS build
# jemalloc is built with it.
RUN command -v make || { apt-get update && apt-get install --yes --no-install-recommends make; }
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package stormhook-cli --package stormhook-ingress --package stormhook-worker

FROM ${RUNTIME_IMAGE}
# Certificate authorities, for platforms behind https; copied, so that this image is made without a network.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /source/target/release/stormhook /source/target/release/stormhook-ingress \
     /source/target/release/stormhook-worker /usr/local/bin/
USER 65532:65532
CMD ["stormhook", "--help"]
