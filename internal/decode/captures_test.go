package decode

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// collected is a packet as a test looks at it.
type collected struct {
	Packet
	Line string
}

// collector keeps all that comes.
type collector struct {
	packets []collected
	notes   []Note
	events  []string // lines of both, in order
}

func (c *collector) Packet(p *Packet) error {
	q := collected{Packet: *p, Line: string(p.Line)}
	q.Bytes, q.Frames = bytes.Clone(p.Bytes), slices.Clone(p.Frames)
	c.packets = append(c.packets, q)
	c.events = append(c.events, fmt.Sprintf("%d %s %s", p.Number, p.Protocol, p.Line))
	return nil
}

func (c *collector) Note(n *Note) error {
	m := *n
	m.Frames = slices.Clone(n.Frames)
	c.notes = append(c.notes, m)
	c.events = append(c.events, fmt.Sprintf("%s: %s", n.Kind, n.Text))
	return nil
}

// of returns the packets of a protocol.
func (c *collector) of(protocol string) []collected {
	var all []collected
	for _, p := range c.packets {
		if p.Protocol == protocol {
			all = append(all, p)
		}
	}
	return all
}

// noted returns the texts of the notes of a kind.
func (c *collector) noted(kind NoteKind) (all []string) {
	for _, n := range c.notes {
		if n.Kind == kind {
			all = append(all, n.Text)
		}
	}
	return all
}

func (c *collector) String() string { return strings.Join(c.events, "\n") }

func engine(t testing.TB, o Options) (*Engine, *collector) {
	t.Helper()
	if o.Dissectors == nil {
		o.Dissectors = dissecttest.All(t)
	}
	c := new(collector)
	e, err := New(o, c)
	if err != nil {
		t.Fatal(err)
	}
	return e, c
}

// decodeFile reads a capture whole.
func decodeFile(t testing.TB, r io.Reader, o Options) *collector {
	t.Helper()
	if o.Keys == nil {
		o.Keys = new(capture.KeyLog)
	}
	e, c := engine(t, o)
	in, err := capture.Open(r, capture.Options{KeyLog: o.Keys})
	if err != nil {
		t.Fatal(err)
	}
	for {
		chunk, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Chunk(chunk); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

func openCapture(t testing.TB, name string) io.Reader {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dissecttest.Captures(t), name))
	if err != nil {
		t.Fatal(err)
	}
	return bytes.NewReader(b)
}

func readJSON(t testing.TB, path string, into any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}
