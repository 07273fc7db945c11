// Package emqtcp is a device of the EMQ private TCP protocol: a dialect of
// client.Device. The protocol has no topics, answers no message and knows QoS 0
// alone, so a message that was Written may still be dropped by the server.
package emqtcp

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/emqtcp"
)

// Config is who the device is.
type Config struct {
	ClientID string
	Username *string       // nil: none
	Password []byte        // nil: none
	Alive    time.Duration // the keep alive that CONNECT states, up to 255 s; 0: none
}

// Dialect is a client.Dialect.
type Dialect struct{ login emqtcp.Connect }

// New makes the dialect. It refuses what CONNECT cannot express.
func New(c Config) (Dialect, error) {
	seconds := math.Ceil(c.Alive.Seconds())
	if seconds < 0 || seconds > math.MaxUint8 {
		return Dialect{}, fmt.Errorf("keep alive %v: the protocol has a byte for seconds, up to 255", c.Alive)
	}
	if c.ClientID == "" {
		return Dialect{}, errors.New("a device needs a client identifier")
	}
	d := Dialect{emqtcp.Connect{
		Version: emqtcp.Version, KeepAlive: uint8(seconds), ClientID: c.ClientID,
		HasPassword: c.Password != nil, Password: c.Password,
	}}
	if c.Username != nil {
		d.login.HasUsername, d.login.Username = true, *c.Username
	}
	b, err := d.login.Append(nil)
	if err == nil { // with the eyes of a server
		_, _, err = emqtcp.Parse(b, emqtcp.Options{})
	}
	return d, err
}

// Login implements client.Dialect.
func (d Dialect) Login(dst []byte) ([]byte, int, error) {
	b, err := d.login.Append(dst)
	return b, 1, err
}

// Publish implements client.Dialect. The topic and everything else that MQTT
// has are left to the caller to refuse.
func (Dialect) Publish(dst []byte, m client.Message) ([]byte, bool, error) {
	b, err := emqtcp.Datatrans{Payload: m.Payload}.Append(dst)
	if err != nil {
		return dst, false, &client.RefusedError{Reason: fmt.Sprintf("%d bytes, a frame holds %d", len(m.Payload), emqtcp.MaxPayload)}
	}
	return b, false, nil
}

var errNoTopics = &client.RefusedError{Reason: "the protocol has none: the server decides what a device receives"}

// Subscribe implements client.Dialect.
func (Dialect) Subscribe(dst []byte, _ string) ([]byte, error) { return dst, errNoTopics }

// Unsubscribe implements client.Dialect.
func (Dialect) Unsubscribe(dst []byte, _ string) ([]byte, error) { return dst, errNoTopics }

// Alive implements client.Dialect.
func (Dialect) Alive(dst []byte) []byte { return must(emqtcp.Ping{}.Append(dst)) }

// Leave implements client.Dialect.
func (Dialect) Leave(dst []byte) []byte { return must(emqtcp.Disconnect{}.Append(dst)) }

func must(b []byte, _ error) []byte { return b } // frames without fields always fit

// Next implements client.Dialect.
func (Dialect) Next(b []byte) (client.Event, int, error) {
	if h, body, n, err := emqtcp.Frame(b, 0); err == nil && h.Type == emqtcp.TypeDatatrans { // without an allocation
		return client.Event{Kind: client.EventMessage, Message: client.Message{Payload: body}}, n, nil
	}
	p, n, err := emqtcp.Parse(b, emqtcp.Options{FromServer: true})
	switch {
	case errors.Is(err, emqtcp.ErrShort):
		return client.Event{}, 0, nil
	case err != nil:
		return client.Event{}, 0, &client.ForeignError{Err: err}
	}
	ack, ok := p.(emqtcp.Connack)
	if !ok {
		return client.Event{}, n, nil // PONG
	}
	e := client.Event{Kind: client.EventAnswer}
	if ack.Code != emqtcp.Successful {
		e.Err = &client.RefusedError{Reason: reason(ack)}
	}
	return e, n, nil
}

// reason is a refusal in words: the code, and what the server adds to it.
func reason(p emqtcp.Connack) string {
	text := fmt.Sprintf("%v (%d)", p.Code, uint8(p.Code))
	if p.Message != "" {
		text += fmt.Sprintf(": %q", p.Message)
	}
	return text
}

// Describe implements client.Dialect.
func (Dialect) Describe(frame []byte, dir client.Direction) string {
	p, _, err := emqtcp.Parse(frame, emqtcp.Options{FromServer: dir == client.Received, Lenient: true})
	if err != nil {
		return fmt.Sprintf("%d bytes that are no frame: %v", len(frame), err)
	}
	switch p := p.(type) {
	case emqtcp.Connect:
		s := fmt.Sprintf("CONNECT client %q, keep alive %d s", p.ClientID, p.KeepAlive)
		if p.HasUsername {
			s += fmt.Sprintf(", user %q", p.Username)
		}
		if p.HasPassword {
			s += ", with a password"
		}
		return s
	case emqtcp.Connack:
		return "CONNACK " + reason(p)
	case emqtcp.Datatrans:
		return fmt.Sprintf("DATATRANS %d bytes", len(p.Payload))
	}
	return p.Type().String()
}
