package gateway_test

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
)

// The code of README.md is that of echo_test.go: all of it, in that order.
func TestReadmeIsTheEchoGateway(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("echo_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(source), "\n)\n") // the imports
	if !ok {
		t.Fatal("echo_test.go has no imports")
	}
	blocks := strings.Split(string(readme), "\n```go\n")[1:]
	for i, b := range blocks {
		code, _, _ := strings.Cut(b, "\n```")
		before, after, found := strings.Cut(rest, code)
		switch {
		case !found:
			t.Fatalf("code block %d is not in echo_test.go, or not behind the one before it:\n%s", i+1, code)
		case strings.TrimSpace(before) != "":
			t.Fatalf("README.md leaves out, before code block %d:\n%s", i+1, before)
		}
		rest = after
	}
	if strings.TrimSpace(rest) != "" {
		t.Errorf("README.md leaves out:\n%s", rest)
	}
}

var echoSchemes = []transport.Scheme{
	{Name: "echo", Protocol: "echo", Network: "tcp", Port: 7007},
	{Name: "echos", Protocol: "echo", Network: "tcp", Port: 7008, TLS: true},
}

func TestEcho(t *testing.T) {
	topic := func(end string) func(id, payload string) gatewaytest.Message {
		return func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "echo/" + id + end, Payload: payload}
		}
	}
	gatewaytest.Run(t, gatewaytest.Subject{
		URL: "echo://127.0.0.1:0", TLS: "echos://127.0.0.1:0", Schemes: echoSchemes,
		New: func(_ *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			return NewEcho(EchoConfig{Authenticator: e.Authenticator, ConnectTimeout: e.ConnectTimeout}, e.Broker)
		},
		Connect: func(t *testing.T, nc net.Conn, id string, _ *gatewaytest.Will) gatewaytest.Client {
			c := &echoClient{t, nc, bufio.NewReader(nc)}
			c.Send(id)
			if got := c.line(); got != "hello "+id {
				t.Fatalf("answered %q", got)
			}
			return c
		},
		Refused: func(t *testing.T, nc net.Conn, id string) {
			c := &echoClient{t, nc, bufio.NewReader(nc)}
			c.Send(id)
			if got := c.line(); got != "bye: not authorised" {
				t.Fatalf("answered %q", got)
			}
		},
		Uplink: topic("/up"), Downlink: topic("/dn"),
		Endless: []byte("x"),
	})
}

type echoClient struct {
	t  *testing.T
	nc net.Conn
	r  *bufio.Reader
}

func (c *echoClient) line() string {
	c.t.Helper()
	_ = c.nc.SetReadDeadline(time.Now().Add(gatewaytest.Patience))
	s, err := c.r.ReadString('\n')
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.TrimSuffix(s, "\n")
}

// Send implements gatewaytest.Client.
func (c *echoClient) Send(payload string) { fmt.Fprintln(c.nc, payload) }

// Receive implements gatewaytest.Client.
func (c *echoClient) Receive() string {
	c.t.Helper()
	for {
		if payload, ok := strings.CutPrefix(c.line(), "> "); ok {
			return payload
		}
	}
}

// Leave implements gatewaytest.Client.
func (c *echoClient) Leave() { c.Send("bye") }
