package decode

import "github.com/iotctl/iotctl/internal/dissect"

// Pasted takes what was pasted: each by itself or, with Options.Stream, as more of one
// stream, which ends with Close. If the first of all is a CONNECT of MQTT, the others
// have its version.
func (e *Engine) Pasted(packets [][]byte) error {
	for _, b := range packets {
		if e.o.Stream {
			if e.pasted == nil {
				e.pasted = e.paste()
			}
			if err := e.deliver(e.pasted.top, &piece{dir: e.o.From, bytes: b}); err != nil {
				return err
			}
			continue
		}
		s := e.paste()
		if err := e.deliver(s.top, &piece{dir: e.o.From, bytes: b, end: true}); err != nil {
			return err
		}
		if err := e.settle(s); err != nil {
			return err
		}
		if s.Number == 1 && s.Protocol == mqttName && s.first == "CONNECT" {
			e.conversation = levels[mqttName+s.Version]
		}
	}
	return nil
}

// paste returns a stream for what is pasted.
func (e *Engine) paste() *stream {
	e.pastes++
	s := &stream{Stream: Stream{Number: e.pastes}, version: e.conversation}
	s.top = &level{s: s, joined: e.o.From != dissect.Unknown}
	return s
}

// closePasted ends the stream of what was pasted.
func (e *Engine) closePasted() error {
	s := e.pasted
	if s == nil {
		return nil
	}
	e.pasted = nil
	if err := e.deliver(s.top, &piece{dir: e.o.From, end: true}); err != nil {
		return err
	}
	return e.settle(s)
}
