package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// liveDecode runs decode on a pipe that stays open.
type liveDecode struct {
	in    *io.PipeWriter
	out   *bufio.Scanner
	ended chan error
}

func startDecode(ctx context.Context, t *testing.T, o decodeOptions) *liveDecode {
	t.Helper()
	inReader, in := io.Pipe()
	out, outWriter := io.Pipe()
	l := &liveDecode{in: in, out: bufio.NewScanner(out), ended: make(chan error, 1)}
	o.time, o.quiet = "start", true
	go func() {
		err := runDecode(ctx, &terminal{in: inReader, out: outWriter, err: io.Discard}, &o, nil)
		outWriter.Close()
		l.ended <- err
	}()
	t.Cleanup(func() {
		in.Close()
		out.Close()
	})
	return l
}

// until reads lines until one has text.
func (l *liveDecode) until(t *testing.T, text string) {
	t.Helper()
	for l.out.Scan() {
		if strings.Contains(l.out.Text(), text) {
			return
		}
	}
	t.Fatalf("%q does not come", text)
}

// recorded writes captures a packet at a time.
type recorded struct {
	bytes.Buffer
	w *capture.Writer
	c *capture.Conn
}

func newRecorded(t *testing.T) *recorded {
	t.Helper()
	r := &recorded{}
	var err error
	if r.w, err = capture.NewWriter(&r.Buffer, "iotctl"); err != nil {
		t.Fatal(err)
	}
	if r.c, err = r.w.Open(netip.MustParseAddrPort("127.0.0.1:50000"), netip.MustParseAddrPort("127.0.0.1:1883"), time.Unix(1, 0), ""); err != nil {
		t.Fatal(err)
	}
	return r
}

// next returns what a packet adds to the capture.
func (r *recorded) next(t *testing.T, from dissect.Direction, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.w.Data(r.c, from, time.Unix(2, 0), b, ""); err != nil {
		t.Fatal(err)
	}
	return bytes.Clone(r.Next(r.Len()))
}

func TestDecodeShowsAPacketBeforeTheNextOneComes(t *testing.T) {
	r := newRecorded(t)
	l := startDecode(t.Context(), t, decodeOptions{})
	send := func(b []byte) {
		t.Helper()
		if _, err := l.in.Write(b); err != nil {
			t.Fatal(err)
		}
	}
	send(r.next(t, dissect.FromClient, "100f00044d5154540402003c0003616e61"))
	l.until(t, "CONNECT     client ana")
	send(r.next(t, dissect.FromServer, "20020000"))
	l.until(t, "CONNACK ")
	l.in.Close()
	if l.out.Scan() {
		t.Errorf("more comes: %s", l.out.Text())
	}
	if err := <-l.ended; err != nil {
		t.Error(err)
	}
}

// Without a CONNECT it has to wait with the version, but not for ever.
func TestDecodeGuessesTheVersionWhenNothingComesForAWhile(t *testing.T) {
	r := newRecorded(t)
	l := startDecode(t.Context(), t, decodeOptions{})
	if _, err := l.in.Write(r.next(t, dissect.FromClient, "40020001")); err != nil {
		t.Fatal(err)
	}
	l.until(t, "PUBACK")
	l.in.Close()
	for l.out.Scan() {
	}
	<-l.ended
}

func TestDecodeShowsWhatItHasAtCtrlC(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	r := newRecorded(t)
	l := startDecode(ctx, t, decodeOptions{html: true})
	if _, err := l.in.Write(r.next(t, dissect.FromClient, "100f00044d5154540402003c0003616e61")); err != nil {
		t.Fatal(err)
	}
	if _, err := l.in.Write(r.next(t, dissect.FromServer, "20020000")); err != nil {
		t.Fatal(err)
	}
	l.until(t, "CONNACK")
	stop()
	l.until(t, "</html>")
	for l.out.Scan() {
	}
	if err := <-l.ended; err != nil {
		t.Error(err)
	}
}

// A closed standard output ends it quietly.
func TestDecodeEndsWithItsReader(t *testing.T) {
	r := newRecorded(t)
	l := startDecode(t.Context(), t, decodeOptions{})
	if _, err := l.in.Write(r.next(t, dissect.FromClient, "100f00044d5154540402003c0003616e61")); err != nil {
		t.Fatal(err)
	}
	l.until(t, "CONNECT")
	l.in.CloseWithError(io.ErrClosedPipe)
	for l.out.Scan() {
	}
	if err := <-l.ended; codeOf(err) != exitOK && !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

func TestInputsOfDecode(t *testing.T) {
	for _, tt := range []struct {
		args []string
		text string // of the first, "" if it is a file
	}{
		{[]string{"30", "05", "00"}, "30 05 00"},
		{[]string{"0x30,", "0x05"}, "0x30, 0x05"},
		{[]string{"c000", "d000"}, "c000\nd000"},
		{[]string{"UkUUXtFZYRliLRb/6BZECEBHjMzMzMzN"}, "UkUUXtFZYRliLRb/6BZECEBHjMzMzMzN"},
		{[]string{`"\x30\x05"`}, `"\x30\x05"`},
		{[]string{"-"}, ""},
		{[]string{"decode_test.go"}, ""},
		{[]string{"@decode_test.go"}, ""},
	} {
		in, err := decodeInputs(tt.args)
		if err != nil || len(in) != 1 || string(in[0].text) != tt.text {
			t.Errorf("%q: %q, %v", tt.args, in, err)
		}
	}
	for _, arg := range []string{"nowhere.pcap", "@c000", "dir/nowhere", "."} {
		if _, err := decodeInputs([]string{arg}); codeOf(err) != exitUsage {
			t.Errorf("%s: %v", arg, err)
		}
	}
}
