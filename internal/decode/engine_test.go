package decode

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// talk is a connection whose bytes a test hands to an engine.
type talk struct {
	t    *testing.T
	e    *Engine
	flow *capture.Flow
	at   time.Time
	n    int
}

func newTalk(t *testing.T, e *Engine, number int) *talk {
	return &talk{
		t: t, e: e, at: time.Unix(1_700_000_000, 0),
		flow: &capture.Flow{
			Number: number, Transport: "tcp", Client: netip.MustParseAddrPort("10.0.0.1:40000"), Server: netip.MustParseAddrPort("10.0.0.2:45678"),
		},
	}
}

func (k *talk) chunk(c capture.Chunk) {
	k.t.Helper()
	k.n++
	k.at = k.at.Add(time.Millisecond)
	c.Flow, c.Time, c.Frames = k.flow, k.at, []int{k.n}
	c.Bytes = bytes.Clone(c.Bytes)
	if err := k.e.Chunk(c); err != nil {
		k.t.Fatal(err)
	}
	for i := range c.Bytes {
		c.Bytes[i] = 0xee // nobody may have kept it
	}
	c.Frames[0] = -1
}

func (k *talk) client(b []byte) {
	k.t.Helper()
	k.chunk(capture.Chunk{Direction: dissect.FromClient, Bytes: b})
}

func (k *talk) server(b []byte) {
	k.t.Helper()
	k.chunk(capture.Chunk{Direction: dissect.FromServer, Bytes: b})
}

func (k *talk) end() {
	k.t.Helper()
	k.chunk(capture.Chunk{Direction: dissect.FromClient, End: true})
	k.chunk(capture.Chunk{Direction: dissect.FromServer, End: true})
}

const (
	connect4 = "10 0d 0004 4d515454 04 02 003c 0001 61"
	connack4 = "20 02 00 00"
	connect5 = "10 0e 0004 4d515454 05 02 003c 00 0001 61"
	connack5 = "20 03 00 00 00"
	publish4 = "30 05 0001 61 6263"
	publish5 = "30 05 0001 61 00 62"
)

// TestPacketsThatSpanChunks has each packet's frames, offset and time.
func TestPacketsThatSpanChunks(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	all := unhex(t, connect4+publish4+publish4)
	cuts := []int{3, 16, 17, 25, len(all)}
	at := 0
	for _, to := range cuts {
		k.client(all[at:to])
		at = to
	}
	k.end()
	want := []string{"CONNECT 0 [1 2] 2", "PUBLISH 15 [2 3 4] 4", "PUBLISH 22 [4 5] 5"}
	for i, p := range c.packets {
		got := fmt.Sprintf("%s %d %v %d", p.Type, p.Offset, p.Frames, p.Time.Sub(time.Unix(1_700_000_000, 0)).Milliseconds())
		if i >= len(want) || got != want[i] {
			t.Errorf("%q, want %q", got, want[min(i, len(want)-1)])
		}
		if !bytes.Equal(p.Bytes, all[p.Offset:int(p.Offset)+len(p.Bytes)]) {
			t.Errorf("%s: bytes % x", p.Type, p.Bytes)
		}
	}
	if len(c.packets) != len(want) {
		t.Errorf("%d packets\n%s", len(c.packets), c)
	}
}

// TestStreamsKeepTheirOrder: packets are numbered in order of time, also while one
// stream waits for its version.
func TestStreamsKeepTheirOrder(t *testing.T) {
	e, c := engine(t, Options{})
	a, b := newTalk(t, e, 1), newTalk(t, e, 2)
	a.flow.Joined = true
	a.client(unhex(t, "c000"))
	b.client(unhex(t, connect4))
	a.server(unhex(t, "d000"))
	b.server(unhex(t, connack4))
	if len(c.packets) > 0 {
		t.Errorf("the version of the first stream is not known yet:\n%s", c)
	}
	a.client(unhex(t, "a2 06 0001 00 0001 61"))
	a.end()
	b.end()
	var got []string
	for _, p := range c.packets {
		got = append(got, fmt.Sprintf("%d.%s", p.Stream.Number, p.Type))
	}
	want := "1.PINGREQ 2.CONNECT 1.PINGRESP 2.CONNACK 1.UNSUBSCRIBE"
	if strings.Join(got, " ") != want {
		t.Errorf("%s, want %s\n%s", got, want, c)
	}
	if v := c.packets[0].Version; v != "5.0" {
		t.Errorf("version %s", v)
	}
}

// TestFlushLetsGo: who reads a pipe sees what waits.
func TestFlushLetsGo(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.flow.Joined = true
	k.client(unhex(t, "c000"))
	if len(c.packets) > 0 {
		t.Errorf("it does not wait:\n%s", c)
	}
	if err := e.Flush(); err != nil {
		t.Fatal(err)
	}
	if len(c.packets) != 1 || len(c.noted(Versioned)) != 1 {
		t.Errorf("after Flush:\n%s", c)
	}
	k.server(unhex(t, "d000"))
	if len(c.packets) != 2 {
		t.Errorf("after another packet:\n%s", c)
	}
}

// TestPatienceEnds: while others go on talking, too, nothing waits for ever.
func TestPatienceEnds(t *testing.T) {
	now := time.Unix(0, 0)
	e, c := engine(t, Options{Patience: time.Second, Now: func() time.Time { return now }})
	silent, busy := newTalk(t, e, 1), newTalk(t, e, 2)
	silent.flow.Joined = true
	silent.client(unhex(t, "c000"))
	busy.client(unhex(t, "101000044d5154540402003c000474657374"))
	now = now.Add(time.Second)
	busy.client(unhex(t, "c000"))
	if len(c.packets) > 0 {
		t.Errorf("what comes later does not wait:\n%s", c)
	}
	now = now.Add(time.Millisecond)
	busy.client(unhex(t, "c000"))
	if len(c.packets) != 4 || len(c.noted(Versioned)) != 1 {
		t.Errorf("after more than a second:\n%s", c)
	}
}

// TestWaitingIsBounded: a stream that never tells its version does not hold others
// back for ever.
func TestWaitingIsBounded(t *testing.T) {
	e, c := engine(t, Options{Held: 4096})
	a, b := newTalk(t, e, 1), newTalk(t, e, 2)
	a.flow.Joined = true
	a.client(unhex(t, "c000"))
	b.client(unhex(t, connect4))
	for range 1000 {
		b.client(unhex(t, publish4))
	}
	if len(c.packets) < 900 {
		t.Errorf("%d packets", len(c.packets))
	}
	if e.held > 4096+16 {
		t.Errorf("%d bytes wait", e.held)
	}
}

// TestIncompleteLastPacket says how much is missing.
func TestIncompleteLastPacket(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.client(unhex(t, connect4+"30 64 0001 61 62"))
	k.end()
	if p := c.packets[1]; !errors.Is(p.Err, dissect.ErrShort) || p.Missing != 100-4 || p.Type != "PUBLISH" {
		t.Errorf("%s: %v, %d missing\n%s", p.Type, p.Err, p.Missing, c)
	}
}

// TestHugeLengthCostsNothing: what a packet claims to be is not what is allocated.
func TestHugeLengthCostsNothing(t *testing.T) {
	c := paste(t, Options{}, unhex(t, "30 ffffff7f 61"))
	if p := c.packets[0]; p.Missing != 268435455-1 || len(p.Bytes) != 6 {
		t.Errorf("%d missing of %d\n%s", p.Missing, len(p.Bytes), c)
	}
}

// TestGapWithinAPacketWhoseEndIsKnown: then where the next one begins is no guess.
func TestGapWithinAPacketWhoseEndIsKnown(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.client(unhex(t, connect4+"30 64 0001 61 62"))
	k.chunk(capture.Chunk{Direction: dissect.FromClient, Gap: 90, Bytes: append(bytes.Repeat([]byte("x"), 6), unhex(t, publish4)...)})
	k.end()
	last := c.packets[len(c.packets)-1]
	if last.Line != "PUBLISH q0 a 2 B bc" || last.Offset != 15+102 {
		t.Errorf("%q at %d\n%s", last.Line, last.Offset, c)
	}
	if s := c.noted(Resumed); len(s) != 1 || strings.Contains(s[0], "guess") {
		t.Errorf("%q", s)
	}
}

// TestJoinedWithinAPacket finds the first that is whole.
func TestJoinedWithinAPacket(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.flow.Joined = true
	k.client(append([]byte("\x00the rest of some payload"), unhex(t, strings.Repeat(publish4, 5))...))
	k.end()
	if n := len(c.of("mqtt")); n != 5 {
		t.Errorf("%d packets\n%s", n, c)
	}
}

// TestOtherReading: a packet that may be of two protocols is read as one, and the
// other is named.
func TestOtherReading(t *testing.T) {
	c := paste(t, Options{}, unhex(t, "40020001"))
	if s := c.packets[0].Stream; s.Protocol != "mqtt" || !strings.HasPrefix(s.Other, "coap POST CON mid 1") {
		t.Errorf("%s, not %q", s.Protocol, s.Other)
	}
}

// TestPastedConversation: what follows a CONNECT has its version.
func TestPastedConversation(t *testing.T) {
	c := paste(t, Options{}, unhex(t, connect5), unhex(t, publish5))
	c.has(t, 1, "payload", "b")
	if c.packets[1].Version != "5.0" || c.packets[1].Stream == c.packets[0].Stream {
		t.Errorf("version %s", c.packets[1].Version)
	}
	c = paste(t, Options{}, unhex(t, publish5))
	if v := c.packets[0].Version; v != "3.1.1" && v != "5.0" {
		t.Errorf("version %s", v)
	}
	c = paste(t, Options{Stream: true}, unhex(t, connect5)[:5], unhex(t, connect5+publish5)[5:])
	if len(c.packets) != 2 || c.packets[1].Version != "5.0" || c.packets[1].Offset != 16 {
		t.Errorf("%s", c)
	}
}

// TestAs reads as told, and names what there is.
func TestAs(t *testing.T) {
	c := paste(t, Options{As: "mqtt5"}, unhex(t, publish5))
	c.has(t, 0, "payload", "b")
	c = paste(t, Options{As: "mqtt3.1.1"}, unhex(t, publish5))
	c.has(t, 0, "payload", []byte("\x00b"))
	_, err := New(Options{Dissectors: dissecttest.All(t), As: "mqtt6"}, nil)
	if bad := (*Error)(nil); !errors.As(err, &bad) || !strings.Contains(bad.Hint, "mqttsn") {
		t.Errorf("%v", err)
	}
}

// TestOpenRequests says what has not been answered.
func TestOpenRequests(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.client(unhex(t, connect4))
	k.server(unhex(t, connack4))
	k.client(unhex(t, "32 06 0001 61 0007 62"))
	k.end()
	if s := c.noted(Open); len(s) != 1 || c.notes[len(c.notes)-2].Packet != 3 {
		t.Errorf("%q\n%s", s, c)
	}
}

// TestManyStreams: no more are kept than allowed.
func TestManyStreams(t *testing.T) {
	e, c := engine(t, Options{Streams: 10})
	for i := range 100 {
		newTalk(t, e, i+1).client(unhex(t, connect4))
	}
	if len(e.flows) > 10 || len(c.packets) != 100 {
		t.Errorf("%d streams, %d packets", len(e.flows), len(c.packets))
	}
}

// TestDatagramsWithSeveralMessages shows each of them.
func TestDatagramsWithSeveralMessages(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.flow.Transport = "udp"
	k.chunk(capture.Chunk{Direction: dissect.FromClient, Datagram: true, Bytes: unhex(t, "07 04 04 01 003c 61")})
	k.chunk(capture.Chunk{Direction: dissect.FromClient, Datagram: true, Bytes: unhex(t, "02 16 02 17")})
	if len(c.packets) != 3 || c.packets[2].Offset != 7+2 {
		t.Errorf("%s", c)
	}
}

// TestBrokenPacketsAreRead: what breaks the rules of MQTT too much to be recognised
// is read as a guess, where it was pasted or is on the port.
func TestBrokenPacketsAreRead(t *testing.T) {
	for _, text := range []string{"10ffffffffff01", "820e007b000a68696a6b6c2f6d6e6f00", "9000", "3606000474657374"} {
		c := paste(t, Options{}, unhex(t, text))
		if len(c.packets) == 0 || c.packets[0].Protocol != "mqtt" || faults(&c.packets[0]) == "" {
			t.Errorf("%s:\n%s", text, c)
		}
	}
	c := paste(t, Options{}, unhex(t, "08040402003c7831"))
	if len(c.packets) == 0 || c.packets[0].Protocol != "mqttsn" || faults(&c.packets[0]) == "" {
		t.Errorf("%s", c)
	}
	c = paste(t, Options{}, unhex(t, "40011234b474"))
	if len(c.packets) == 0 || c.packets[0].Protocol != "coap" || faults(&c.packets[0]) == "" {
		t.Errorf("%s", c)
	}
	c = paste(t, Options{}, []byte("no packet at all"))
	if len(c.packets) > 0 && c.packets[0].Protocol == "mqtt" {
		t.Errorf("%s", c)
	}
	for port, want := range map[string]int{"10.0.0.2:1883": 1, "10.0.0.2:4000": 0} {
		e, c := engine(t, Options{})
		k := newTalk(t, e, 1)
		k.flow.Server = netip.MustParseAddrPort(port)
		k.client(unhex(t, "820e007b000a68696a6b6c2f6d6e6f00"))
		k.end()
		if n := len(c.of("mqtt")); n != want {
			t.Errorf("%s: %d packets\n%s", port, n, c)
		}
	}
}

// TestSidesAreTurned: where who is the client was guessed, a CONNECT tells.
func TestSidesAreTurned(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.flow.Joined = true
	k.server(unhex(t, connect4))
	k.client(unhex(t, connack4))
	k.server(unhex(t, publish4))
	k.end()
	for i, want := range []dissect.Direction{dissect.FromClient, dissect.FromServer, dissect.FromClient} {
		if p := c.packets[i]; p.Direction != want || len(p.Problems) > 0 {
			t.Errorf("%s: direction %d, %v", p.Line, p.Direction, p.Problems)
		}
	}
	if s := c.packets[0].Stream; s.Client != k.flow.Server {
		t.Errorf("client %v", s.Client)
	}
}

// TestPastedIsAPart: what one side has said may have begun before.
func TestPastedIsAPart(t *testing.T) {
	c := paste(t, Options{From: dissect.FromServer}, unhex(t, "d000"))
	if p := c.packets[0]; p.Direction != dissect.FromServer || faults(&p) != "" {
		t.Errorf("%s: %s", p.Line, faults(&p))
	}
	c = paste(t, Options{From: dissect.FromClient}, unhex(t, connect4+"c000"))
	if len(c.packets) != 2 || faults(&c.packets[1]) != "" {
		t.Errorf("%s", c)
	}
}
