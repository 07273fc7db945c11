package frame

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func open(t testing.TB, name string) *Codec {
	t.Helper()
	c, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	gt06Login     = "78780D0101234567890123450001 8CDD0D0A"
	gt06Heartbeat = "78780A134004040001000FDCEE0D0A"
	gt06Location  = "78781F120B081D112E10CF027AC7EB0C46584900148F01CC00287D001FB8000380810D0A"
)

// drain splits and decodes everything in stream.
func drain(t testing.TB, c *Codec, s *Splitter, r *Record, stream []byte) (frames int) {
	for at := 0; at < len(stream); frames++ {
		f, n, err := s.Next(stream[at:])
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Decode(f, Up, r); err != nil {
			t.Fatal(err)
		}
		at += n
	}
	return frames
}

// BenchmarkGT06 splits, checks and decodes a stream of 64 frames per round.
func BenchmarkGT06(b *testing.B) {
	for _, bb := range []struct{ name, frame string }{
		{"login", gt06Login},
		{"heartbeat", gt06Heartbeat},
		{"location", gt06Location},
	} {
		b.Run(bb.name, func(b *testing.B) {
			c := open(b, "gt06")
			stream := []byte(strings.Repeat(string(unhex(b, bb.frame)), 64))
			s, r := c.Splitter(Up), &Record{}
			drain(b, c, &s, r, stream)
			b.SetBytes(int64(len(stream)))
			b.ReportAllocs()
			frames := 0
			for b.Loop() {
				frames += drain(b, c, &s, r, stream)
			}
			b.ReportMetric(float64(frames)/b.Elapsed().Seconds(), "frames/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkPublish is what a gateway does for a location: split, decode, topic
// and JSON.
func BenchmarkPublish(b *testing.B) {
	c := open(b, "gt06")
	frame := unhex(b, gt06Location)
	s, r := c.Splitter(Up), &Record{}
	var topic, payload []byte
	b.ReportAllocs()
	for b.Loop() {
		drain(b, c, &s, r, frame)
		var err error
		if topic, err = c.AppendTopic(topic[:0], r, "123456789012345"); err != nil {
			b.Fatal(err)
		}
		payload = c.AppendPayload(payload[:0], r)
	}
}

// Splitting, decoding, the topic, the payload and the reply of a binary
// protocol allocate nothing once the record has been used.
func TestAllocations(t *testing.T) {
	c := open(t, "gt06")
	for name, text := range map[string]string{"login": gt06Login, "heartbeat": gt06Heartbeat, "location": gt06Location} {
		frame := unhex(t, text)
		s, r := c.Splitter(Up), &Record{}
		var topic, payload, reply []byte
		env := Env{Now: time.Unix(1, 0)}
		work := func() {
			drain(t, c, &s, r, frame)
			var err error
			if topic, err = c.AppendTopic(topic[:0], r, "123456789012345"); err != nil {
				t.Fatal(err)
			}
			payload = c.AppendPayload(payload[:0], r)
			if reply, _, err = c.Reply(reply[:0], r, env); err != nil {
				t.Fatal(err)
			}
		}
		if n := testing.AllocsPerRun(100, work); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
