package decode

import "github.com/iotctl/iotctl/internal/dissect"

// versioned makes l a level of d's packets, or waits until their version is known.
func (e *Engine) versioned(l *level, d dissect.Dissector) error {
	l.become(d)
	l.st.Version = l.s.version
	if e.as != nil {
		l.st.Version = e.level
	}
	return e.recognised(l)
}

// recognised says what l is.
func (e *Engine) recognised(l *level) error {
	s := &l.s.Stream
	return e.note(Note{Kind: Recognised, Stream: s, Text: s.Protocol + ": " + s.Why})
}
