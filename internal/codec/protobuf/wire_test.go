package protobuf

import (
	"encoding/hex"
	"testing"
)

func TestNext(t *testing.T) {
	for _, test := range []struct {
		wire      string
		tag, size int
		n         uint64
		data      string
		at        int
	}{
		{"089601", 1, 2, 150, "", 1},
		{"0d01000000", 1, 4, 1, "", 1},
		{"090100000000000000", 1, 8, 1, "", 1},
		{"120161", 1, 2, 0, "61", 2},
		{"0b08010c", 1, 3, 0, "0801", 1},
		{"0896", 1, -1, 0, "", 1},
		{"0c", 1, -1, 0, "", 1},
		{"80", -1, 0, 0, "", -1},
		{"00", -1, 0, 0, "", -1},
	} {
		b, err := hex.DecodeString(test.wire)
		if err != nil {
			t.Fatal(err)
		}
		e := Next(b)
		if max(e.Tag, -1) != test.tag || max(e.Size, -1) != test.size {
			t.Errorf("%s: tag %d, size %d", test.wire, e.Tag, e.Size)
			continue
		}
		if e.Size >= 0 && e.Tag > 0 && (e.N != test.n || hex.EncodeToString(e.B) != test.data || e.Offset(0) != test.at) {
			t.Errorf("%s: %d, % x at %d", test.wire, e.N, e.B, e.Offset(0))
		}
	}
}

func FuzzNext(f *testing.F) {
	f.Add([]byte{8, 0x96, 1})
	f.Add([]byte{0xb, 8, 1, 0xc})
	f.Fuzz(func(t *testing.T, b []byte) {
		if e := Next(b); e.Tag > 0 && e.Size >= 0 && (e.Tag+e.Size > len(b) || e.Offset(0)+len(e.B) > len(b)) {
			t.Fatalf("% x: %+v", b, e)
		}
	})
}
