package capture

import (
	"bytes"
	"slices"
)

// Bounds of what waits for the rest of a fragmented IP packet.
const (
	maxFragmented    = 1024     // packets
	maxFragmentBytes = 4 << 20  // of all packets
	maxPieces        = 512      // of one packet
	maxPacket        = 64 << 10 // bytes of one packet put together
	fragmentLife     = 60e9     // nanoseconds of the capture's clock: RFC 8200 §4.5
)

// piece is a fragment, and where it belongs.
type piece struct {
	id     uint32
	off    int
	last   bool
	v6     bool
	proto  uint8
	data   []byte
	number int // of its frame
}

func (p *piece) end() int { return p.off + len(p.data) }

type fragmentKey struct {
	src, dst address
	id       uint32
	proto    uint8 // IPv4 only: in IPv6 only the first piece tells it
	v6       bool
}

// fragmented is an IP packet of which some pieces are there, in order.
type fragmented struct {
	key    fragmentKey
	pieces []piece
	size   int // of the pieces
	total  int // of the packet; 0: the last piece is not there
	since  int64
}

// fragments puts IP packets together again. The oldest go first when there are too many.
type fragments struct {
	byKey map[fragmentKey]*fragmented
	order []*fragmented // oldest first
	size  int
}

// fragment takes a piece, and makes p the whole packet when it was the last to come.
// Otherwise p carries nothing.
func (r *Reader) fragment(p *packet, f piece) skipped {
	fs := &r.fragments
	f.data, f.proto, f.number = p.data, p.proto, r.frame.number
	if p.cut > 0 || !f.last && len(p.data)%8 != 0 || f.end() > maxPacket || len(p.data) == 0 {
		return skipFragments
	}
	p.proto = protoNothing
	d := r.fragmented(fragmentKey{src: p.src, dst: p.dst, id: f.id, proto: f.proto, v6: f.v6})
	before := d.size
	agrees := d.insert(f)
	fs.size += d.size - before
	if !agrees {
		r.forget(d)
		return taken
	}
	if d.total == 0 || d.size < d.total {
		if fs.size > maxFragmentBytes || len(fs.order) > maxFragmented {
			r.forget(fs.order[0])
		}
		return taken
	}
	p.proto, p.data, p.frames = d.pieces[0].proto, make([]byte, 0, d.total), nil
	for _, q := range d.pieces {
		p.data, p.frames = append(p.data, q.data...), append(p.frames, q.number)
	}
	slices.Sort(p.frames)
	fs.drop(d)
	return taken
}

// fragmented returns the packet that a piece belongs to.
func (r *Reader) fragmented(key fragmentKey) *fragmented {
	fs := &r.fragments
	if key.v6 {
		key.proto = 0
	}
	if d := fs.byKey[key]; d != nil {
		if d.since >= r.since(fragmentLife) {
			return d
		}
		r.forget(d)
	}
	if fs.byKey == nil {
		fs.byKey = make(map[fragmentKey]*fragmented)
	}
	d := &fragmented{key: key, since: r.now}
	fs.byKey[key] = d
	fs.order = append(fs.order, d)
	return d
}

// insert takes a piece into its place. It returns false when the pieces contradict each
// other, as they do when they overlap: RFC 5722 forbids that, and RFC 791 does not say
// which of them is right.
func (d *fragmented) insert(f piece) bool {
	if f.last {
		if d.total != 0 && d.total != f.end() {
			return false
		}
		d.total = f.end()
	}
	i := len(d.pieces)
	for i > 0 && d.pieces[i-1].off >= f.off {
		i--
	}
	if i < len(d.pieces) && d.pieces[i].off == f.off && bytes.Equal(d.pieces[i].data, f.data) {
		return true // sent again
	}
	if i > 0 && d.pieces[i-1].end() > f.off || i < len(d.pieces) && d.pieces[i].off < f.end() ||
		len(d.pieces) == maxPieces {
		return false
	}
	f.data = bytes.Clone(f.data)
	d.pieces = slices.Insert(d.pieces, i, f)
	d.size += len(f.data)
	return d.total == 0 || d.pieces[len(d.pieces)-1].end() <= d.total
}

// forget drops a packet whose rest has not come.
func (r *Reader) forget(d *fragmented) {
	r.count.skipped[skipFragments] += len(d.pieces)
	r.fragments.drop(d)
}

func (fs *fragments) drop(d *fragmented) {
	delete(fs.byKey, d.key)
	fs.size -= d.size
	if i := slices.Index(fs.order, d); i >= 0 {
		fs.order = slices.Delete(fs.order, i, i+1)
	}
}
