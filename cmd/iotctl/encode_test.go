package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/display"
)

// roundTrip is a decode.Sink that makes JSON of each packet, and bytes of that.
type roundTrip struct {
	t       *testing.T
	name    string
	packets int
}

func (r *roundTrip) Packet(p *decode.Packet) error {
	r.packets++
	object := display.JSON(nil, p, display.Style{Secrets: true})
	if !json.Valid(object) {
		r.t.Errorf("%s: packet %d is no JSON: %s", r.name, p.Number, object)
	}
	got, err := display.Encode(nil, object)
	if err != nil || !bytes.Equal(got, p.Bytes) {
		r.t.Errorf("%s: packet %d: %x has become %x, %v\n%s", r.name, p.Number, p.Bytes, got, err, object)
	}
	return nil
}

func (r *roundTrip) Note(*decode.Note) error { return nil }

// allDissectors are made once: some come out of files.
var allDissectors = sync.OnceValues(dissectors)

func (r *roundTrip) engine(o decode.Options) *decode.Engine {
	r.t.Helper()
	var err error
	if o.Dissectors, err = allDissectors(); err != nil {
		r.t.Fatal(err)
	}
	e, err := decode.New(o, r)
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// recordings is the directory of captures that other programs made: beside the
// repository, or where IOTCTL_CAPTURES says.
func recordings(t *testing.T) string {
	t.Helper()
	dir := os.Getenv("IOTCTL_CAPTURES")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared", "captures")
	}
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no captures: %v", err)
	}
	return dir
}

func TestCapturesAreEncodedAsTheyWere(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(recordings(t), "*.pcap*"))
	if err != nil || len(files) == 0 {
		t.Fatal("no captures", err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, ".json") {
			continue
		}
		r := &roundTrip{t: t, name: filepath.Base(name)}
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		keys := new(capture.KeyLog)
		c, err := capture.Open(f, capture.Options{KeyLog: keys})
		if err != nil {
			t.Fatal(err)
		}
		e := r.engine(decode.Options{Keys: keys})
		for {
			chunk, err := c.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if err := e.Chunk(chunk); err != nil {
				t.Fatal(err)
			}
		}
		if err := errors.Join(e.Close(), f.Close()); err != nil {
			t.Fatal(err)
		}
		t.Logf("%s: %d packets", r.name, r.packets)
	}
}

// The vectors are right and wrong packets of MQTT.
func TestVectorsAreEncodedAsTheyWere(t *testing.T) {
	b, err := os.ReadFile(filepath.Join(recordings(t), "mqtt-packet-vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Vectors []struct{ Hex string } }
	if err := json.Unmarshal(b, &file); err != nil {
		t.Fatal(err)
	}
	for _, v := range file.Vectors {
		for _, as := range []string{"", "mqtt3.1.1", "mqtt5"} {
			pasteRoundTrip(t, as, v.Hex)
		}
	}
}

func pasteRoundTrip(t *testing.T, as, digits string) {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	r := &roundTrip{t: t, name: as + " " + digits}
	e := r.engine(decode.Options{As: as})
	if err := errors.Join(e.Pasted([][]byte{b}), e.Close()); err != nil {
		t.Fatal(err)
	}
}

// The golden files of the dissectors have a packet of each protocol and type.
func TestEveryProtocolIsEncodedAsItWas(t *testing.T) {
	all, err := allDissectors()
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, d := range all {
		files, err := filepath.Glob(filepath.Join("..", "..", "internal", "dissect", "testdata", d.Name()+".txt"))
		if err != nil {
			t.Fatal(err)
		}
		more, err := filepath.Glob(filepath.Join("..", "..", "internal", "dissect", "testdata", d.Name(), "*.txt"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range append(files, more...) {
			seen++
			for _, line := range strings.Split(readText(t, name), "\n") {
				from, digits, ok := strings.Cut(line, "> ")
				if ok && (from == "client" || from == "server") && !strings.HasPrefix(digits, "'") {
					pasteRoundTrip(t, d.Name(), digits)
				}
			}
		}
	}
	if seen < 5 {
		t.Errorf("only %d golden files", seen)
	}
}

func readText(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
