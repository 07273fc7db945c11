package mqtt_test

import (
	"errors"
	"net"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// raw is a client that sends and expects exact packets.
type raw struct {
	t       *testing.T
	nc      net.Conn
	version mqtt.Version
	in      []byte
	held    []mqtt.Publish // came while something else was expected
	nextID  uint16
}

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

func dial(t *testing.T, addr string, v mqtt.Version) *raw {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = nc.Close() })
	return &raw{t: t, nc: nc, version: v}
}

// send writes packets.
func (r *raw) send(packets ...mqtt.Packet) {
	r.t.Helper()
	var b []byte
	for _, p := range packets {
		var err error
		if b, err = p.Append(b, r.version); err != nil {
			r.t.Fatalf("append %T: %v", p, err)
		}
	}
	r.bytes(b)
}

// bytes writes bytes. A connection that the broker has closed meanwhile is no
// error here; what was expected to come back tells.
func (r *raw) bytes(b []byte) {
	r.t.Helper()
	_ = r.nc.SetWriteDeadline(time.Now().Add(patience))
	_, _ = r.nc.Write(b)
}

// read returns the next packet, or the error that ended the connection.
func (r *raw) read(wait time.Duration) (mqtt.Packet, error) {
	r.t.Helper()
	_ = r.nc.SetReadDeadline(time.Now().Add(wait))
	for {
		p, n, err := mqtt.Parse(r.in, mqtt.Options{Version: r.version, FromServer: true})
		if err == nil {
			r.in = r.in[n:]
			return p, nil
		}
		if !errors.Is(err, mqtt.ErrShort) {
			r.t.Fatalf("the broker sent a packet that breaks a rule: %v\n% x", err, r.in)
		}
		buf := make([]byte, 64<<10)
		n, err = r.nc.Read(buf)
		r.in = append(r.in[:len(r.in):len(r.in)], buf[:n]...)
		if err != nil && n == 0 {
			return nil, err
		}
	}
}

// expect returns the next packet, which has to be a P. Messages that come in
// between are held back for message.
func expect[P mqtt.Packet](r *raw) P {
	r.t.Helper()
	for {
		p, err := r.read(patience)
		var want P
		if err != nil {
			r.t.Fatalf("waiting for %s: %v", want.Type(), err)
		}
		if got, ok := p.(P); ok {
			return got
		}
		m, ok := p.(mqtt.Publish)
		if !ok {
			r.t.Fatalf("got %s %+v, want %s", p.Type(), p, want.Type())
		}
		r.held = append(r.held, m)
	}
}

// silent fails when a packet comes within wait.
func (r *raw) silent(wait time.Duration) {
	r.t.Helper()
	if len(r.held) > 0 {
		r.t.Fatalf("got %+v, want nothing", r.held[0])
	}
	p, err := r.read(wait)
	if err == nil {
		r.t.Fatalf("got %s %+v, want nothing", p.Type(), p)
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		r.t.Fatalf("the connection ended: %v", err)
	}
}

// closed waits for the broker to close the connection; packets before that
// are returned.
func (r *raw) closed() []mqtt.Packet {
	r.t.Helper()
	var seen []mqtt.Packet
	for deadline := time.Now().Add(patience); ; {
		p, err := r.read(time.Until(deadline))
		if err == nil {
			seen = append(seen, p)
			continue
		}
		var timeout net.Error
		if errors.As(err, &timeout) && timeout.Timeout() {
			r.t.Fatalf("the connection is still open after %v; received %+v", patience, seen)
		}
		_ = r.nc.Close() // the broker waits for that
		return seen
	}
}

// closedWith expects the end with one DISCONNECT of that reason in 5.0, and
// without a word before.
func (r *raw) closedWith(code mqtt.ReasonCode) {
	r.t.Helper()
	seen := r.closed()
	if r.version < mqtt.V5 {
		if len(seen) > 0 {
			r.t.Errorf("got %+v before the end, want nothing", seen)
		}
		return
	}
	if len(seen) == 0 {
		r.t.Errorf("closed without DISCONNECT, want reason %s", code)
		return
	}
	d, ok := seen[len(seen)-1].(mqtt.Disconnect)
	if !ok || d.Code != code {
		r.t.Errorf("last packet is %+v, want DISCONNECT with %s", seen[len(seen)-1], code)
	}
}

// connect sends CONNECT and returns the CONNACK, whatever it says.
func (r *raw) connect(c mqtt.Connect) mqtt.Connack {
	r.t.Helper()
	c.Version = r.version
	r.send(c)
	return expect[mqtt.Connack](r)
}

// online connects with a fresh session and has to succeed.
func online(t *testing.T, addr string, v mqtt.Version, id string) *raw {
	t.Helper()
	r := dial(t, addr, v)
	if ack := r.connect(mqtt.Connect{ClientID: id, CleanStart: true}); ack.Code != mqtt.Success {
		t.Fatalf("CONNACK %s", ack.Code)
	}
	return r
}

func (r *raw) id() uint16 {
	r.nextID++
	return r.nextID
}

// subscribe subscribes and returns the codes of SUBACK.
func (r *raw) subscribe(props mqtt.Properties, filters ...mqtt.Subscription) []mqtt.ReasonCode {
	r.t.Helper()
	id := r.id()
	r.send(mqtt.Subscribe{PacketID: id, Properties: props, Filters: filters})
	ack := expect[mqtt.Suback](r)
	if ack.PacketID != id {
		r.t.Fatalf("SUBACK for %d, want %d", ack.PacketID, id)
	}
	return ack.Codes
}

// sub subscribes to one filter, which has to be granted.
func (r *raw) sub(filter string, qos uint8) {
	r.t.Helper()
	if codes := r.subscribe(nil, mqtt.Subscription{Filter: filter, QoS: qos}); codes[0] != mqtt.ReasonCode(qos) {
		r.t.Fatalf("subscription to %q: %s", filter, codes[0])
	}
}

// publish sends a message and goes through its acknowledgements.
func (r *raw) publish(p mqtt.Publish) mqtt.ReasonCode {
	r.t.Helper()
	if p.QoS > 0 && p.PacketID == 0 {
		p.PacketID = r.id()
	}
	r.send(p)
	switch p.QoS {
	case 1:
		return expect[mqtt.Puback](r).Code
	case 2:
		if rec := expect[mqtt.Pubrec](r); rec.Code.IsError() {
			return rec.Code
		}
		r.send(mqtt.Pubrel{PacketID: p.PacketID})
		return expect[mqtt.Pubcomp](r).Code
	}
	return mqtt.Success
}

// next returns the next PUBLISH, without acknowledging it.
func (r *raw) next() mqtt.Publish {
	r.t.Helper()
	if len(r.held) == 0 {
		return expect[mqtt.Publish](r)
	}
	p := r.held[0]
	r.held = r.held[1:]
	return p
}

// message returns the next PUBLISH and acknowledges it.
func (r *raw) message() mqtt.Publish {
	r.t.Helper()
	p := r.next()
	switch p.QoS {
	case 1:
		r.send(mqtt.Puback{PacketID: p.PacketID})
	case 2:
		r.send(mqtt.Pubrec{PacketID: p.PacketID})
		rel := expect[mqtt.Pubrel](r)
		if rel.PacketID != p.PacketID {
			r.t.Fatalf("PUBREL for %d, want %d", rel.PacketID, p.PacketID)
		}
		r.send(mqtt.Pubcomp{PacketID: p.PacketID})
	}
	return p
}

// pub is a PUBLISH.
func pub(topic, payload string, qos uint8) mqtt.Publish {
	return mqtt.Publish{Topic: []byte(topic), Payload: []byte(payload), QoS: qos}
}
