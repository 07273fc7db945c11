package coap

import (
	"bytes"
	"testing"
)

func TestParseAndAppendAllocateNothing(t *testing.T) {
	datagram := unhex(t, "4203100f 100f b133 0130 023134 122d16 ff c60e2b30323a3030")
	mode, dst := &Mode{}, make([]byte, 0, 256)
	m, err := Parse(datagram, mode)
	if err != nil {
		t.Fatal(err)
	}
	over, err := m.AppendTCP(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, do := range map[string]func() error{
		"Parse":     func() error { _, err := Parse(datagram, mode); return err },
		"ParseTCP":  func() error { _, _, err := ParseTCP(over, mode); return err },
		"Append":    func() error { _, err := m.Append(dst); return err },
		"AppendTCP": func() error { _, err := m.AppendTCP(dst); return err },
		"options": func() error {
			m.Options.Uint(ContentFormat)
			m.Options.AppendPath(dst, URIPath)
			return nil
		},
	} {
		if n := testing.AllocsPerRun(100, func() {
			if err := do(); err != nil {
				t.Fatal(name, err)
			}
		}); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func BenchmarkParse(b *testing.B) {
	datagram := unhex(b, "4203100f 100f b133 0130 023134 122d16 ff c60e2b30323a3030")
	options := bytes.Repeat([]byte{0}, 64<<10)
	for name, data := range map[string][]byte{"small": datagram, "65536 options": append([]byte{0x40, 1, 0, 1, 0xb0}, options...)} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(data, &Mode{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
