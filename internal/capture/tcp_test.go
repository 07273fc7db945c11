package capture

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

// segments makes a capture of segments, a millisecond apart.
func segments(specs ...segmentSpec) []byte {
	b := pcapHeader(linkRaw)
	for i, s := range specs {
		b = appendRecord(b, int64(i)*1000, s.ip())
	}
	return b
}

// told is what a capture says, in a word for each chunk: "c:ab" bytes of the client,
// "s(5):cd" with 5 bytes missing before, "c." the end, "c!" broken. A flow after the
// first has its number in front, and "~" if it was joined.
func told(t *testing.T, file []byte, o Options) string {
	t.Helper()
	r, err := Open(bytes.NewReader(file), o)
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return strings.Join(words, " ")
		}
		if err != nil {
			t.Fatal(err)
		}
		w := ""
		if c.Flow.Number > 1 {
			w = fmt.Sprint(c.Flow.Number)
		}
		if c.Flow.Joined {
			w += "~"
		}
		w += map[dissect.Direction]string{dissect.FromClient: "c", dissect.FromServer: "s"}[c.Direction]
		if c.Gap != 0 {
			w += fmt.Sprintf("(%d)", c.Gap)
		}
		if len(c.Bytes) > 0 {
			w += ":" + string(c.Bytes)
		}
		if c.End {
			w += map[bool]string{true: "!", false: "."}[c.Broken]
		}
		words = append(words, w)
	}
}

// Segments of tests: of the client, and of the server.
func fromClient(seq uint32, data string) segmentSpec {
	return segmentSpec{seq: seq, ack: 500, flags: flagACK, data: []byte(data)}
}

func fromServer(seq, ack uint32) segmentSpec {
	return segmentSpec{side: 1, seq: seq, ack: ack, flags: flagACK}
}

func (s segmentSpec) with(flags byte) segmentSpec {
	s.flags |= flags
	return s
}

func handshake(client uint32) []segmentSpec {
	return []segmentSpec{
		{seq: client - 1, flags: flagSYN},
		{side: 1, seq: 499, ack: client, flags: flagSYN | flagACK},
		{seq: client, ack: 500, flags: flagACK},
	}
}

func TestTCPStreams(t *testing.T) {
	acks := func(n int, ack uint32) []segmentSpec { return slices.Repeat([]segmentSpec{fromServer(500, ack)}, n) }
	var wrap uint32 = 0xfffffffe
	for _, tt := range []struct {
		name     string
		segments [][]segmentSpec
		want     string
	}{
		{"in order", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromClient(102, "cd")}}, "c:ab c:cd"},
		{"swapped", [][]segmentSpec{handshake(100), {fromClient(102, "cd"), fromClient(100, "ab")}}, "c:ab c:cd"},
		{"backwards", [][]segmentSpec{handshake(100), {fromClient(106, "gh"), fromClient(104, "ef"), fromClient(102, "cd"), fromClient(100, "ab")}}, "c:ab c:cd c:ef c:gh"},
		{"sent again", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromClient(100, "ab"), fromClient(102, "cd")}}, "c:ab c:cd"},
		{"sent again in other pieces", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromClient(101, "bcd"), fromClient(100, "abcdef")}}, "c:ab c:cd c:ef"},
		{"overlap of what waits", [][]segmentSpec{handshake(100), {fromClient(102, "cde"), fromClient(104, "efg"), fromClient(100, "abc")}}, "c:abc c:de c:fg"},
		{"what waits is within what comes", [][]segmentSpec{handshake(100), {fromClient(102, "c"), fromClient(100, "abcd")}}, "c:abcd"},
		{"keep-alive probes", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromClient(101, ""), fromClient(101, "x"), fromClient(102, "cd")}}, "c:ab c:cd"},
		{"wrap-around", [][]segmentSpec{handshake(wrap), {fromClient(0, "cd"), fromClient(wrap, "ab"), fromClient(2, "ef")}}, "c:ab c:cd c:ef"},
		{"end", [][]segmentSpec{handshake(100), {fromClient(100, "ab").with(flagFIN), fromServer(500, 103).with(flagFIN)}}, "c:ab c. s."},
		{"end before the last bytes", [][]segmentSpec{handshake(100), {fromClient(102, "").with(flagFIN), fromClient(100, "ab")}}, "c:ab c."},
		{"end sent again", [][]segmentSpec{handshake(100), {fromClient(100, "ab").with(flagFIN), fromClient(100, "ab").with(flagFIN)}}, "c:ab c."},
		{"reset", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromServer(500, 102).with(flagRST), fromClient(102, "cd")}}, "c:ab c! s!"},
		{"a reset out of nowhere", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromServer(1<<31, 102).with(flagRST), fromClient(102, "cd")}}, "c:ab c:cd"},
		{"refused", [][]segmentSpec{{{seq: 99, flags: flagSYN}, {side: 1, ack: 100, flags: flagRST | flagACK}}}, ""},
		{"joined", [][]segmentSpec{{fromClient(100, "ab"), fromClient(102, "cd")}}, "~c:ab ~c:cd"},
		{"joined, server first", [][]segmentSpec{{fromServer(500, 100), fromClient(100, "ab")}}, "~c:ab"},
		{"joined between swapped ones, known too late", [][]segmentSpec{{fromClient(104, "ef"), fromClient(100, "ab"), fromClient(106, "gh")}}, "~c:ef ~c:gh"},
		{"joined before swapped ones", [][]segmentSpec{{fromClient(104, ""), fromClient(100, "abcd"), fromClient(104, "ef")}}, "~c:abcd ~c:ef"},
		{"handshake swapped", [][]segmentSpec{{handshake(100)[1], handshake(100)[0]}, {fromClient(100, "ab")}}, "c:ab"},
		{"SYN sent again", [][]segmentSpec{{{seq: 99, flags: flagSYN}}, handshake(100), {fromClient(100, "ab")}}, "c:ab"},
		{"data with the SYN", [][]segmentSpec{{{seq: 99, flags: flagSYN, data: []byte("ab")}, fromClient(102, "cd")}}, "c:ab c:cd"},
		{"ports used again", [][]segmentSpec{handshake(100), {fromClient(100, "ab")}, handshake(7000), {fromClient(7000, "cd")}}, "c:ab c! s! 2c:cd"},
		{"ports used again after the end", [][]segmentSpec{
			handshake(100), {fromClient(100, "ab").with(flagFIN), fromServer(500, 103).with(flagFIN)}, handshake(7000), {fromClient(7000, "cd")},
		}, "c:ab c. s. 2c:cd"},
		{"ports used again, unseen", [][]segmentSpec{
			handshake(100), {fromClient(100, "ab"), fromClient(1<<30, "cd"), fromClient(1<<30+2, "ef"), fromClient(1<<30+4, "gh"), fromClient(1<<30+6, "ij")},
		}, "c:ab c! s! 2~c:gh 2~c:ij"},
		{"gap, acknowledged", [][]segmentSpec{
			handshake(100), {fromClient(100, "ab"), fromClient(105, "fg")}, acks(patience+1, 107), {fromClient(107, "hi"), fromClient(102, "cde")},
		}, "c:ab c(3):fg c:hi"},
		{"gap, filled after the acknowledgement", [][]segmentSpec{
			handshake(100), {fromClient(100, "ab"), fromClient(105, "fg")}, acks(3, 107), {fromClient(102, "cde"), fromClient(107, "hi")},
		}, "c:ab c:cde c:fg c:hi"},
		{"gap, not acknowledged", [][]segmentSpec{
			handshake(100), {fromClient(100, "ab"), fromClient(105, "fg")}, acks(50, 102), {fromClient(102, "cde"), fromClient(107, "hi")},
		}, "c:ab c:cde c:fg c:hi"},
		{"gap at the end of the capture", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromClient(105, "fg"), fromClient(110, "kl")}}, "c:ab c(3):fg c(3):kl"},
		{"gap before the end", [][]segmentSpec{handshake(100), {fromClient(100, "ab"), fromClient(105, "").with(flagFIN)}}, "c:ab c(3)."},
		{"gap at the beginning", [][]segmentSpec{handshake(100), {fromClient(103, "de")}}, "c(3):de"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := told(t, segments(slices.Concat(tt.segments...)...), Options{}); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestGapIsGivenUp has a direction of which nobody acknowledges anything.
func TestGapIsGivenUp(t *testing.T) {
	lost := func(after time.Duration) []byte {
		b := pcapHeader(linkRaw)
		for i, s := range append(handshake(100), fromClient(100, "ab"), fromClient(105, "fg")) {
			b = appendRecord(b, int64(i), s.ip())
		}
		for _, s := range []segmentSpec{{flow: 7, data: []byte("x")}, fromClient(102, "cde")} {
			b = appendRecord(b, after.Microseconds(), s.ip())
		}
		return b
	}
	for _, tt := range []struct {
		name string
		file []byte
		o    Options
		want string
	}{
		{"soon enough", lost(29 * time.Second), Options{}, "c:ab 2~c:x c:cde c:fg"},
		{"by time", lost(31 * time.Second), Options{}, "c:ab c(3):fg 2~c:x"},
		{"by another time", lost(3 * time.Second), Options{MaxWait: 2 * time.Second}, "c:ab c(3):fg 2~c:x"},
		{
			"by bytes of the flow", segments(append(handshake(100), fromClient(105, "fg"), fromClient(107, strings.Repeat("z", 300)), fromClient(100, "abcde"))...),
			Options{MaxFlowBytes: 300},
			"c(5):fg c:" + strings.Repeat("z", 300),
		},
		{
			"by bytes of all flows", segments(append(handshake(100), fromClient(105, "fg"), segmentSpec{flow: 1, seq: 100, data: []byte("x")},
				segmentSpec{flow: 1, seq: 105, data: []byte("y")}, fromClient(100, "abcde"))...),
			Options{MaxBytes: 150},
			"~c:x 2c(5):fg ~c(4):y",
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := told(t, tt.file, tt.o); got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

// TestFlowsAreBounded has three flows where two may be.
func TestFlowsAreBounded(t *testing.T) {
	file := segments(
		segmentSpec{flow: 1, data: []byte("a")}, segmentSpec{flow: 2, data: []byte("b")}, segmentSpec{flow: 1, seq: 1, data: []byte("c")},
		segmentSpec{flow: 3, data: []byte("d")}, segmentSpec{flow: 2, seq: 1, data: []byte("e")},
	)
	if got, want := told(t, file, Options{MaxFlows: 2}), "~c:a 2~c:b ~c:c 2~c! 2~s! 3~c:d ~c! ~s! 4~c:e"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestRandomOrder cuts a stream into segments, repeats some, and shuffles them within a
// window: the stream comes out as it was.
func TestRandomOrder(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 200 {
		stream := make([]byte, 5000)
		for i := range stream {
			stream[i] = byte(rnd.IntN(256))
		}
		start := rnd.Uint32()
		var specs []segmentSpec
		for at := 0; at < len(stream); {
			n := 1 + rnd.IntN(min(200, len(stream)-at))
			from := max(0, at-rnd.IntN(20))
			specs = append(specs, segmentSpec{seq: start + uint32(from), ack: 500, flags: flagACK, data: stream[from : at+n]})
			if rnd.IntN(4) == 0 {
				specs = append(specs, specs[rnd.IntN(len(specs))])
			}
			at += n
		}
		for i := range specs {
			j := i + rnd.IntN(min(6, len(specs)-i))
			specs[i], specs[j] = specs[j], specs[i]
		}
		r, err := Open(bytes.NewReader(segments(append(handshake(start), specs...)...)), Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := collect(t, r)
		if len(got) != 1 || !bytes.Equal(got[0].bytes, stream) || len(got[0].gaps) > 0 {
			t.Fatalf("round %d: %d streams, not what was sent", round, len(got))
		}
	}
}

// TestSnapLengthLeavesGaps has frames that were cut.
func TestSnapLengthLeavesGaps(t *testing.T) {
	b := pcapHeader(linkRaw)
	for i, s := range append(handshake(100), fromClient(100, "abcdef"), fromClient(106, "ghijkl"), fromClient(112, "").with(flagFIN)) {
		frame := s.ip()
		n := len(b)
		b = appendRecord(b, int64(i), frame[:min(len(frame), 42)])
		b[n+12] = byte(len(frame)) // the original length
	}
	if got, want := told(t, b, Options{}), "c:ab c(4):gh c(4)."; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	r, err := Open(bytes.NewReader(b), Options{})
	if err != nil {
		t.Fatal(err)
	}
	collect(t, r)
	if notes := strings.Join(r.Notes(), "\n"); notes != "2 frames were cut by the snap length of the capture\n2 gaps in TCP streams, 8 bytes missing" {
		t.Errorf("notes %q", notes)
	}
}

// TestFramesOfChunks has each byte come from the frame that brought it.
func TestFramesOfChunks(t *testing.T) {
	r, err := Open(bytes.NewReader(segments(append(handshake(100), fromClient(102, "cd"), fromClient(100, "ab"))...)), Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		bytes string
		frame int
		at    int64
	}{{"ab", 5, 4000}, {"cd", 4, 3000}} {
		c, err := r.Next()
		if err != nil || string(c.Bytes) != want.bytes || !slices.Equal(c.Frames, []int{want.frame}) || c.Time.UnixMicro() != want.at {
			t.Errorf("%q of frames %v at %v, want %v: %v", c.Bytes, c.Frames, c.Time, want, err)
		}
	}
}
