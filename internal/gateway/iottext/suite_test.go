package iottext_test

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/iottext"
	"github.com/iotctl/iotctl/internal/gateway"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/transport"

	gw "github.com/iotctl/iotctl/internal/gateway/iottext"
)

// deviceOf is the suite's client: it publishes the variable that bears its
// name, and receives what is sent to it.
type deviceOf struct {
	t  *testing.T
	id string
	nc net.Conn
	r  *bufio.Reader
}

func connect(t *testing.T, nc net.Conn, id string, _ *gatewaytest.Will) gatewaytest.Client {
	d := deviceOf{t, id, nc, bufio.NewReader(nc)}
	d.write(iottext.Line{Command: iottext.ID, ID: []byte(id)})
	if l := d.read(); l.Command != iottext.OK {
		t.Fatalf("ID was answered %v %s", l.Command, l.Reason)
	}
	return d
}

func (d deviceOf) write(l iottext.Line) {
	d.t.Helper()
	l.From = iottext.Client
	b, err := l.Append(nil)
	if err == nil {
		_, err = d.nc.Write(b)
	}
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d deviceOf) read() iottext.Line {
	d.t.Helper()
	_ = d.nc.SetReadDeadline(time.Now().Add(gatewaytest.Patience))
	text, err := d.r.ReadString('\n')
	if err != nil {
		d.t.Fatal(err)
	}
	l, err := iottext.Parse([]byte(strings.TrimSuffix(text, "\n")), iottext.Server)
	if err != nil {
		d.t.Fatal(err)
	}
	return l
}

func (d deviceOf) Send(payload string) {
	d.t.Helper()
	d.write(iottext.Line{Command: iottext.Pub, Variable: []byte(d.id), Value: []byte(payload)})
}

func (d deviceOf) Receive() string {
	d.t.Helper()
	for {
		if l := d.read(); l.Command == iottext.Msg {
			return string(l.Value)
		}
	}
}

func (d deviceOf) Leave() { d.write(iottext.Line{Command: iottext.Close}) }

func refused(t *testing.T, nc net.Conn, id string) {
	d := deviceOf{t, id, nc, bufio.NewReader(nc)}
	for range 3 {
		d.write(iottext.Line{Command: iottext.ID, ID: []byte(id)})
		if l := d.read(); l.Command != iottext.Bad {
			t.Fatalf("ID was answered %v", l.Command)
		}
	}
	if l := d.read(); l.Command != iottext.Close {
		t.Fatalf("%v, want CLOSE", l.Command)
	}
}

func TestSuite(t *testing.T) {
	gatewaytest.Run(t, gatewaytest.Subject{
		URL: "text://127.0.0.1:0", TLS: "texts://127.0.0.1:0", Schemes: transport.TextSchemes(),
		New: func(_ *testing.T, e gatewaytest.Environment) (gateway.Gateway, error) {
			return gw.New(gw.Config{
				Authenticator: e.Authenticator, ConnectTimeout: e.ConnectTimeout, MaxLineBytes: iottext.MaxLine,
			}, e.Broker)
		},
		Connect: connect,
		Endless: []byte("START | COMMAND=PUB | VALUE="),
		Refused: refused,
		Uplink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "text/var/" + id, Payload: payload}
		},
		Downlink: func(id, payload string) gatewaytest.Message {
			return gatewaytest.Message{Topic: "text/dev/" + id + "/in", Payload: payload}
		},
	})
}
