package dissect_test

import (
	"cmp"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

func readJSON(t testing.TB, path string, v any) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(b, v)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// recorded is a packet of a recording.
type recorded struct {
	from  dissect.Direction
	at    time.Time
	bytes []byte
	late  bool // the connection began before the recording
}

// recordings are the packets of each connection in a capture, in the order in
// which they were complete.
func recordings(t testing.TB, path string) [][]recorded {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	r, err := capture.Open(f, capture.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var all [][]recorded
	waiting := map[int]*[3][]byte{}
	for {
		c, err := r.Next()
		if errors.Is(err, io.EOF) {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		for len(all) < c.Flow.Number {
			all = append(all, nil)
		}
		w := waiting[c.Flow.Number]
		if w == nil {
			w = &[3][]byte{}
			waiting[c.Flow.Number] = w
		}
		b := append(w[c.Direction], c.Bytes...)
		for {
			n := dissect.MQTT{}.Size(b)
			if n == 0 || n > len(b) {
				break
			}
			all[c.Flow.Number-1] = append(all[c.Flow.Number-1], recorded{c.Direction, c.Time, slices.Clone(b[:n]), c.Flow.Joined})
			b = b[n:]
		}
		w[c.Direction] = b
	}
}

// plain are the captures of MQTT over TCP without anything around it.
func plain(t testing.TB) []string {
	t.Helper()
	var all []string
	files, _ := filepath.Glob(filepath.Join(dissecttest.Captures(t), "*.streams.json"))
	for _, path := range files {
		path = strings.TrimSuffix(path, ".streams.json")
		if name := filepath.Base(path); !strings.Contains(name, "-tls") && !strings.Contains(name, "-ws") {
			all = append(all, path)
		}
	}
	if len(all) < 20 {
		t.Skipf("no captures: %d", len(all))
	}
	return all
}

// captureProblems is what breaks a rule in the captures.
var captureProblems = map[string][]string{
	"sv-mqtt-events-invalid-qos.pcap": {"MQTT3-3.3.1-4"}, // the PUBLISH of QoS 3 that it is about
}

// outOfStep are captures whose directions were put together without regard to each
// other: there are answers before what they answer.
var outOfStep = []string{"var-onebyte-v311.pcap", "var-reorder-v311.pcap"}

// TestMQTTCaptures reads the connections of captures as a second reader has: the
// same packets, and no fault but those that are listed.
func TestMQTTCaptures(t *testing.T) {
	packets := 0
	for _, path := range plain(t) {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			var file struct {
				Streams []struct {
					ClientToServer, ServerToClient *recordedSide
				}
			}
			b, err := os.ReadFile(path + ".streams.json")
			if err != nil {
				t.Fatal(err)
			}
			b = []byte(strings.NewReplacer("client_to_server", "ClientToServer", "server_to_client", "ServerToClient").Replace(string(b)))
			if err := json.Unmarshal(b, &file); err != nil {
				t.Fatal(err)
			}
			var want, got, broken []string
			for _, s := range file.Streams {
				want = append(append(want, s.ClientToServer.types()...), s.ServerToClient.types()...)
			}
			for _, stream := range recordings(t, path) {
				st, quick := &dissect.Stream{}, &dissect.Stream{}
				var sides [3][]string
				for i, r := range stream {
					for _, s := range []*dissect.Stream{st, quick} {
						s.Direction, s.Number, s.Time, s.Joined = r.from, i+1, r.at, r.late
					}
					p, n, err := dissecttest.Both(t, dissect.MQTT{}, r.bytes, st, quick)
					packets++
					sides[r.from] = append(sides[r.from], strings.ToLower(p.Type))
					for _, q := range verdict(p, err) {
						broken = append(broken, cmp.Or(q.Rule, q.Text))
					}
					if n != len(r.bytes) {
						t.Errorf("%d of %d bytes, %v", n, len(r.bytes), err)
					}
					answers := strings.HasSuffix(p.Type, "ACK") || strings.HasSuffix(p.Type, "RESP") || strings.HasPrefix(p.Type, "PUB") && p.Type != "PUBLISH"
					if answers && !slices.Contains(outOfStep, name) && (p.Answers == 0 || p.After < 0) {
						t.Errorf("packet %d, %s %s, answers %d after %v", i+1, p.Type, p.Summary, p.Answers, p.After)
					}
				}
				got = append(append(got, sides[fromClient]...), sides[fromServer]...)
				for _, o := range (dissect.MQTT{}).Finish(st) {
					t.Logf("open: packet %d: %s", o.Number, o.Text)
				}
			}
			if !slices.Equal(want, got) {
				t.Errorf("%d packets\n%q, the other reader has %d\n%q", len(got), got, len(want), want)
			}
			slices.Sort(broken)
			if !slices.Equal(slices.Compact(broken), captureProblems[name]) {
				t.Errorf("rules broken: %q", broken)
			}
		})
	}
	t.Logf("%d packets", packets)
}

type recordedSide struct {
	PDUs []struct{ Cmd, Error string }
}

func (s *recordedSide) types() []string {
	var all []string
	if s != nil {
		for _, p := range s.PDUs {
			all = append(all, cmp.Or(p.Cmd, "publish")) // the one that it refuses
		}
	}
	return all
}

// TestEvidenceOnCaptures takes the CONNECT away, then more and more of the
// beginning: the version is right, or, where little is left, it is said that no
// packet tells.
func TestEvidenceOnCaptures(t *testing.T) {
	for _, path := range plain(t) {
		for _, stream := range recordings(t, path) {
			st := &dissect.Stream{}
			var version string
			for i, r := range stream {
				st.Direction = r.from
				p, _, _ := dissect.MQTT{}.Dissect(r.bytes, st)
				if i == 0 && p.Type == "CONNECT" {
					version = p.Version
				}
			}
			if version == "" {
				continue
			}
			for from := 1; from < len(stream); from++ {
				var e dissect.Evidence
				for _, r := range stream[from:] {
					e.Add(r.from, r.bytes)
				}
				level, sure, why := e.Decide()
				got := map[uint8]string{3: "3.1.1", 4: "3.1.1", 5: "5.0"}[level]
				want := strings.Replace(version, "3.1.1", "3.1", 1)
				if want == "3.1" {
					want = "3.1.1" // the two can hardly be told apart
				}
				switch {
				case got != want && (sure || from == 1 || want != "5.0"):
					t.Errorf("%s from packet %d of %d: %s, sure %v, because %s", filepath.Base(path), from+1, len(stream), got, sure, why)
				case got != want && !strings.Contains(why, "no packet tells"):
					t.Errorf("%s from packet %d of %d: %s, because %s", filepath.Base(path), from+1, len(stream), got, why)
				case from == 1:
					t.Logf("%s: %s, sure %v: %s", filepath.Base(path), got, sure, why)
				}
			}
		}
	}
}
