package bench

import (
	"context"
	"fmt"
	"io"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

// asBroker turns the test binary into a broker that runs until its standard
// input ends.
const asBroker = "BENCH_TEST_BROKER"

func TestMain(m *testing.M) {
	if os.Getenv(asBroker) == "" {
		goleak.VerifyTestMain(m)
		return
	}
	s, err := serve.Start(context.Background(), serve.Config{
		Builtin: servetest.Builtin(), Listeners: []serve.Listener{{URL: "mqtt://127.0.0.1:0"}},
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(s.URLs()[0])
	_, _ = io.Copy(io.Discard, os.Stdin)
	_ = s.Close()
}
