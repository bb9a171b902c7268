# The commands of development. `make test` is what CI runs, and all that it runs.
GOLANGCI    = v2.15.0
GOVULNCHECK = v1.9.0
H2SPEC      = v2.2.1+incompatible
BENCHSTAT   = v0.0.0-20260908200009-22c9c6c9d4da
FUZZTIME   ?= 5s
READERTIME ?= 1m
BENCHCOUNT ?= 6
BENCHTIME  ?= 1s
SOAK       ?= 10m

TOOLS    = $(CURDIR)/.cache/tools
LINT     = $(TOOLS)/golangci-lint-$(GOLANGCI)
SPEC     = $(TOOLS)/h2spec-$(H2SPEC)
READERS  = FuzzHead|FuzzAnswers|FuzzBothWays
BASELINE = docs/benchmarks.txt

.PHONY: build deps check lint words modules modules-update unit test race browser conformance fuzz demo-check test-long test-cms test-compose bench bench-proxy soak vulns update clean

build: ## the static binary, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/persona ./cmd/persona

deps: $(LINT) $(SPEC) ## the servers and browsers that the tests talk to (Debian, as root), and the tools
	.ci/packages

$(LINT):
	mkdir -p $(TOOLS)/build
	GOBIN=$(TOOLS)/build go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI)
	mv $(TOOLS)/build/golangci-lint $@

$(SPEC):
	mkdir -p $(TOOLS)/build
	GOBIN=$(TOOLS)/build go install github.com/summerwind/h2spec/cmd/h2spec@$(H2SPEC)
	mv $(TOOLS)/build/h2spec $@

check: lint words modules ## what needs no test: format, vet, lint, import rules, words, modules

lint: $(LINT)
	GOLANGCI_LINT_CACHE=$(CURDIR)/.cache/lint $(LINT) run # findings name paths of the checkout that they are from

words: ## the words of CONTRIBUTING.md
	.ci/words

modules: ## the modules in the binary are those of cmd/persona/modules.txt
	.ci/modules

modules-update:
	.ci/modules -update

unit: ## the tests that need no server, no browser and little time
	go test -short ./...

test: deps check race browser conformance fuzz demo-check ## everything that CI runs

race: ## all tests with the race detector, but those in Chromium
	go test -race -timeout 15m ./...

browser: ## the tests in Chromium, without it: the library that drives Chromium has races of its own
	go test -timeout 15m -run '^TestBrowser' ./idp/... ./cmd/internal/app ./deploy/applications

conformance: $(SPEC) ## the edge against public knowledge: odd requests and answers, h2spec, TLS scanners, slow clients
	go test -timeout 15m -parallel 8 ./proxy/conformance -h2spec $(SPEC)

fuzz: ## each fuzz target for FUZZTIME, those that compare our readers of HTTP with net/http's for READERTIME
	.ci/fuzz $(FUZZTIME)
	.ci/fuzz $(READERTIME) '$(READERS)'

demo-check: ## the whole trip on one machine
	go run ./cmd/demo -check

test-long: test-compose test-cms $(SPEC) ## what takes longer: the container image, all applications, a minute for each fuzz target, slow clients of a minute, the browser tests ten times
	.ci/fuzz 1m
	go test -timeout 15m -parallel 8 ./proxy/conformance -h2spec $(SPEC) -long
	go test -timeout 60m -count 10 -run '^TestBrowser' ./idp/... ./cmd/internal/app

test-cms: ## real DokuWiki, MediaWiki, WordPress and others in Chromium (their packages: Debian, as root)
	.ci/packages -long
	go test -timeout 30m ./deploy/applications -long

test-compose: ## the real image and the real deploy/compose.yaml under a real engine (Debian, as root)
	.ci/test-compose

bench: ## every benchmark BENCHCOUNT times, compared with the recorded ones; BENCH=record records them
	.ci/bench $(BASELINE) $(BENCHCOUNT) $(BENCHTIME) golang.org/x/perf/cmd/benchstat@$(BENCHSTAT) $(BENCH)

bench-proxy: build ## CPU, rate, latency and memory beside nginx, HAProxy, Caddy and httputil.ReverseProxy, as ratios (Debian, as root)
	.ci/packages nginx haproxy caddy wrk nghttp2-client
	go run ./cmd/internal/edgebench -persona bin/persona

soak: build ## SOAK of mixed load, with reloads and a website that is killed: no leak, no page for the wrong request
	go run ./cmd/internal/soak -persona bin/persona -time $(SOAK)

vulns: ## known vulnerabilities in what the program calls
	go run golang.org/x/vuln/cmd/govulncheck@$(GOVULNCHECK) ./...

update: ## every module at its newest version
	go get -u ./... && go mod tidy
	.ci/modules -update

clean:
	rm -rf bin
