# `make test` needs Go and a C compiler; it installs the rest or says what is
# missing. `go run ./cmd/iotctl serve` needs nothing but Go.

GOFUMPT       = mvdan.cc/gofumpt@v0.12.0
GOLANGCI_LINT = github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GORELEASER    = github.com/goreleaser/goreleaser/v2@v2.16.0
BIN           = $(CURDIR)/.bin
FUZZTIME     ?= 20s
SOAK         ?= 1m
# Tests that run the program beside other programs have the machine to themselves.
WHOLE         = ./cmd/iotctl ./internal/interop
PARTS         = $$(go list ./... | grep -v -E '/(cmd/iotctl|internal/interop)$$')
PROTO         = go -C .ci/proto run . $(1) $(CURDIR)/internal/gateway/exproto/exprotov1/exproto.proto

.PHONY: test build lint race soak fuzz results proto docs release-check cross clean

test: ## every test; those with third-party programs run where these are installed
	@.ci/tools
	go test -timeout 15m $(PARTS)
	go test -timeout 15m -p 1 $(WHOLE)

build: ## the program, as releases build it
	CGO_ENABLED=0 go build -trimpath -o iotctl ./cmd/iotctl

race: ## every test with the race detector, the broker under test included
	go test -race -timeout 25m $(PARTS)
	go test -race -timeout 25m -p 1 $(WHOLE)

soak: ## 1,000 clients of random behaviour for SOAK, with the race detector
	IOTCTL_SOAK=$(SOAK) go test -race -timeout 60m -run '^TestSoak$$' -v ./internal/gateway/mqtt

lint: $(BIN)/gofumpt $(BIN)/golangci-lint ## format, vet, static analysis, go.mod
	@files=$$($(BIN)/gofumpt -l .) && if [ -n "$$files" ]; then echo "not gofumpt'ed:"; echo "$$files"; exit 1; fi
	go vet ./...
	$(call PROTO,-check)
	$(BIN)/golangci-lint run --timeout 10m ./...
	go mod tidy -diff

fuzz: ## each fuzz target for FUZZTIME
	.ci/fuzz $(FUZZTIME) internal

results: ## measure what internal/bench/RESULTS.md shows; bars that are missed end it with an error
	go run ./internal/bench/growth
	go run ./internal/bench/brokers
	go run ./internal/bench/mqttsn

proto: ## Go code of the gRPC interface, from its .proto file
	$(call PROTO)

docs: ## man pages and completions, from the commands
	go run ./cmd/iotctl docs .

cross: ## does it build for the other platforms?
	@for p in linux/arm64 linux/arm darwin/arm64 windows/amd64; do \
		echo "build $$p"; GOOS=$${p%/*} GOARCH=$${p#*/} GOARM=7 CGO_ENABLED=0 go build -o /dev/null ./cmd/iotctl || exit 1; \
	done

release-check: $(BIN)/goreleaser ## goreleaser.yaml
	$(BIN)/goreleaser check

$(BIN)/gofumpt: Makefile
	GOBIN=$(BIN) go install $(GOFUMPT) && touch $@

$(BIN)/golangci-lint: Makefile
	GOBIN=$(BIN) go install $(GOLANGCI_LINT) && touch $@

$(BIN)/goreleaser: Makefile
	GOBIN=$(BIN) go install $(GORELEASER) && touch $@

clean:
	rm -rf iotctl dist $(BIN)
