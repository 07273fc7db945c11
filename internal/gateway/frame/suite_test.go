package frame_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
)

func TestGateway(t *testing.T) {
	for _, url := range []string{"frame://127.0.0.1:0/talk", "frame+udp://127.0.0.1:0/talk"} {
		name, _, _ := strings.Cut(url, ":")
		t.Run(name, func(t *testing.T) { gatewaytest.Run(t, subject(url)) })
	}
}

func subject(url string) gatewaytest.Subject {
	return gatewaytest.Subject{
		URL:     url,
		TLS:     "frames://127.0.0.1:0/talk",
		Schemes: frame.Schemes(),
		New: func(_ *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			c := with("", "")
			c.Authenticator, c.ConnectTimeout = e.Authenticator, e.ConnectTimeout
			return frame.New(c, e.Broker)
		},
		Connect: func(t *testing.T, nc net.Conn, id string, _ *gatewaytest.Will) gatewaytest.Client {
			s := speaker{t, nc, bufio.NewReaderSize(nc, 1<<16)}
			s.line("LOGIN " + id)
			if got := s.next(); got != "OK" {
				t.Fatalf("the login is answered by %q", got)
			}
			return s
		},
		Refused: func(t *testing.T, nc net.Conn, id string) {
			s := speaker{t, nc, bufio.NewReader(nc)}
			s.line("LOGIN " + id)
			if got := s.next(); got != "NO" {
				t.Errorf("the login is answered by %q", got)
			}
		},
		Uplink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "talk/" + id + "/data", Payload: payload}
		},
		Downlink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "talk/" + id + "/down", Payload: payload}
		},
		LoginBytes: 7,
		Endless:    []byte("x"),
	}
}

// speaker is a device of the suite.
type speaker struct {
	t  *testing.T
	nc net.Conn
	in *bufio.Reader
}

func (s speaker) line(text string) {
	s.t.Helper()
	if _, err := s.nc.Write([]byte(text + "\n")); err != nil {
		s.t.Fatal(err)
	}
}

func (s speaker) next() string {
	s.t.Helper()
	_ = s.nc.SetReadDeadline(time.Now().Add(gatewaytest.Patience))
	line, err := s.in.ReadString('\n')
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\n")
}

func (s speaker) Send(payload string) { s.t.Helper(); s.line("DATA " + payload) }

func (s speaker) Receive() string {
	s.t.Helper()
	return strings.TrimPrefix(s.next(), "> ")
}

func (s speaker) Leave() { _ = s.nc.Close() }
