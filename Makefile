# The commands of development. `make test` is what CI runs, and all that it runs.
GOFUMPT     = mvdan.cc/gofumpt@v0.12.0
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME   ?= 5s
BENCHTIME  ?= 1s

.PHONY: build test packages format vet staticcheck race fuzz demo-check test-compose bench clean

build: ## the static binary, into bin/
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/persona ./cmd/persona

test: packages format vet staticcheck race browser fuzz demo-check ## everything that CI runs

packages: ## the servers and the browser that the tests talk to (Debian, as root)
	.ci/packages

format:
	@out=$$(go run $(GOFUMPT) -l .) && test -z "$$out" || { echo "not formatted by gofumpt:"; echo "$$out"; exit 1; }

vet:
	go vet ./...

staticcheck:
	go run $(STATICCHECK) ./...

race: ## all tests with the race detector, but those in a browser
	go test -race -timeout 15m ./...

browser: ## the tests in a browser, without it: the library that drives Chromium has races of its own
	go test -timeout 15m ./idp ./cmd/internal/app

fuzz: ## each fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME)

demo-check: ## the whole trip on one machine
	go run ./cmd/demo -check

test-compose: ## the real image and the real deploy/compose.yaml under a real engine (Debian, as root)
	.ci/test-compose

bench: ## every benchmark, with allocations
	go test -run '^$$' -bench . -benchmem -benchtime $(BENCHTIME) ./...

clean:
	rm -rf bin
