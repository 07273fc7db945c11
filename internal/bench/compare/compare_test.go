package main

import (
	"context"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/serve/servetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestEveryLine runs the comparison with runs too short to mean anything.
func TestEveryLine(t *testing.T) {
	if testing.Short() {
		t.Skip("builds and starts programs")
	}
	for _, tool := range []string{"mosquitto_pub", "mosquitto_sub"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("IOTCTL_REQUIRE_TOOLS") == "1" {
				t.Fatal(err)
			}
			t.Skip(err)
		}
	}
	o := options{
		brokers: "mosquitto,iotctl", versions: "3.1.1,5.0", only: "pub,sub,one-shot",
		rounds: 1, run: 10 * time.Millisecond,
	}
	var out strings.Builder
	if err := o.compare(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if want := 1 + 2*2*5; len(lines) != want {
		t.Errorf("%d lines, want %d", len(lines), want)
	}
	shape := regexp.MustCompile(`^(mosquitto|iotctl) +(3\.1\.1|5\.0) +[01] +(pub|sub|one-shot) +[1-9]\d*(\.\d\d)? (/s|ms) +[1-9]\d*(\.\d\d)? (/s|ms) +\d+\.\d\d   \d+\.\d\d to \d+\.\d\d$`)
	for _, l := range lines[1:] {
		if !shape.MatchString(l) {
			t.Errorf("line %q", l)
		}
	}
}

func TestUnknownNames(t *testing.T) {
	for _, o := range []options{
		{iotctl: "x", brokers: "nobody"},
		{iotctl: "false", brokers: "iotctl"}, // ends without listing its ports
	} {
		if _, err := exec.LookPath("mosquitto_pub"); err != nil {
			t.Skip(err)
		}
		if err := o.compare(t.Context(), new(strings.Builder)); err == nil {
			t.Errorf("%+v: no error", o)
		}
	}
}

func TestPeerCountsArrivals(t *testing.T) {
	addr := strings.TrimPrefix(servetest.Start(t, nil).URLs()[0], "mqtt://")
	for _, qos := range []uint8{0, 1} {
		sub, pub := dialPeer(t, addr), dialPeer(t, addr)
		if err := sub.subscribe("a"); err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); pub.discard() }()
		const n = 300
		if _, err := pub.Write(newBurst("a", qos, []byte("x"), n).messages(n)); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < n; {
			more, err := sub.arrivals()
			if err != nil {
				t.Fatalf("after %d of %d: %v", got, n, err)
			}
			got += more
		}
		_ = pub.Close()
		<-done
	}
}

func dialPeer(t *testing.T, addr string) *peer {
	t.Helper()
	p, err := connect(t.Context(), addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	_ = p.SetReadDeadline(time.Now().Add(10 * time.Second))
	return p
}

func TestBurstNumbersItsMessages(t *testing.T) {
	b := newBurst("topic", 1, []byte("payload"), 40000)
	var last uint16
	for range 2 { // passes 65535, and leaves out 0
		rest := b.messages(40000)
		for len(rest) > 0 {
			packet, n, err := mqtt.Parse(rest, mqtt.Options{Version: mqtt.V311})
			if err != nil {
				t.Fatal(err)
			}
			p := packet.(mqtt.Publish)
			if want := max(last+1, 1); p.PacketID != want || string(p.Payload) != "payload" {
				t.Fatalf("message %d %q, want %d", p.PacketID, p.Payload, want)
			}
			last = p.PacketID
			rest = rest[n:]
		}
	}
}

func TestTallyWaits(t *testing.T) {
	tally := newTally()
	tally.count(strings.NewReader("a\nb\nc"))
	if err := tally.wait(t.Context(), 2); err != nil {
		t.Error(err)
	}
	if err := tally.wait(t.Context(), 3); err == nil {
		t.Error("a third line")
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := newTally().wait(ctx, 1); err == nil {
		t.Error("waited beyond the context")
	}
}

func TestPairs(t *testing.T) {
	p := pairs{theirs: []float64{10, 20, 10, 40}, ours: []float64{20, 20, 30, 20}}
	if got := p.ratio(); got != 1.5 { // of 0.5, 1, 2, 3
		t.Errorf("ratio %v", got)
	}
	if lo, hi := p.spread(); lo != 0.5 || hi != 3 {
		t.Errorf("spread %v to %v", lo, hi)
	}
	if got := median([]float64{3, 1, 2}); got != 2 {
		t.Errorf("median %v", got)
	}
}
