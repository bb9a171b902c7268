# The static binary in an otherwise empty image, run by a user without rights.
#   docker build -t persona .
#   docker run -p 443:8443 -p 80:8080 -v persona:/var/lib/persona -v ./persona.yaml:/etc/persona/persona.yaml:ro persona
FROM golang:1.26-bookworm AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o /out/persona ./cmd/persona \
 && mkdir -p /out/state /out/tmp && chmod 700 /out/state && chmod 1777 /out/tmp

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /out/persona /usr/local/bin/persona
# Owned by the user of the program: a named volume mounted here takes over owner and mode.
COPY --from=build --chown=65532:65532 /out/state /var/lib/persona
COPY --from=build /out/tmp /tmp
USER 65532:65532
ENV PERSONA_LISTEN_HTTPS=:8443 PERSONA_LISTEN_HTTP=:8080
VOLUME /var/lib/persona
EXPOSE 8443 8080
HEALTHCHECK --interval=30s --timeout=3s CMD ["/usr/local/bin/persona", "healthcheck"]
ENTRYPOINT ["/usr/local/bin/persona"]
CMD ["serve"]
