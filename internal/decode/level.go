package decode

import "github.com/iotctl/iotctl/internal/dissect"

// level is one depth of a stream. At first it is not known what its bytes are; then
// they are unwrapped for a level further in, or read as packets, or passed over.
type level struct {
	s        *stream
	depth    int
	joined   bool // its beginning was not seen
	messages bool // a piece is a message of WebSocket
	state    state
	heads    [3]head      // undecided
	hold     *versionHold // undecided, but for the version of MQTT
	wrap     wrapper      // wrapped
	waits    int          // its events in the queue
	notes    []*Note      // to be handed on before them
	reader
}

// state is how much is known of a level.
type state uint8

const (
	undecided state = iota
	wrapped
	readable
	passedOver
)

// wrapper takes away what packets are wrapped in, and delivers what is inside.
type wrapper interface {
	take(e *Engine, p *piece) error
}

// head is what a direction has begun with.
type head struct {
	bytes  []byte
	pieces int
	whole  bool // bytes is the first datagram, or all there is
	ended  bool
}

const (
	headBytes   = 16 << 10 // the most of a head that is kept: a request of HTTP
	sniffBytes  = 4 << 10  // the most of it that dissectors are asked about
	sniffPieces = 64       // after which they are to know
	mostDepth   = 8        // of layers in each other
)

// within returns a level for what is inside of l.
func (l *level) within() *level { return &level{s: l.s, depth: l.depth + 1} }

// observe keeps what p says about what l is.
func (l *level) observe(p *piece) {
	if l.hold != nil {
		l.hold.add(p)
		return
	}
	h := &l.heads[p.dir]
	h.ended = h.ended || p.end
	if p.gap != 0 && len(h.bytes) > 0 || len(p.bytes) == 0 {
		return
	}
	h.pieces++
	if p.whole && len(h.bytes) > 0 {
		return // the first says what they are
	}
	h.whole = p.whole
	h.bytes = append(h.bytes, p.bytes[:min(len(p.bytes), headBytes-len(h.bytes))]...)
}

// take reads p, or passes it over.
func (l *level) take(e *Engine, p *piece) error {
	if l.state != readable {
		return nil
	}
	return l.read(e, p)
}

// become makes l a level of d's packets.
func (l *level) become(d dissect.Dissector) {
	l.state, l.d, l.name = readable, d, d.Name()
	l.liner, _ = d.(dissect.Liner)
	l.sizer, _ = d.(dissect.Sizer)
	if l.st.Joined = l.joined; l.joined && l.s.Transport == "tcp" {
		for i := range l.halves {
			l.halves[i].lost, l.halves[i].joined = true, true
		}
	}
	l.heads = [3]head{}
}
