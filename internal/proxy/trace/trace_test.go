package trace

import (
	"bytes"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/display"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/selector"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// began is when the connections of the tests begin.
var began = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// feed hands a sink a connection: its client, what goes both ways a millisecond
// apart, and its end. "!" is a note.
type feed struct {
	t      *testing.T
	sink   proxy.Sink
	conn   *proxy.Conn
	number uint64
	at     time.Time
	lost   uint64
}

func newFeed(t *testing.T, sink proxy.Sink, number uint64, client string) *feed {
	f := &feed{t: t, sink: sink, at: began, conn: &proxy.Conn{Number: number, ClientID: client, Version: mqtt.V5}}
	f.conn.Client = transport.Info{Remote: netip.AddrPortFrom(netip.MustParseAddr("192.0.2.7"), 40000+uint16(number)), Proxy: netip.MustParseAddrPort("127.0.0.1:9")}
	f.take(proxy.Seen{Kind: proxy.SeenOpened})
	return f
}

func (f *feed) take(s proxy.Seen) {
	f.t.Helper()
	s.Conn, s.At, s.Lost = f.conn, f.at, f.lost
	if err := f.sink.Take(&s); err != nil {
		f.t.Fatal(err)
	}
}

func (f *feed) packet(d proxy.Direction, p mqtt.Packet) {
	f.t.Helper()
	b, err := p.Append(nil, mqtt.V5)
	if err != nil {
		f.t.Fatal(err)
	}
	f.number++
	f.at = f.at.Add(time.Millisecond)
	f.take(proxy.Seen{Kind: proxy.SeenPacket, Number: f.number, Direction: d, Bytes: b})
}

func (f *feed) note(d proxy.Direction, b []byte, text string) {
	f.take(proxy.Seen{Kind: proxy.SeenNote, Direction: d, Bytes: b, Text: text})
}

// session is what the tests show.
func session(t *testing.T, sink proxy.Sink) {
	f := newFeed(t, sink, 1, "ana")
	f.packet(proxy.ToServer, mqtt.Connect{Version: mqtt.V5, ClientID: "ana", HasUsername: true, Username: "u", HasPassword: true, Password: []byte("hunter2")})
	f.packet(proxy.ToClient, mqtt.Connack{})
	f.packet(proxy.ToServer, mqtt.Publish{Topic: []byte("a/b"), QoS: 1, PacketID: 7, Payload: []byte("x")})
	f.note(proxy.ToClient, nil, "fault 1: drop s2c PUBACK")
	f.note(proxy.ToClient, []byte{0x40, 0x02}, "fault 2: cut s2c PUBACK")
	f.take(proxy.Seen{Kind: proxy.SeenEnded, Text: "closed"})
	if err := sink.Flush(); err != nil {
		t.Fatal(err)
	}
}

func logged(t *testing.T, c LogConfig, feed func(t *testing.T, sink proxy.Sink)) string {
	t.Helper()
	var b bytes.Buffer
	c.Out = &b
	feed(t, NewLog(c))
	return b.String()
}

func TestLogHasALineForEachPacket(t *testing.T) {
	got := logged(t, LogConfig{}, session)
	for _, want := range []string{
		`(?m)^ +# +time  stream  from +packet$`,
		`(?m)^ +1 +0.000 +1  :40001 → +CONNECT +.*ana`,
		`(?m)^ +3 +0.002 +1  :40001 → +PUBLISH +.*a/b`,
		`(?m)… fault 1: drop s2c PUBACK$`,
		`(?m)… client "ana" ended: closed$`,
	} {
		if !regexp.MustCompile(want).MatchString(got) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

func TestLogHidesSecretsUnlessAsked(t *testing.T) {
	for _, secrets := range []bool{false, true} {
		got := logged(t, LogConfig{JSON: true, Style: display.Style{Secrets: secrets}}, session)
		if has := strings.Contains(got, "hunter2"); has != secrets {
			t.Errorf("secrets %v:\n%s", secrets, got)
		}
		if n := strings.Count(got, "\n"); n != 6 {
			t.Errorf("%d lines:\n%s", n, got)
		}
	}
}

func TestLogShowsWhatIsAskedFor(t *testing.T) {
	e, err := selector.Parse("PUBLISH client=an* topic=a/#")
	if err != nil {
		t.Fatal(err)
	}
	got := logged(t, LogConfig{Filter: e}, session)
	if strings.Contains(got, "CONN") || !strings.Contains(got, "PUBLISH") || !strings.Contains(got, "fault 1") {
		t.Error(got)
	}
	got = logged(t, LogConfig{Quiet: true}, session)
	if strings.Contains(got, "PUBLISH ") || !strings.Contains(got, "fault 2") {
		t.Error(got)
	}
}

func TestLogSaysWhatItLeavesOut(t *testing.T) {
	got := logged(t, LogConfig{Lines: 2}, func(t *testing.T, sink proxy.Sink) {
		f := newFeed(t, sink, 1, "ana")
		for range 5 {
			f.packet(proxy.ToServer, mqtt.Pingreq{})
		}
		f.at = f.at.Add(time.Second)
		f.lost = 3
		f.packet(proxy.ToServer, mqtt.Pingreq{})
		if err := sink.Flush(); err != nil {
			t.Fatal(err)
		}
	})
	if strings.Count(got, "PINGREQ") != 3 || !strings.Contains(got, "3 packets are not shown: more than 2 lines in a second") ||
		!strings.Contains(got, "3 packets are not shown: the output is too slow") {
		t.Error(got)
	}
}

func TestCaptureOpensInTshark(t *testing.T) {
	name := filepath.Join(t.TempDir(), "c.pcapng")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	c, err := NewCapture(f, "iotctl test")
	if err != nil {
		t.Fatal(err)
	}
	session(t, c)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	tshark, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed (Debian: tshark)")
	}
	out, err := exec.CommandContext(t.Context(), tshark, "-r", name, "-T", "fields", "-e", "ip.src", "-e", "mqtt.msgtype", "-e", "mqtt.topic", "-e", "frame.comment", "-e", "tcp.flags.str").Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		t.Fatalf("%v: %s", err, exit.Stderr)
	}
	got := string(out)
	for _, want := range []string{
		"192.0.2.7\t\t\tclient ana, through 127.0.0.1:9", "192.0.2.7\t1\t", "\t2\t", "192.0.2.7\t3\ta/b", "fault 1: drop s2c PUBACK", "fault 2: cut s2c PUBACK", "closed",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
