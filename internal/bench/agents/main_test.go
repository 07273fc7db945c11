//go:build unix

package agents

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// asAgent turns the test binary into the agent with the name in it, at the URL
// in asAgentAt, until its standard input ends.
const (
	asAgent   = "BENCH_TEST_AGENT"
	asAgentAt = "BENCH_TEST_AGENT_AT"
)

func TestMain(m *testing.M) {
	name := os.Getenv(asAgent)
	if name == "" {
		goleak.VerifyTestMain(m)
		return
	}
	e, err := transport.Parse(os.Getenv(asAgentAt), nil)
	if err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := newAgent(name, e).Serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// specs are what agents and leaders of tests know.
func specs() []bench.Spec {
	return append([]bench.Spec{
		bench.Conn(), bench.Pub(), bench.Sub(), bench.Pair(), bench.FanIn(), bench.FanOut(), bench.Shared(), bench.Latency(),
		bench.Retained(), bench.Resume(), bench.Storm(), bench.Churn(), bench.Slow(), bench.Will(),
	}, bench.MQTTBS()...)
}

// newAgent is one that loads e alone, the broker that it listens to.
func newAgent(name string, e transport.Endpoint) *Agent {
	p, err := ParsePattern(e.String())
	if err != nil {
		panic(err)
	}
	a := &Agent{Name: name, Allow: []Pattern{p}, Specs: specs(), Options: func(transport.Endpoint) (bench.Options, error) {
		return bench.Options{}, nil
	}}
	a.Client.Version = mqtt.V311
	a.Client.Dial = dialTo(e)
	return a
}
