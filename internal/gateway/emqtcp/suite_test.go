package emqtcp_test

import (
	"io"
	"net"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestGateway(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Subject{
		URL:     "emqtcp://127.0.0.1:0",
		TLS:     "emqtcps://127.0.0.1:0",
		Schemes: transport.EMQTCPSchemes(),
		New: func(_ *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			return emqtcp.New(emqtcp.Config{Authenticator: e.Authenticator, IdleTimeout: e.ConnectTimeout}, e.Broker)
		},
		Connect: func(t *testing.T, nc net.Conn, id string, _ *gatewaytest.Will) gatewaytest.Client {
			d := device{t, nc}
			d.write(connectAs(id, 0))
			d.wants(accepted)
			return talker{d}
		},
		Refused: func(t *testing.T, nc net.Conn, id string) {
			d := device{t, nc}
			d.write(connectAs(id, 0))
			d.wants(authFailed)
		},
		Uplink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "tcp/" + id + "/up", Payload: payload}
		},
		Downlink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "tcp/" + id + "/dn", Payload: payload}
		},
		PayloadBytes: 65535,
		LoginBytes:   9,
	})
}

// talker is a device of the suite.
type talker struct{ device }

func (d talker) Send(payload string) { d.t.Helper(); d.write(data(payload)) }

func (d talker) Receive() string {
	d.t.Helper()
	var head [3]byte
	if _, err := io.ReadFull(d.nc, head[:]); err != nil || head[0] != 0x30 {
		d.t.Fatalf("%x, %v", head, err)
	}
	payload := make([]byte, int(head[1])<<8|int(head[2]))
	if _, err := io.ReadFull(d.nc, payload); err != nil {
		d.t.Fatal(err)
	}
	return string(payload)
}

func (d talker) Leave() { d.t.Helper(); d.send("60") }
