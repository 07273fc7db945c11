package decode

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/capture"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestAheadIsTheSame: what is read ahead gives the packets of what is not.
func TestAheadIsTheSame(t *testing.T) {
	var file bytes.Buffer
	if err := published(&file, 5000, 3); err != nil {
		t.Fatal(err)
	}
	want := decodeFile(t, bytes.NewReader(file.Bytes()), Options{})
	e, c := engine(t, Options{})
	in, err := capture.Open(&file, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	a := ReadAhead(in.Next)
	for {
		chunk, err := a.Next()
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
	if _, err := a.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("behind the end: %v", err)
	}
	a.Close()
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	if len(c.events) != len(want.events) {
		t.Fatalf("%d events, want %d", len(c.events), len(want.events))
	}
	for i := range c.packets {
		p, q := &c.packets[i], &want.packets[i]
		if p.Line != q.Line || !bytes.Equal(p.Bytes, q.Bytes) || p.Time != q.Time || p.Frames[0] != q.Frames[0] {
			t.Fatalf("packet %d: %s, want %s", i+1, p.Line, q.Line)
		}
	}
}

// TestAheadEndsEarly: nothing is left when nobody wants more, or there is an error.
func TestAheadEndsEarly(t *testing.T) {
	ReadAhead(func() (capture.Chunk, error) { return capture.Chunk{}, nil }).Close()
	broken := errors.New("broken")
	n := 0
	a := ReadAhead(func() (capture.Chunk, error) {
		if n++; n > 1000 {
			return capture.Chunk{}, broken
		}
		return capture.Chunk{Bytes: []byte{1}}, nil
	})
	defer a.Close()
	for i := 0; ; i++ {
		if _, err := a.Next(); err != nil {
			if !errors.Is(err, broken) || i != 1000 {
				t.Errorf("%v after %d", err, i)
			}
			return
		}
	}
}
