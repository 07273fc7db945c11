package decode

import "github.com/iotctl/iotctl/internal/dissect"

// other is the other side.
func other(dir dissect.Direction) dissect.Direction {
	switch dir {
	case dissect.FromClient:
		return dissect.FromServer
	case dissect.FromServer:
		return dissect.FromClient
	}
	return dir
}

// wrong reports whether the sides of l are the wrong way round: who they are was
// guessed, and a CONNECT of MQTT comes from the server.
func (l *level) wrong(e *Engine) bool {
	if l.depth > 0 || !l.joined || l.s.turned || len(l.heads[dissect.FromServer].bytes) == 0 {
		return false
	}
	b := l.heads[dissect.FromServer].bytes
	if b[0] != mqttConnect {
		return false
	}
	for _, d := range e.o.Dissectors {
		if d.Name() == mqttName {
			c, _ := d.Sniff(b, dissect.Hint{Direction: dissect.FromClient})
			return c == dissect.Certain
		}
	}
	return false
}

// turn turns the sides of l's stream, and of what of it waits.
func (e *Engine) turn(l *level) {
	s := l.s
	s.turned = true
	s.Client, s.Server = s.Server, s.Client
	s.ended[dissect.FromClient], s.ended[dissect.FromServer] = s.ended[dissect.FromServer], s.ended[dissect.FromClient]
	l.heads[dissect.FromClient], l.heads[dissect.FromServer] = l.heads[dissect.FromServer], l.heads[dissect.FromClient]
	for i := range e.queue {
		ev := &e.queue[i]
		switch {
		case ev.level == l:
			ev.piece.dir = other(ev.piece.dir)
		case ev.note != nil && ev.note.Stream == &s.Stream:
			ev.note.Direction = other(ev.note.Direction)
		}
	}
}
