// Package iottext is a device of the text protocol: a dialect of client.Device.
//
// A topic is the name of a variable, or dev/ID: what is published there is a
// message to that device, and what others send to this one arrives as dev/ID
// with the sender's. A message without payload, nil and not empty, takes the
// value of a variable away. Variables stay at the server by themselves. Every
// request is answered, so an Outcome is Acknowledged or Refused.
package iottext

import (
	"errors"
	"fmt"
	"strings"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/iottext"
)

// DevicePrefix begins the topics of messages from device to device.
const DevicePrefix = "dev/"

// Config is who the device is.
type Config struct {
	ID       string
	Password []byte // nil: none
}

// Dialect is a client.Dialect.
type Dialect struct{ c Config }

// New makes the dialect. It refuses an id that no server takes.
func New(c Config) (Dialect, error) {
	if c.ID == "" {
		return Dialect{}, errors.New("a device needs an id")
	}
	if err := iottext.CheckName([]byte(c.ID)); err != nil {
		return Dialect{}, fmt.Errorf("device id: %w", err)
	}
	return Dialect{c}, nil
}

// Login implements client.Dialect: a greeting, and who the device is.
func (d Dialect) Login(dst []byte) ([]byte, int, error) {
	b, err := say(dst, iottext.Line{Command: iottext.Hello})
	if err != nil {
		return dst, 0, err
	}
	b, err = say(b, iottext.Line{Command: iottext.ID, ID: []byte(d.c.ID), Password: d.c.Password})
	if err != nil {
		return dst, 0, err
	}
	return b, 2, nil
}

// say appends a line of a device.
func say(dst []byte, l iottext.Line) ([]byte, error) {
	l.From = iottext.Client
	if n := l.Size(); n > iottext.MaxLine {
		return dst, &client.RefusedError{Reason: fmt.Sprintf("its line has %d bytes, the longest has %d", n, iottext.MaxLine)}
	}
	return l.Append(dst)
}

// Publish implements client.Dialect.
func (Dialect) Publish(dst []byte, m client.Message) ([]byte, bool, error) {
	l := iottext.Line{Command: iottext.Pub, Variable: []byte(m.Topic), Value: m.Payload}
	id, toDevice := strings.CutPrefix(m.Topic, DevicePrefix)
	switch {
	case toDevice:
		l = iottext.Line{Command: iottext.Msg, Device: []byte(id), Value: m.Payload}
	case m.Payload == nil:
		l = iottext.Line{Command: iottext.Del, Variable: []byte(m.Topic)}
	}
	b, err := say(dst, l)
	return b, true, err
}

// Subscribe implements client.Dialect.
func (Dialect) Subscribe(dst []byte, filter string) ([]byte, error) {
	return request(dst, iottext.Sub, filter)
}

// Unsubscribe implements client.Dialect.
func (Dialect) Unsubscribe(dst []byte, filter string) ([]byte, error) {
	return request(dst, iottext.Unsub, filter)
}

func request(dst []byte, c iottext.Command, filter string) ([]byte, error) {
	if err := CheckTopic(filter); err != nil {
		return dst, &client.RefusedError{Reason: err.Error()}
	}
	return say(dst, iottext.Line{Command: c, Variable: []byte(filter)})
}

// CheckTopic tells why a topic is neither a variable nor dev/ID.
func CheckTopic(topic string) error {
	return iottext.CheckName([]byte(strings.TrimPrefix(topic, DevicePrefix)))
}

// Alive implements client.Dialect: the server asks.
func (Dialect) Alive(dst []byte) []byte { return dst }

// Leave implements client.Dialect.
func (Dialect) Leave(dst []byte) []byte {
	b, _ := say(dst, iottext.Line{Command: iottext.Close}) // clients may always say this
	return b
}

// Next implements client.Dialect.
func (Dialect) Next(b []byte) (client.Event, int, error) {
	text, n, err := iottext.Frame(b, 0)
	switch {
	case errors.Is(err, iottext.ErrShort):
		return client.Event{}, 0, nil
	case err != nil:
		return client.Event{}, 0, &client.ForeignError{Err: err}
	case iottext.Blank(text):
		return client.Event{}, n, nil
	}
	l, err := iottext.Parse(text, iottext.Server)
	if err != nil {
		return client.Event{}, 0, &client.ForeignError{Err: err}
	}
	return event(l), n, nil
}

func event(l iottext.Line) client.Event {
	switch l.Command {
	case iottext.OK:
		return client.Event{Kind: client.EventAnswer}
	case iottext.Bad:
		return client.Event{Kind: client.EventAnswer, Err: &client.RefusedError{Reason: string(l.Reason)}}
	case iottext.Sub:
		return client.Event{Kind: client.EventMessage, Message: client.Message{Topic: string(l.Variable), Payload: l.Value}}
	case iottext.Msg:
		return client.Event{Kind: client.EventMessage, Message: client.Message{Topic: DevicePrefix + string(l.Device), Payload: l.Value}}
	case iottext.Ask:
		b, _ := say(nil, iottext.Line{Command: iottext.Hello}) // as Leave
		return client.Event{Reply: b}
	default: // CLOSE; Parse knows no other line of servers
		reason := string(l.Reason)
		return client.Event{Kind: client.EventEnd, Err: &client.EndedError{Reason: reason, Final: strings.Contains(reason, "taken over")}}
	}
}

// Describe implements client.Dialect: a line speaks for itself, but for a
// password.
func (Dialect) Describe(frame []byte, _ client.Direction) string {
	text := strings.TrimRight(string(frame), "\r\n")
	var shown []string
	for piece := range strings.SplitSeq(text, "\n") {
		before, after, found := strings.Cut(piece, "PASSWORD=")
		if found {
			_, rest, _ := strings.Cut(after, "|")
			piece = before + "PASSWORD=… |" + rest
		}
		shown = append(shown, piece)
	}
	return strings.Join(shown, "; ")
}
