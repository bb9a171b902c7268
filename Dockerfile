# The static binary in an otherwise empty image, run by a user without rights; its root can be read-only.
#   docker build -t persona --build-arg VERSION=v1.2.3 --build-arg REVISION="$(git rev-parse HEAD)" .
#   docker run -d --name persona --read-only --cap-drop ALL --security-opt no-new-privileges \
#     -p 443:8443 -p 80:8080 -v persona-state:/var/lib/persona -v ./persona.yaml:/etc/persona/persona.yaml:ro persona
# deploy/compose.yaml is the whole set-up, and deploy/README.md says what to know about it.

# The tag pins the version, not the bytes: no digest is given, because none could be verified where this was written.
# To pin the bytes too, append the digest that "docker pull" prints: golang:1.26.8-bookworm@sha256:...
FROM golang:1.26.8-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=dev
ARG REVISION=unknown
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION -X main.revision=$REVISION" -o /out/persona ./cmd/persona \
 && mkdir -p /out/state /out/tmp && chmod 0700 /out/state && chmod 1777 /out/tmp

FROM scratch
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="persona" \
      org.opencontainers.image.description="Sign-in with a company's own e-mail addresses, in front of its website" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION"
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/persona /usr/local/bin/persona
# Owned by the user of the program: a new named volume that is mounted here takes over owner and mode.
COPY --from=build --chown=65532:65532 /out/state /var/lib/persona
COPY --from=build /out/tmp /tmp
USER 65532:65532
# Ports that need no rights, for both ways of configuring: by environment alone, and by a file, which then leaves
# listen.https and listen.http out. A file that has them is refused with these words: which ports the world sees is
# said once, where the container's ports are mapped.
ENV PERSONA_LISTEN_HTTPS=:8443 PERSONA_LISTEN_HTTP=:8080
VOLUME /var/lib/persona
EXPOSE 8443 8080
HEALTHCHECK --interval=10s --timeout=5s CMD ["/usr/local/bin/persona", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/persona"]
CMD ["serve"]
