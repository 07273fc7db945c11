package exproto_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/gateway/exproto"
)

// framed returns what the handler has been told of as bytes.
func (h *handler) framed() []string {
	var all []string
	for _, e := range h.all("") {
		if e.what == "bytes" {
			all = append(all, e.bytes)
		}
	}
	return all
}

func TestFramingHandsOverWholeFrames(t *testing.T) {
	s := start(t, options{gateway: exproto.Config{Framing: "lines"}})
	d := s.device()
	const text = "temperature 21\nhumidity 40\nthe rest"
	for i := range text {
		d.send(text[i : i+1])
	}
	d.send(" of a line\n")
	s.h.wait(t, "bytes", 3)
	if got := strings.Join(s.h.framed(), "|"); got != "temperature 21\n|humidity 40\n|the rest of a line\n" {
		t.Errorf("told %q", got)
	}
}

func TestFramingChecksFrames(t *testing.T) {
	const (
		login     = "78780D01012345678901234500018CDD0D0A"
		heartbeat = "78780A13400404000100" + "0FDCEE0D0A"
		wrong     = "78780813" + "4B040300010011061F0D0A" // its checksum
	)
	for _, url := range []string{"exproto://127.0.0.1:0", "exproto+udp://127.0.0.1:0"} {
		o := options{url: url, gateway: exproto.Config{Listeners: []exproto.ListenerConfig{{Name: "trackers", Framing: "gt06"}}}}
		o.listen.Name = "trackers"
		s := start(t, o)
		d := s.dial(t, nil)
		d.send(unhex(t, login+heartbeat))
		d.send(unhex(t, wrong))
		d.send(unhex(t, login))
		s.h.wait(t, "bytes", 3)
		if got := s.h.framed(); !slices.Equal(got, []string{unhex(t, login), unhex(t, heartbeat), unhex(t, login)}) {
			t.Errorf("%s: told %x", url, got)
		}
	}
}

func TestADeviceThatSpeaksSomethingElseIsClosed(t *testing.T) {
	file := t.TempDir() + "/short.yaml"
	write(t, file, "codec: short\nframing:\n  - {delimiter: \"0a\"}\nmax_frame: 16\n")
	s := start(t, options{gateway: exproto.Config{FramingFile: exproto.File(file)}})
	d := s.device()
	d.send("short\n" + strings.Repeat("x", 100_000))
	d.closed()
	if e := s.h.wait(t, "closed", 1); e.reason != "bad_frame" {
		t.Errorf("%v", e)
	}
	if got := s.h.framed(); !slices.Equal(got, []string{"short\n"}) {
		t.Errorf("told %.100q", got)
	}
}

func unhex(t *testing.T, s string) string {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
