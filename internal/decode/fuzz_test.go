package decode

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// judge holds what an engine hands on to its contract.
type judge struct {
	t      *testing.T
	number int
	bytes  int
}

func (j *judge) Packet(p *Packet) error {
	if p.Number != j.number+1 || p.Stream == nil || len(p.Bytes) == 0 {
		j.t.Errorf("packet %d after %d, of %d bytes", p.Number, j.number, len(p.Bytes))
	}
	j.number = p.Number
	j.bytes += len(p.Bytes)
	if j.bytes > 64<<20 {
		return errEnough
	}
	return nil
}

func (j *judge) Note(n *Note) error {
	if n.Text == "" && n.Kind != Ended {
		j.t.Errorf("a note of kind %s says nothing", n.Kind)
	}
	return nil
}

var errEnough = errors.New("enough")

// FuzzEngine has chunks of two streams and a flow of datagrams, whose sizes,
// directions, gaps and ends the input says, read twice: with lines alone and with
// fields.
func FuzzEngine(f *testing.F) {
	f.Add([]byte{}, true)
	seed := func(parts ...[]byte) {
		var in []byte
		for i, b := range parts {
			for len(b) > 0 {
				n := min(len(b), 255)
				in = append(append(in, byte(i&1)<<2, byte(n)), b[:n]...)
				b = b[n:]
			}
		}
		f.Add(in, true)
		f.Add(in, false)
	}
	seed(unhex(f, connect4), unhex(f, connack4), unhex(f, publish4))
	seed(unhex(f, "c000"), unhex(f, "d000"), unhex(f, publish5))
	seed([]byte("PROXY TCP4 1.2.3.4 1.2.3.5 1 2\r\n"), unhex(f, connack5), unhex(f, connect5))
	seed([]byte(request), []byte(switched+"\r\n"), message(0x82, true, unhex(f, connect4)), message(0x82, false, unhex(f, connack4)))
	seed([]byte(request), []byte(switched+"Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"), message(0xc2, true, unhex(f, "6200")))
	f.Add([]byte("\x23\x07\x07\x04\x04\x01\x00\x3ca"), true)
	all := dissecttest.All(f)
	f.Fuzz(func(t *testing.T, in []byte, lines bool) {
		e, err := New(Options{Dissectors: all, Lines: lines, Held: 1 << 16, Streams: 2}, &judge{t: t})
		if err != nil {
			t.Fatal(err)
		}
		flows := []*capture.Flow{
			{Number: 1, Transport: "tcp", Server: netip.MustParseAddrPort("10.0.0.2:1883")},
			{Number: 2, Transport: "tcp", Joined: true},
			{Number: 3, Transport: "udp", Server: netip.MustParseAddrPort("10.0.0.2:5683")},
		}
		for len(in) >= 2 {
			how, n := in[0], min(int(in[1]), len(in)-2)
			flow := flows[how&3%3]
			c := capture.Chunk{
				Flow: flow, Direction: dissect.FromClient + dissect.Direction(how>>2&1), Bytes: bytes.Clone(in[2 : 2+n]), Frames: []int{1},
				Time: time.Unix(1, 0), Datagram: flow.Transport == "udp", End: how&0x10 != 0,
			}
			if how&0x08 != 0 && !c.Datagram {
				c.Gap = int(how>>5) - 1
			}
			if err := e.Chunk(c); err != nil && !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
			if how == 0xff {
				if err := e.Flush(); err != nil {
					t.Fatal(err)
				}
			}
			in = in[2+n:]
		}
		if err := e.Close(); err != nil && !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	})
}

// FuzzFile reads captures.
func FuzzFile(f *testing.F) {
	files, _ := filepath.Glob(filepath.Join("..", "..", "..", "shared", "captures", "*.pcap*"))
	for _, name := range files {
		if b, err := os.ReadFile(name); err == nil && len(b) < 20_000 && filepath.Ext(name) != ".json" {
			f.Add(b)
		}
	}
	all := dissecttest.All(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		in, err := capture.Open(bytes.NewReader(b), capture.Options{})
		if err != nil {
			return
		}
		e, err := New(Options{Dissectors: all}, &judge{t: t})
		if err != nil {
			t.Fatal(err)
		}
		for {
			c, err := in.Next()
			if err != nil {
				break
			}
			if err := e.Chunk(c); err != nil && !errors.Is(err, errEnough) {
				t.Fatal(err)
			}
		}
		if err := e.Close(); err != nil && !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	})
}

// FuzzPasted reads what was pasted, under every protocol by itself.
func FuzzPasted(f *testing.F) {
	f.Add(unhex(f, connect4), uint8(0))
	f.Add(unhex(f, "40020001"), uint8(0))
	f.Add(unhex(f, "30ffffff7f61"), uint8(1))
	f.Add(binary.BigEndian.AppendUint32(nil, 0x16030100), uint8(0))
	all := dissecttest.All(f)
	f.Fuzz(func(t *testing.T, b []byte, as uint8) {
		o := Options{Dissectors: all}
		if n := int(as); n > 0 && n <= len(all) {
			o.As = all[n-1].Name()
		}
		e, err := New(o, &judge{t: t})
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Pasted([][]byte{b, b}); err != nil && !errors.Is(err, errEnough) {
			t.Fatal(err)
		}
	})
}
