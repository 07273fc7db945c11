package serve_test

import (
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/serve/servetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStartServesAndCloses(t *testing.T) {
	s := servetest.Start(t, nil)
	urls := s.URLs()
	if len(urls) != 1 || !strings.HasPrefix(urls[0], "mqtt://127.0.0.1:") || strings.HasSuffix(urls[0], ":0") {
		t.Fatalf("URLs %q, want one with a real port", urls)
	}
	addr := strings.TrimPrefix(urls[0], "mqtt://")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if c, err := net.Dial("tcp", addr); err == nil {
		c.Close()
		t.Error("the port is still open after Close")
	}
}
