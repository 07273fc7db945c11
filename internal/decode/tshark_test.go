package decode

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// tsharkProgram is the installed tshark; without it the test is skipped. The recordings
// have what tshark says in files, too: see TestAgreesWithTshark.
func tsharkProgram(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("starts a slow program many times")
	}
	path, err := exec.LookPath("tshark")
	if err != nil {
		t.Skip("tshark is not installed (Debian: tshark)")
	}
	return path
}

// asked is what tshark is asked about each frame, and the names of ours.
var asked = []struct {
	theirs string
	ours   []string
	texts  bool
}{
	{"mqtt.msgtype", []string{"type"}, false},
	{"mqtt.len", []string{"remaining length"}, false},
	{"mqtt.msgid", []string{"packet id"}, false},
	{"mqtt.topic", []string{"topic", "topic filter"}, true},
	{"mqtt.clientid", []string{"client id"}, true},
	{"mqtt.property_len", []string{"property length", "will property length"}, false},
}

// frames is what the packets that end in a frame say, by the frame's number.
type framed map[string]string

// byTsharkNow runs tshark on a file.
func byTsharkNow(t *testing.T, path string) framed {
	t.Helper()
	args := []string{
		"-n", "-r", path, "-o", "tcp.reassemble_out_of_order:TRUE", "-d", "tcp.port==1883,mqtt", "-d", "tcp.port==1885,mqtt", "-Y", "mqtt",
		"-T", "fields", "-E", "aggregator=|", "-E", "separator=/t", "-e", "frame.number",
	}
	for _, a := range asked {
		args = append(args, "-e", a.theirs)
	}
	cmd := exec.CommandContext(t.Context(), tsharkProgram(t), args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("tshark: %v\n%s", err, complaint.Bytes())
	}
	all := framed{}
	for line := range strings.Lines(string(out)) {
		number, rest, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		all[number] = rest
	}
	return all
}

// byUs is the same by an engine. A topic that stands for an alias is the topic.
func byUs(c *collector) framed {
	columns := map[string][][]string{}
	for _, p := range c.of("mqtt") {
		if len(p.Frames) == 0 || p.Err != nil {
			continue
		}
		key := fmt.Sprint(p.Frames[len(p.Frames)-1])
		if columns[key] == nil {
			columns[key] = make([][]string, len(asked))
		}
		for i, a := range asked {
			columns[key][i] = append(columns[key][i], valuesOf(p.Fields, a.ours, a.texts)...)
		}
	}
	all := framed{}
	for key, c := range columns {
		var texts []string
		for _, values := range c {
			texts = append(texts, strings.Join(values, "|"))
		}
		all[key] = strings.Join(texts, "\t")
	}
	return all
}

// agree compares them frame by frame.
func agree(t *testing.T, path string, least int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	theirs, ours := byTsharkNow(t, path), byUs(decodeFile(t, bytes.NewReader(b), Options{}))
	for frame, want := range theirs {
		if got := ours[frame]; got != want {
			t.Errorf("frame %s:\n  ours   %q\n  tshark %q", frame, got, want)
		}
	}
	for frame, got := range ours {
		if _, ok := theirs[frame]; !ok {
			t.Errorf("frame %s: tshark does not have %q", frame, got)
		}
	}
	if len(ours) < least {
		t.Errorf("%d frames with packets", len(ours))
	}
}

// TestTsharkOnRecordings has the installed tshark read what it reads well.
func TestTsharkOnRecordings(t *testing.T) {
	for _, name := range []string{
		"ipfixprobe-mqtt.pcap", "rec-sll.pcapng", "rec-tcp-v311-burst.pcapng", "rec-tcp-v311-rich.pcapng", "sv-mqtt-connect-rules.pcap",
		"sv-mqtt31-pub-qos1.pcap", "sv-mqtt311-unsub-qos1.pcap", "sv-mqtt5-unsub-userpass.pcap", "var-onebyte-v311.pcap", "var-reorder-v311.pcap",
	} {
		t.Run(name, func(t *testing.T) { agree(t, filepath.Join(dissecttest.Captures(t), name), 2) })
	}
}

// TestTsharkOnOtherLayers puts a recorded stream into other frames.
func TestTsharkOnOtherLayers(t *testing.T) {
	c := decodeFile(t, openCapture(t, "rec-tcp-v311-rich.pcapng"), Options{})
	for name, l := range map[string]struct {
		link uint32
		wrap func(ip []byte) [][]byte
	}{
		"VLAN": {1, func(ip []byte) [][]byte { return [][]byte{append(ethernet(0x8100, 0x0800), ip...)} }},
		"QinQ": {1, func(ip []byte) [][]byte { return [][]byte{append(ethernet(0x88a8, 0x8100, 0x0800), ip...)} }},
		"SLL":  {113, func(ip []byte) [][]byte { return [][]byte{append(cooked, ip...)} }},
		"SLL2": {276, func(ip []byte) [][]byte { return [][]byte{append(cooked2, ip...)} }},
		"raw":  {101, func(ip []byte) [][]byte { return [][]byte{ip} }},
		"fragments": {1, func(ip []byte) [][]byte {
			return fragments(ip, 24, func(ip []byte) []byte { return append(ethernet(0x0800), ip...) })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "capture.pcap")
			var b bytes.Buffer
			f := newFileOf(&b, l.link, l.wrap)
			f.handshake()
			for _, p := range c.packets {
				f.segment(p.Direction, p.Bytes)
			}
			if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil || f.err != nil {
				t.Fatal(err, f.err)
			}
			agree(t, path, 28)
		})
	}
}

// cooked and cooked2 are headers of Linux's capture on any interface.
var (
	cooked  = []byte{0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00}
	cooked2 = []byte{0x08, 0x00, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0}
)

// fragments cuts a packet of IPv4 into such of size bytes, the last first.
func fragments(ip []byte, size int, wrap func([]byte) []byte) (all [][]byte) {
	head, rest := ip[:20], ip[20:]
	id := binary.BigEndian.Uint16(ip[2:])<<8 ^ binary.BigEndian.Uint16(ip[26:])
	for off := 0; off < len(rest) || off == 0; off += size {
		part := rest[off:min(off+size, len(rest))]
		h := slices.Clone(head)
		binary.BigEndian.PutUint16(h[2:], uint16(20+len(part)))
		binary.BigEndian.PutUint16(h[4:], id)
		flags := uint16(off / 8)
		if off+size < len(rest) {
			flags |= 0x2000
		}
		binary.BigEndian.PutUint16(h[6:], flags)
		all = append(all, wrap(append(h, part...)))
	}
	slices.Reverse(all)
	return all
}

// TestTsharkOnReorderedSegments has it put segments into order.
func TestTsharkOnReorderedSegments(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capture.pcap")
	var b bytes.Buffer
	burst(t, &b, func(i int) int { return i ^ 1 }, -1)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	theirs, ours := byTsharkNow(t, path), decodeFile(t, &b, Options{})
	count := 0
	for _, columns := range theirs {
		count += len(strings.Split(strings.Split(columns, "\t")[0], "|"))
	}
	if n := len(ours.of("mqtt")); n != count || n != 245 {
		t.Errorf("%d packets, tshark has %d", n, count)
	}
}

// TestTsharkBeforeAGap: up to the lost segment both read the same.
func TestTsharkBeforeAGap(t *testing.T) {
	path := filepath.Join(t.TempDir(), "capture.pcap")
	var b bytes.Buffer
	burst(t, &b, func(i int) int { return i }, 3)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	c := decodeFile(t, &b, Options{})
	theirs, ours := byTsharkNow(t, path), byUs(c)
	compared := 0
	for _, p := range c.of("mqtt") {
		if p.Err != nil || p.Direction == dissect.FromServer && p.Offset > 3*200 {
			break
		}
		key := fmt.Sprint(p.Frames[len(p.Frames)-1])
		if compared++; ours[key] != theirs[key] {
			t.Errorf("frame %s:\n  ours   %q\n  tshark %q", key, ours[key], theirs[key])
		}
	}
	if compared < 100 {
		t.Errorf("%d packets compared", compared)
	}
}
