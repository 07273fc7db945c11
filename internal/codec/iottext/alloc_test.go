package iottext

import "testing"

const typical = "START | COMMAND=PUB | VARIABLE=temperature | VALUE=21.5 | END\n"

func parsePub(b []byte) (Line, error) {
	raw, _, err := Frame(b, DefaultLine)
	if err != nil {
		return Line{}, err
	}
	l, err := Parse(raw, Client)
	if err == nil {
		err = CheckName(l.Variable)
	}
	return l, err
}

func TestPublishDoesNotAllocate(t *testing.T) {
	in, dst := []byte(typical), make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() {
		l, err := parsePub(in)
		if err == nil {
			_, err = l.Append(dst)
		}
		if err != nil || l.Size() != len(typical) {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkParse(b *testing.B) {
	in := []byte(typical)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := parsePub(in); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	l, err := parsePub([]byte(typical))
	if err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	b.SetBytes(int64(len(typical)))
	for b.Loop() {
		if dst, err = l.Append(dst[:0]); err != nil {
			b.Fatal(err)
		}
	}
}
