package decode

import (
	"bytes"
	"testing"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// stubborn is a dissector that reads one packet and then never another. It counts what
// it is asked about.
type stubborn struct{ asked, dissected int }

func (*stubborn) Name() string { return "stubborn" }

func (d *stubborn) Sniff(b []byte, _ dissect.Hint) (dissect.Confidence, string) {
	d.asked++
	if bytes.HasPrefix(b, []byte("begin")) {
		return dissect.Certain, "it begins"
	}
	return dissect.No, ""
}

func (d *stubborn) Size(b []byte) int {
	if bytes.HasPrefix(b, []byte("begin")) {
		return 5
	}
	return 0
}

func (d *stubborn) Dissect(b []byte, _ *dissect.Stream) (dissect.Packet, int, error) {
	d.dissected++
	p := dissect.Packet{Protocol: "stubborn", Type: "BEGIN"}
	if bytes.HasPrefix(b, []byte("begin")) {
		p.Fields = []dissect.Field{{Name: "all", Len: 5}}
		return p, 5, nil
	}
	return p, 0, dissect.ErrShort
}

// TestWorkIsLinear: bytes that never become a packet are looked at a few times each,
// however they are cut, and not for ever.
func TestWorkIsLinear(t *testing.T) {
	for _, tt := range []struct {
		name      string
		size, gap int // of chunks; where a part is missing
		all       int
	}{
		{"an incomplete packet, byte by byte", 1, 0, 64 << 10},
		{"an incomplete packet", 1400, 0, 1 << 20},
		{"after a gap, byte by byte", 1, 100, 64 << 10},
		{"after a gap", 1400, 14000, 4 << 20},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := new(stubborn)
			e, _ := engine(t, Options{Dissectors: []dissect.Dissector{d}})
			k := newTalk(t, e, 1)
			k.client([]byte("begin"))
			part := bytes.Repeat([]byte{'x'}, tt.size)
			for at := 0; at < tt.all; at += tt.size {
				c := capture.Chunk{Direction: dissect.FromClient, Bytes: part}
				if tt.gap > 0 && at/tt.size == tt.gap/tt.size {
					c.Gap = 7
				}
				k.chunk(c)
			}
			k.end()
			if most := 3*min(tt.all, mostStray) + 10_000; d.asked > most {
				t.Errorf("asked %d times about %d bytes", d.asked, tt.all)
			}
			if d.dissected > 500 {
				t.Errorf("dissected %d times", d.dissected)
			}
			if tt.gap == 0 {
				return
			}
			if n := len(e.flows); n != 0 {
				t.Errorf("%d streams are left", n)
			}
		})
	}
}
