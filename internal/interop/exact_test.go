//go:build unix

package interop

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// exact is a client of MQTT 5.0 that sends and expects exact packets.
type exact struct {
	t  *testing.T
	nc net.Conn
	in []byte
}

// exactly connects and returns what the broker answered. A session lives for
// an hour unless c says otherwise.
func (d *daemon) exactly(c mqtt.Connect) (*exact, mqtt.Connack) {
	d.t.Helper()
	nc, err := d.dial(d.t.Context())
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = nc.Close() })
	e := &exact{t: d.t, nc: nc}
	c.Version = mqtt.V5
	if _, ok := c.Properties.Uint32(mqtt.PropSessionExpiryInterval); !ok {
		c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 3600)
	}
	e.send(c)
	return e, expect[mqtt.Connack](e)
}

// session is exactly where the broker must say yes, and whether there was a
// session.
func (d *daemon) session(c mqtt.Connect, present bool) *exact {
	d.t.Helper()
	e, ack := d.exactly(c)
	if ack.Code != mqtt.Success || ack.SessionPresent != present {
		d.t.Fatalf("%s: CONNACK %s, session present %v, want %v", c.ClientID, ack.Code, ack.SessionPresent, present)
	}
	return e
}

func (e *exact) send(packets ...mqtt.Packet) {
	e.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		if b, err = p.Append(b, mqtt.V5); err != nil {
			e.t.Fatal(err)
		}
	}
	if _, err := e.nc.Write(b); err != nil {
		e.t.Fatal(err)
	}
}

// read returns the next packet.
func (e *exact) read(wait time.Duration) (mqtt.Packet, error) {
	e.t.Helper()
	_ = e.nc.SetReadDeadline(time.Now().Add(wait))
	for {
		p, n, err := mqtt.Parse(e.in, mqtt.Options{Version: mqtt.V5, FromServer: true})
		if err == nil {
			e.in = e.in[n:]
			return p, nil
		}
		if !errors.Is(err, mqtt.ErrShort) {
			e.t.Fatal(err)
		}
		buf := make([]byte, 64<<10)
		n, err = e.nc.Read(buf)
		if err != nil {
			return nil, err
		}
		e.in = append(e.in[:len(e.in):len(e.in)], buf[:n]...)
	}
}

// expect returns the next packet, which has to be a P.
func expect[P mqtt.Packet](e *exact) P {
	e.t.Helper()
	var want P
	p, err := e.read(patience)
	if err != nil {
		e.t.Fatalf("waiting for %s: %v", want.Type(), err)
	}
	got, ok := p.(P)
	if !ok {
		e.t.Fatalf("got %s %+v, want %s", p.Type(), p, want.Type())
	}
	return got
}

// nothing fails when a packet comes before the answer to PINGREQ.
func (e *exact) nothing() {
	e.t.Helper()
	e.send(mqtt.Pingreq{})
	expect[mqtt.Pingresp](e)
}

func (e *exact) subscribe(s ...mqtt.Subscription) {
	e.t.Helper()
	e.subscribeWith(nil, s...)
}

func (e *exact) subscribeWith(props mqtt.Properties, s ...mqtt.Subscription) {
	e.t.Helper()
	e.send(mqtt.Subscribe{PacketID: 1, Properties: props, Filters: s})
	for _, code := range expect[mqtt.Suback](e).Codes {
		if code.IsError() {
			e.t.Fatalf("SUBACK %s", code)
		}
	}
}

// publish goes through the acknowledgements of a message.
func (e *exact) publish(p mqtt.Publish) {
	e.t.Helper()
	if p.QoS > 0 {
		p.PacketID = 1
	}
	e.send(p)
	switch p.QoS {
	case 1:
		if code := expect[mqtt.Puback](e).Code; code.IsError() {
			e.t.Fatalf("PUBACK %s", code)
		}
	case 2:
		expect[mqtt.Pubrec](e)
		e.send(mqtt.Pubrel{PacketID: 1})
		expect[mqtt.Pubcomp](e)
	}
}

// receive returns the next message and acknowledges it at QoS 1.
func (e *exact) receive() mqtt.Publish {
	e.t.Helper()
	p := expect[mqtt.Publish](e)
	if p.QoS == 1 {
		e.send(mqtt.Puback{PacketID: p.PacketID})
	}
	return p
}

func text(topic, payload string, qos uint8) mqtt.Publish {
	return mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos}
}

func named(id string) mqtt.Connect { return mqtt.Connect{ClientID: id} }
