package decode

import "github.com/iotctl/iotctl/internal/dissect"

// datagram reads the messages of one datagram.
func (l *level) datagram(e *Engine, h *half, p *piece) error {
	b := p.bytes
	for n := 0; n < len(b); {
		k, err := l.one(e, h, p, b[n:], n)
		if err != nil {
			return err
		}
		n += k
	}
	h.off += int64(len(b))
	h.lost, h.failed = false, false
	return nil
}

// Pasted takes what was pasted: each by itself, or as one stream. If the first is a
// CONNECT of MQTT, the others have its version.
func (e *Engine) Pasted(packets [][]byte) error {
	if e.o.Stream {
		var all []byte
		for _, b := range packets {
			all = append(all, b...)
		}
		packets = [][]byte{all}
	}
	version := uint8(0)
	for i, b := range packets {
		s := &stream{Stream: Stream{Number: i + 1}}
		s.top = &level{s: s}
		s.version = version
		if err := e.deliver(s.top, &piece{dir: dissect.Unknown, bytes: b, end: true}); err != nil {
			return err
		}
		if err := e.Flush(); err != nil {
			return err
		}
		if i == 0 && s.Protocol == mqttName && s.first == "CONNECT" {
			version = levels[mqttName+s.Version]
		}
	}
	return nil
}
