package coap

import (
	"bytes"
	"errors"
	"slices"
	"testing"
)

// FuzzParse: what strict mode accepts comes back with the same bytes, or is a
// shorter form of them that says the same; lenient mode accepts it as well; and no
// finding lies outside.
func FuzzParse(f *testing.F) {
	for _, s := range samples {
		b := unhex(f, s.hex)
		f.Add(b, uint8(0), false)
		if m, err := Parse(b, &Mode{}); err == nil {
			over, _ := m.AppendTCP(nil)
			f.Add(over, uint8(1), false)
			over, _ = m.AppendWebSocket(nil)
			f.Add(over, uint8(2), false)
		}
	}
	for _, s := range []string{"40011234f1", "40011234ff", "4e0112340000", "4d01123400", "40e11234", "f0ffffffff01"} {
		f.Add(unhex(f, s), uint8(0), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, which uint8, extended bool) {
		transport := []string{udp, tcp, ws}[which%3]
		before := slices.Clone(b)
		m, err := parse(transport, b, &Mode{ExtendedTokens: extended})
		inside := func(m *Malformed) {
			if m.Offset < 0 || m.Len < 0 || m.Missing < 0 || m.Offset+m.Len > len(b) || m.Reason == "" || m.Clause == "" {
				t.Fatalf("%+v of %d bytes", m, len(b))
			}
		}
		if bad := (*Malformed)(nil); errors.As(err, &bad) {
			inside(bad)
		} else if err != nil && (!errors.Is(err, ErrShort) || transport != tcp) {
			t.Fatalf("%T %v", err, err)
		}
		var notes []Malformed
		_, lenient := parse(transport, b, &Mode{Lenient: true, Notes: &notes, ExtendedTokens: extended})
		for i := range notes {
			inside(&notes[i])
		}
		if err == nil && lenient != nil || err != nil && lenient == nil && len(notes) == 0 {
			t.Fatalf("strict says %v, lenient %v", err, lenient)
		}
		if !bytes.Equal(b, before) {
			t.Fatal("the input has changed")
		}
		if err != nil {
			return
		}
		write := map[string]func([]byte) ([]byte, error){udp: m.Append, tcp: m.AppendTCP, ws: m.AppendWebSocket}[transport]
		one, err := write(nil)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parse(transport, one, &Mode{ExtendedTokens: extended})
		if err != nil || again.Code != m.Code || !bytes.Equal(again.Token, m.Token) || !bytes.Equal(again.Options, m.Options) || !bytes.Equal(again.Payload, m.Payload) {
			t.Fatalf("% x is % x: %v", b, one, err)
		}
	})
}

// FuzzAdd: an option that was added is there, and the others still are.
func FuzzAdd(f *testing.F) {
	f.Add([]byte{0xb1, '3', 0x01, '0'}, uint16(6), []byte{1})
	f.Add([]byte{}, uint16(65535), make([]byte, 300))
	f.Fuzz(func(t *testing.T, b []byte, n uint16, value []byte) {
		o := Options(b)
		if !o.readable() || len(value) > 65804 {
			return
		}
		count := 0
		for range o.All() {
			count++
		}
		before := slices.Clone(b)
		added := slices.Clip(o).Add(Number(n), value)
		if !added.readable() || !bytes.Equal(b, before) {
			t.Fatalf("% x", added)
		}
		found := false
		for number, v := range added.All() {
			count--
			found = found || number == Number(n) && bytes.Equal(v, value)
		}
		if count != -1 || !found {
			t.Fatalf("% x and %d: % x", b, n, added)
		}
	})
}
