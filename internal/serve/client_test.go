package serve_test

import (
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/url"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// patience bounds waits for what is on its way.
const patience = 30 * time.Second

// client is a raw MQTT 5.0 client.
type client struct {
	net.Conn
	t   *testing.T
	buf []byte
}

// dial opens a connection to a mqtt:// or mqtts:// URL.
func dial(t *testing.T, rawURL string, tc *tls.Config) *client {
	t.Helper()
	u, err := url.Parse(rawURL)
	if err != nil {
		t.Fatal(err)
	}
	network, addr := "tcp", u.Host
	if u.Scheme == "unix" {
		network, addr = "unix", u.Path
	}
	nc, err := net.Dial(network, addr)
	if err != nil {
		t.Fatal(err)
	}
	if tc != nil {
		nc = tls.Client(nc, tc)
	}
	t.Cleanup(func() { nc.Close() })
	nc.SetDeadline(time.Now().Add(patience))
	return &client{Conn: nc, t: t}
}

func (c *client) send(p mqtt.Packet) {
	c.t.Helper()
	b, err := p.Append(nil, mqtt.V5)
	if err != nil {
		c.t.Fatal(err)
	}
	if _, err := c.Write(b); err != nil {
		c.t.Fatal(err)
	}
}

// next is the next packet.
func (c *client) next() mqtt.Packet {
	c.t.Helper()
	for {
		p, _, err := mqtt.Parse(c.buf, mqtt.Options{Version: mqtt.V5, FromServer: true})
		if err == nil {
			_, _, n, _ := mqtt.Frame(c.buf, 0)
			c.buf = c.buf[n:]
			return p
		}
		if !errors.Is(err, mqtt.ErrShort) {
			c.t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := c.Read(b)
		if err != nil {
			c.t.Fatal("waiting for a packet:", err)
		}
		c.buf = append(c.buf, b[:n]...)
	}
}

// connect opens a session; user "" is anonymous.
func connect(t *testing.T, rawURL, user string, tc *tls.Config) (*client, mqtt.Connack) {
	t.Helper()
	c := dial(t, rawURL, tc)
	p := mqtt.Connect{ProtocolName: "MQTT", Version: mqtt.V5, CleanStart: true}
	if user != "" {
		p.Username, p.HasUsername, p.Password, p.HasPassword = user, true, []byte("secret"), true
	}
	c.send(p)
	ack, ok := c.next().(mqtt.Connack)
	if !ok {
		t.Fatal("no CONNACK")
	}
	return c, ack
}

// mustConnect is connect for those who are let in.
func mustConnect(t *testing.T, rawURL, user string, tc *tls.Config) *client {
	t.Helper()
	c, ack := connect(t, rawURL, user, tc)
	if ack.Code != mqtt.Success {
		t.Fatalf("%s as %q: CONNACK %v", rawURL, user, ack.Code)
	}
	return c
}

// ping fails the test unless the connection is alive.
func (c *client) ping() {
	c.t.Helper()
	c.send(mqtt.Pingreq{})
	if p := c.next(); p.Type() != mqtt.TypePingresp {
		c.t.Fatalf("%v in place of PINGRESP", p.Type())
	}
}

// subscribe returns the reason code.
func (c *client) subscribe(filter string) mqtt.ReasonCode {
	c.t.Helper()
	c.send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: filter}}})
	ack, ok := c.next().(mqtt.Suback)
	if !ok || len(ack.Codes) != 1 {
		c.t.Fatal("no SUBACK")
	}
	return ack.Codes[0]
}

// farewell is the reason code of a DISCONNECT that has to come, and then the
// end of the stream.
func (c *client) farewell() mqtt.ReasonCode {
	c.t.Helper()
	d, ok := c.next().(mqtt.Disconnect)
	if !ok {
		c.t.Fatal("no DISCONNECT")
	}
	if n, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		c.t.Fatalf("after DISCONNECT: %d bytes, %v", n, err)
	}
	return d.Code
}
