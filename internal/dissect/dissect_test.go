package dissect_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

var update = flag.Bool("update", false, "write the golden files")

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func emqtcpSamples(t testing.TB) []dissecttest.Sample {
	var all []dissecttest.Sample
	for _, s := range []struct {
		name, hex string
		from      dissect.Direction
	}{
		{"CONNECT", "11 0007 3c 0004 61626364", dissect.FromClient},
		{"CONNECT with user and password", "11 0013 3c 0004 61626364 0004 61626364 0004 61626364", dissect.FromClient},
		{"CONNECT with user", "11 000d 1e 0007 6465762d303031 0001 75", dissect.FromClient},
		{"CONNECT with a binary password", "11 000a 00 0001 78 0000 0002 00ff", dissect.FromClient},
		{"CONNACK", "20 0014 436f6e6e656374205375636365737366756c6c79", dissect.FromServer},
		{"CONNACK that refuses", "21 0016 41757468656e7469636174696f6e204661696c757265", dissect.FromServer},
		{"DATATRANS with text", "30 000a 7b2274223a32352e357d", dissect.FromClient},
		{"DATATRANS with bytes", "30 0003 00ff10", dissect.FromServer},
		{"DATATRANS with nothing", "30 0000", dissect.FromClient},
		{"PING", "40", dissect.FromClient},
		{"PONG", "50", dissect.FromServer},
		{"DISCONNECT", "60", dissect.FromClient},
	} {
		all = append(all, dissecttest.Sample{Name: s.name, Bytes: unhex(t, s.hex), Direction: s.from})
	}
	return all
}

func iottextSamples() []dissecttest.Sample {
	var all []dissecttest.Sample
	for name, s := range map[string]struct {
		line string
		from dissect.Direction
	}{
		"HELLO!":             {"START | COMMAND=HELLO! | END\n", dissect.FromClient},
		"PUB":                {"START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n", dissect.FromClient},
		"PUB with an escape": {"START | COMMAND=PUB | VARIABLE=temp | VALUE=a\\x7cb | END\n", dissect.FromClient},
		"PUB, typed":         {" start|command= pub|\tvalue = 1|variable=t||end \r\n", dissect.FromClient},
		"ID with a password": {"START | COMMAND=ID | ID=dev1 | PASSWORD=secret | END\n", dissect.FromClient},
		"SUB":                {"START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | TIME=2026-01-02T03:04:05Z | END\n", dissect.FromServer},
		"MSG":                {"START | COMMAND=MSG | DEVICE=dev2 | VALUE=hello | END\n", dissect.FromServer},
		"BAD":                {"START | COMMAND=BAD | REASON=no such variable | END\n", dissect.FromServer},
	} {
		all = append(all, dissecttest.Sample{Name: name, Bytes: []byte(s.line), Direction: s.from})
	}
	slices.SortFunc(all, func(a, b dissecttest.Sample) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// frameSamples are the vectors that a definition itself has for good frames.
func frameSamples(t testing.TB, name string) []dissecttest.Sample {
	t.Helper()
	src, err := frame.Source(name)
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Tests []struct {
			Hex, Text, Dir, Error string
			Encode                any
			Skipped               int
			Frames                []any
		}
	}
	if err := yaml.Unmarshal(src, &file); err != nil {
		t.Fatal(err)
	}
	var all []dissecttest.Sample
	for _, v := range file.Tests {
		if v.Error != "" || v.Encode != nil || v.Skipped > 0 || v.Frames != nil || v.Hex+v.Text == "" {
			continue
		}
		s := dissecttest.Sample{Bytes: []byte(v.Text)}
		if v.Hex != "" {
			s.Bytes = unhex(t, v.Hex)
		}
		s.Direction = dissect.FromClient
		if v.Dir == "down" {
			s.Direction = dissect.FromServer
		}
		all = append(all, s)
	}
	if len(all) == 0 {
		t.Fatalf("%s has no vector that fits", name)
	}
	return all
}

func frames(t testing.TB) []dissect.Dissector {
	t.Helper()
	all, err := dissect.Frames()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestEMQTCP(t *testing.T)  { dissecttest.Run(t, dissect.EMQTCP{}, emqtcpSamples(t)) }
func TestIOTText(t *testing.T) { dissecttest.Run(t, dissect.IOTText{}, iottextSamples()) }

func TestFrames(t *testing.T) {
	for _, d := range frames(t) {
		t.Run(d.Name(), func(t *testing.T) { dissecttest.Run(t, d, frameSamples(t, d.Name())) })
	}
}

// TestGolden compares what dissectors say of each line of testdata/*.txt that
// is hex, or text behind a quote, with what follows it there.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no golden files:", err)
	}
	all := append(frames(t), dissect.EMQTCP{}, dissect.IOTText{}, dissect.MQTTSN{}, dissect.MQTTSN{Draft: true}, dissect.COAP{}, dissect.COAP{Over: dissect.OverTCP})
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".txt")
		t.Run(name, func(t *testing.T) {
			i := slices.IndexFunc(all, func(d dissect.Dissector) bool { return d.Name() == name })
			if i < 0 {
				t.Fatal("no dissector has this name")
			}
			golden(t, all[i], file)
		})
	}
}

func golden(t *testing.T, d dissect.Dissector, file string) {
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	for line := range strings.Lines(string(want)) {
		from, input, ok := strings.Cut(strings.TrimSuffix(line, "\n"), "> ")
		if !ok || strings.Contains(from, " ") {
			continue // of the answer
		}
		st := &dissect.Stream{Direction: map[string]dissect.Direction{"client": dissect.FromClient, "server": dissect.FromServer}[from]}
		b := []byte(strings.NewReplacer(`\n`, "\n", `\r`, "\r").Replace(strings.TrimPrefix(input, "'")))
		if !strings.HasPrefix(input, "'") {
			b = unhex(t, input)
		}
		got.WriteString(line)
		p, n, err := dissecttest.Dissect(t, d, b, st)
		got.WriteString(dissecttest.Text(p))
		if err != nil {
			got.WriteString(strings.TrimSpace("error: "+err.Error()) + "\n")
		}
		if n != len(b) {
			got.WriteString("consumed: " + hex.EncodeToString(b[:n]) + "\n")
		}
		got.WriteString("\n")
	}
	if *update {
		if err := os.WriteFile(file, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("(-want +got; -update writes it):\n%s", diff)
	}
}

// Each sample looks most like what it is, where its bytes say so at all.
func TestSniffPrefersTheRightOne(t *testing.T) {
	all := append(frames(t), dissect.EMQTCP{}, dissect.IOTText{}, dissect.MQTTSN{}, dissect.MQTTSN{Draft: true})
	check := func(name string, samples []dissecttest.Sample) {
		for _, s := range samples {
			var own, best dissect.Confidence
			other := ""
			for _, d := range all {
				c, _ := d.Sniff(s.Bytes, dissect.Hint{Direction: s.Direction})
				if d.Name() == name {
					own = c
				} else if c > best {
					best, other = c, d.Name()
				}
			}
			if own < best {
				t.Errorf("%s, % x: %v, but %s: %v", name, s.Bytes[:min(len(s.Bytes), 20)], own, other, best)
			}
		}
	}
	check("iottext", iottextSamples())
	check("emqtcp", emqtcpSamples(t)[:4]) // CONNECT
	for _, name := range []string{"gt06", "jt808", "hj212", "dlt645", "teltonika8", "gb32960"} {
		check(name, frameSamples(t, name))
	}
	for _, d := range all {
		for _, s := range []string{"GET / HTTP/1.1\r\n\r\n", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", "\x16\x03\x01\x00\xa5\x01\x00\x00\xa1"} {
			if c, why := d.Sniff([]byte(s), dissect.Hint{}); c > dissect.Possible {
				t.Errorf("%s takes %q for its own: %v, %s", d.Name(), s, c, why)
			}
		}
	}
}

// A frame that comes after bytes that belong to none is read all the same.
func TestFrameBehindRubbish(t *testing.T) {
	c, err := frame.Open("gt06")
	if err != nil {
		t.Fatal(err)
	}
	d, st := dissect.NewFrame(c), &dissect.Stream{}
	login := unhex(t, "78 78 0D 01 01 23 45 67 89 01 23 45 00 01 8C DD 0D 0A")
	b := append([]byte("rubbish"), login...)
	var types []string
	for len(b) > 0 {
		p, n, err := dissecttest.Dissect(t, d, b, st)
		if err != nil {
			t.Fatal(err)
		}
		types = append(types, p.Type)
		b = b[n:]
	}
	if types[0] != "skipped" || types[len(types)-1] != "login" {
		t.Errorf("%q", types)
	}
}

func FuzzDissect(f *testing.F) {
	all := append(
		frames(f), dissect.MQTTSN{}, dissect.MQTTSN{Draft: true}, dissect.EMQTCP{}, dissect.IOTText{},
		dissect.COAP{}, dissect.COAP{Over: dissect.OverTCP}, dissect.COAP{Over: dissect.OverWebSocket},
	)
	own := [][]dissecttest.Sample{
		mqttsnSamples(f), mqttsn2Samples(f), emqtcpSamples(f), iottextSamples(),
		coapSamples(f), coapOver(f, dissect.OverTCP), coapOver(f, dissect.OverWebSocket),
	}
	for i, d := range all {
		samples := []dissecttest.Sample(nil)
		if n := i - len(all) + len(own); n >= 0 {
			samples = own[n]
		} else {
			samples = frameSamples(f, d.Name())
		}
		for _, s := range samples {
			f.Add(s.Bytes, uint8(i), uint8(s.Direction))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte, which, direction uint8) {
		d := all[int(which)%len(all)]
		b = b[:min(len(b), 4<<10)] // the checks look at all of it for every packet
		st := &dissect.Stream{Direction: dissect.Direction(direction % 3), Whole: direction&4 != 0}
		d.Sniff(b, dissect.Hint{Direction: st.Direction, Datagram: st.Whole})
		for len(b) > 0 {
			_, n, err := dissecttest.Dissect(t, d, b, st)
			if err != nil && n == 0 || errors.Is(err, dissect.ErrShort) {
				return
			}
			b = b[n:]
		}
	})
}
