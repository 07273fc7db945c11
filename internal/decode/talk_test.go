package decode

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
)

// unhex reads bytes written for people.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// paste decodes what was pasted.
func paste(t testing.TB, o Options, packets ...[]byte) *collector {
	t.Helper()
	e, c := engine(t, o)
	if err := e.Pasted(packets); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return c
}

// field finds a field by its name, at any depth; nil if there is none.
func field(fields []dissect.Field, name string) *dissect.Field {
	for i := range fields {
		if fields[i].Name == name {
			return &fields[i]
		}
		if f := field(fields[i].Kids, name); f != nil {
			return f
		}
	}
	return nil
}

// has fails unless the packet has a field of that name and value.
func (c *collector) has(t *testing.T, packet int, name string, value any) {
	t.Helper()
	if packet >= len(c.packets) {
		t.Fatalf("there is no packet %d:\n%s", packet, c)
	}
	f := field(c.packets[packet].Fields, name)
	if f == nil {
		t.Fatalf("packet %d has no field %q:\n%s", packet, name, c)
	}
	if got, want := fmt.Sprintf("%v", f.Value), fmt.Sprintf("%v", value); got != want {
		t.Errorf("packet %d: %s is %s, want %s", packet, name, got, want)
	}
}

// faults are the texts of what is wrong with a packet.
func faults(p *collected) string {
	var all []string
	for _, q := range p.Problems {
		all = append(all, q.Text)
	}
	if p.Err != nil {
		all = append(all, p.Err.Error())
	}
	return strings.Join(all, "; ")
}

// conversation makes a capture of one connection of what its sides say in turns; a
// line begins with c: or s:.
func conversation(t testing.TB, turns string, opened bool) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	f := newFile(&b)
	if opened {
		f.handshake()
	}
	for line := range strings.Lines(turns) {
		side, text, ok := strings.Cut(strings.TrimSpace(line), ":")
		if !ok {
			continue
		}
		dir := dissect.FromClient
		if side == "s" {
			dir = dissect.FromServer
		}
		f.segment(dir, unhex(t, text))
	}
	if f.err != nil {
		t.Fatal(f.err)
	}
	return &b
}

// joined is a conversation that was captured from its middle on.
func joined(t testing.TB, turns string) *collector {
	t.Helper()
	return decodeFile(t, conversation(t, turns, false), Options{})
}
