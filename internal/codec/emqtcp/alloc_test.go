package emqtcp

import "testing"

func TestDatatransAllocatesNothing(t *testing.T) {
	raw := unhex(t, "30 0004 61626364")
	dst := make([]byte, 0, 16)
	o := Options{StrictFlags: true}
	if n := testing.AllocsPerRun(100, func() {
		h, body, _, err := Frame(raw, 100)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseDatatrans(body, h.Flags, &o)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Append(dst); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkDatatrans(b *testing.B) {
	raw := unhex(b, "30 0004 61626364")
	dst := make([]byte, 0, 16)
	var o Options
	b.ReportAllocs()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		h, body, _, err := Frame(raw, 100)
		if err != nil {
			b.Fatal(err)
		}
		d, err := ParseDatatrans(body, h.Flags, &o)
		if err != nil {
			b.Fatal(err)
		}
		if dst, err = d.Append(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
