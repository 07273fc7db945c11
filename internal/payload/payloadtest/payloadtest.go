// Package payloadtest is the suite that every format is held to: what is decoded
// is encoded again, no input makes it panic, and what it costs is bounded.
package payloadtest

import (
	"bytes"
	"errors"
	"runtime"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/payload"
)

// Sample is a payload and what people see of it.
type Sample struct {
	Topic   string
	Payload []byte
	Text    string // "" = not compared
	// Loose: the payload is one of several that mean the same, so another may
	// come of Text.
	Loose bool
}

// Run holds f, made with arg, to what codecs promise. Each sample is decoded,
// encoded, cut at every byte, and changed at every byte.
func Run(t *testing.T, f payload.Format, arg string, samples ...Sample) {
	t.Helper()
	make := func(t testing.TB) payload.Codec {
		c, err := f.New(arg)
		if err != nil {
			t.Fatalf("%s:%s: %v", f.Name, arg, err)
		}
		return c
	}
	t.Run("describes itself", func(t *testing.T) { describes(t, f) })
	t.Run("round trip", func(t *testing.T) { RoundTrip(t, f, arg, samples...) })
	t.Run("cut at every byte", func(t *testing.T) {
		c := make(t)
		for _, s := range samples {
			for n := range s.Payload {
				_, _ = decode(t, c, s.Topic, s.Payload[:n])
			}
		}
	})
	t.Run("changed at every byte", func(t *testing.T) {
		c := make(t)
		for _, s := range samples {
			for i := range s.Payload {
				for _, to := range []byte{0, 0x7f, 0xff, s.Payload[i] ^ 1, s.Payload[i] ^ 0x80, s.Payload[i] + 1} {
					b := bytes.Clone(s.Payload)
					b[i] = to
					_, _ = decode(t, c, s.Topic, b)
				}
			}
		}
	})
	t.Run("hostile", func(t *testing.T) {
		topic := ""
		if len(samples) > 0 {
			topic = samples[0].Topic
		}
		hostile(t, f, make(t), topic)
	})
}

// RoundTrip decodes and encodes each sample, the part of Run that differs from
// argument to argument.
func RoundTrip(t *testing.T, f payload.Format, arg string, samples ...Sample) {
	t.Helper()
	for _, s := range samples {
		c, err := f.New(arg)
		if err != nil {
			t.Fatalf("%s:%s: %v", f.Name, arg, err)
		}
		trip(t, f, c, s)
	}
}

func describes(t *testing.T, f payload.Format) {
	t.Helper()
	if f.Name == "" || f.About == "" || f.Example == "" || f.New == nil {
		t.Errorf("the format lacks name, description, example or New: %+v", f)
	}
}

// decode checks what holds of every input: no panic, no change in place, an error
// that says something.
func decode(t testing.TB, codec payload.Codec, topic string, b []byte) (payload.Content, error) {
	t.Helper()
	before := bytes.Clone(b)
	c := payload.Content{Topic: topic, Bytes: b}
	err := codec.Decode(&c)
	if !bytes.Equal(before, b) {
		t.Fatalf("Decode has changed % x", before)
	}
	if wrong := (*payload.Malformed)(nil); errors.As(err, &wrong) && (wrong.Offset < 0 || wrong.Offset > len(b) || wrong.Reason == "") {
		t.Errorf("% x: %+v", b, wrong)
	}
	if err != nil && err.Error() == "" {
		t.Errorf("% x: an error that says nothing", b)
	}
	return c, err
}

func trip(t testing.TB, f payload.Format, codec payload.Codec, s Sample) {
	t.Helper()
	c, err := decode(t, codec, s.Topic, s.Payload)
	if err != nil {
		t.Errorf("% x: %v", s.Payload, err)
		return
	}
	again := payload.Content{Topic: s.Topic, Bytes: c.Bytes}
	if f.Kind == payload.Reads {
		again = payload.Content{Topic: s.Topic, Text: c.AppendText([]byte{})}
		if s.Text != "" && s.Text != string(again.Text) {
			t.Errorf("% x: text (-want +got)\n%s", s.Payload, cmp.Diff(s.Text, string(again.Text)))
		}
	}
	switch err := codec.Encode(&again); {
	case errors.Is(err, payload.ErrDecodeOnly):
		return
	case err != nil:
		t.Errorf("%s does not encode: %v", again.Text, err)
		return
	}
	if !s.Loose && f.Kind == payload.Reads && !bytes.Equal(s.Payload, again.Bytes) {
		t.Errorf("%s: payload\n% x, want\n% x", again.Text, again.Bytes, s.Payload)
	}
	twice, err := decode(t, codec, s.Topic, again.Bytes)
	if err != nil {
		t.Errorf("%s: what was encoded, % x, does not decode: %v", again.Text, again.Bytes, err)
		return
	}
	if f.Kind == payload.Packs {
		if !bytes.Equal(c.Bytes, twice.Bytes) {
			t.Errorf("unpacked % x, want % x", twice.Bytes, c.Bytes)
		}
		return
	}
	if diff := cmp.Diff(c.Value, twice.Value); diff != "" {
		t.Errorf("value (-first +second)\n%s", diff)
	}
}

// hostile decodes long runs of every byte, alone and behind every other one: they
// claim lengths that are not there, and nest without end.
func hostile(t *testing.T, f payload.Format, codec payload.Codec, topic string) {
	const long = 5_000
	for b := range 256 {
		run := bytes.Repeat([]byte{byte(b)}, long)
		spent := allocated(func() { _, _ = decode(t, codec, topic, run) })
		if most := bound(f, long); spent > most {
			t.Errorf("%d times 0x%02x: %d bytes of memory, at most %d", long, b, spent, most)
		}
		spent = allocated(func() {
			for second := range 256 {
				_, _ = decode(t, codec, topic, append([]byte{byte(b)}, bytes.Repeat([]byte{byte(second)}, 20)...))
			}
		})
		if most := 256 * bound(f, 21); spent > most {
			t.Errorf("0x%02x and 20 of each byte: %d bytes of memory, at most %d", b, spent, most)
		}
	}
}

// bound is how much memory a payload of n bytes may cost: that of Brotli may ask
// for a window of 16 MB, and a byte may stand for many.
func bound(f payload.Format, n int) uint64 {
	if f.Kind == payload.Packs {
		return min(16<<20+uint64(n)<<20, 4*payload.MaxBytes)
	}
	return 64<<10 + 2000*uint64(n)
}

func allocated(work func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	work()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Fuzz looks for payloads that make f panic, or that mean something else once
// they have been decoded and encoded.
func Fuzz(fz *testing.F, f payload.Format, arg string, samples ...Sample) {
	topic := ""
	for _, s := range samples {
		fz.Add(s.Payload)
		topic = s.Topic
	}
	codec, err := f.New(arg)
	if err != nil {
		fz.Fatal(err)
	}
	fz.Fuzz(func(t *testing.T, b []byte) {
		if _, err := decode(t, codec, topic, b); err == nil {
			trip(t, f, codec, Sample{Topic: topic, Payload: b, Loose: true})
		}
	})
}
