package capture

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect"
)

// write writes a conversation in a capture.
func write(t *testing.T, client, server netip.AddrPort, big []byte) []byte {
	t.Helper()
	var file bytes.Buffer
	at := time.Unix(1_800_000_000, 123456789)
	w, err := NewWriter(&file, "iotctl test")
	if err != nil {
		t.Fatal(err)
	}
	c, err := w.Open(client, server, at, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		from    dissect.Direction
		bytes   []byte
		comment string
	}{
		{dissect.FromClient, connect, "as it was sent: żółw"},
		{dissect.FromServer, unhex("20020000"), ""},
		{dissect.FromClient, big, "large"},
		{dissect.FromServer, nil, "a PUBACK was dropped here"},
	} {
		at = at.Add(time.Millisecond)
		if err := w.Data(c, step.from, at, step.bytes, step.comment); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(c, dissect.FromClient, at.Add(time.Second), ""); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// publish is a PUBLISH of size bytes of payload.
func publish(size int) []byte {
	n := size + 3
	b := []byte{0x30, byte(n&127 | 128), byte(n>>7&127 | 128), byte(n >> 14), 0, 1, 'a'}
	return append(b, bytes.Repeat([]byte{'x'}, size)...)
}

func TestWrittenCaptureIsRead(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("10.1.2.3:40000"), netip.MustParseAddrPort("[fd00::7]:40001")
	for _, tt := range []struct {
		name                       string
		client, server             netip.AddrPort
		expectClient, expectServer string
	}{
		{"IPv4", v4, netip.MustParseAddrPort("10.1.2.4:1883"), "10.1.2.3:40000", "10.1.2.4:1883"},
		{"IPv6", v6, netip.MustParseAddrPort("[fd00::1]:8883"), "[fd00::7]:40001", "[fd00::1]:8883"},
		{"both", v6, netip.MustParseAddrPort("10.1.2.4:1883"), "[fd00::7]:40001", "10.1.2.4:1883"},
		{"mapped", netip.MustParseAddrPort("[::ffff:10.1.2.3]:40000"), netip.MustParseAddrPort("10.1.2.4:1883"), "10.1.2.3:40000", "10.1.2.4:1883"},
		{"Unix sockets", netip.AddrPort{}, netip.AddrPort{}, "192.0.2.2:40001", "192.0.2.1:1883"},
		{"one Unix socket", v6, netip.AddrPort{}, "[fd00::7]:40001", "[2001:db8::1]:1883"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			big := publish(150_000)
			file := write(t, tt.client, tt.server, big)
			r, err := Open(bytes.NewReader(file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			streams := collect(t, r)
			if len(streams) != 2 {
				t.Fatalf("%d streams", len(streams))
			}
			f := streams[0].flow
			if f.Client.String() != tt.expectClient || f.Server.String() != tt.expectServer || f.Joined {
				t.Errorf("flow %+v", f)
			}
			want := append(bytes.Clone(connect), big...)
			if !bytes.Equal(streams[0].bytes, want) || !bytes.Equal(streams[1].bytes, unhex("20020000")) {
				t.Errorf("%d and %d bytes", len(streams[0].bytes), len(streams[1].bytes))
			}
			if !streams[0].ended || !streams[1].ended || len(r.Notes()) > 0 {
				t.Errorf("ended %v and %v, notes %q", streams[0].ended, streams[1].ended, r.Notes())
			}
		})
	}
}

func TestWrittenCaptureHasTimesAndComments(t *testing.T) {
	file := write(t, netip.AddrPort{}, netip.AddrPort{}, publish(10))
	r, err := Open(bytes.NewReader(file), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var comments []string
	for {
		c, err := r.Next()
		if err != nil {
			break
		}
		if want := time.Unix(1_800_000_000, 124456789); len(comments) == 0 && !c.Time.Equal(want) {
			t.Errorf("at %v, want %v", c.Time, want)
		}
		comments = append(comments, fmt.Sprintf("%d %q", len(c.Bytes), c.Comment))
	}
	want := `14 "as it was sent: żółw", 4 "", 17 "large", 0 "a PUBACK was dropped here", 0 "", 0 ""`
	if got := strings.Join(comments, ", "); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

// TestAnotherProgramReadsWrittenCapture has tshark look at checksums, sequence numbers,
// comments and the packets inside.
func TestAnotherProgramReadsWrittenCapture(t *testing.T) {
	for _, tt := range []struct{ name, client, server string }{
		{"IPv4", "10.1.2.3:40000", "10.1.2.4:1883"},
		{"IPv6", "[fd00::7]:40001", "[fd00::1]:1883"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "x.pcapng")
			file := write(t, netip.MustParseAddrPort(tt.client), netip.MustParseAddrPort(tt.server), publish(150_000))
			if err := os.WriteFile(path, file, 0o600); err != nil {
				t.Fatal(err)
			}
			out := tool(t, nil, "tshark", "-r", path, "-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE",
				"-T", "fields", "-E", "separator=|", "-e", "mqtt.msgtype", "-e", "frame.comment",
				"-e", "ip.checksum.status", "-e", "tcp.checksum.status", "-e", "_ws.expert")
			var types, comments []string
			for line := range strings.Lines(out) {
				f := strings.Split(strings.TrimSpace(line), "|")
				if len(f) != 5 {
					continue // "Running as user root"
				}
				types, comments = append(types, f[0]), append(comments, f[1])
				if f[2] != "1" && tt.name == "IPv4" || f[3] != "1" {
					t.Errorf("checksums are wrong: %q", line)
				}
				for _, problem := range []string{"etransmission", "not captured", "Malformed", "unseen", "Duplicate"} {
					if strings.Contains(f[4], problem) {
						t.Errorf("tshark says %q", f[4])
					}
				}
			}
			if got := strings.Join(types, ","); got != ",,,1,2,,,3,,,," {
				t.Errorf("types %s\n%s", got, out)
			}
			if got := strings.Join(comments, ","); got != ",,,as it was sent: żółw,,large,,,a PUBACK was dropped here,,," {
				t.Errorf("comments %s", got)
			}
		})
	}
}
