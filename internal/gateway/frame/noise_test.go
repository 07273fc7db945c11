package frame_test

import (
	"io"
	"log/slog"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
)

// What came that is no frame is told at the end of the connection.
func TestBytesThatAreNoFrame(t *testing.T) {
	for _, tt := range []struct{ name, codec, data, want string }{
		{"hex as text", "gt06", "7878 0d01 0123\n", `codec=gt06 bytes=15 first="37 38 37 38 20 30 64 30 31 20 30 31 32 33 0a" looks_like="hex as text: send the bytes themselves"`},
		{"HTTP", "gt06", "GET / HTTP/1.1\r\nHost: a\r\n\r\n", `bytes=27 first="47 45 54 20 2f 20 48 54 54 50 2f 31 2e 31 0d 0a" looks_like=HTTP`},
		{"MQTT", "jt808", "\x10\x0c\x00\x04MQTT\x04\x02\x00\x3c\x00\x00", `bytes=14 first="10 0c 00 04 4d 51 54 54 04 02 00 3c 00 00" looks_like=MQTT`},
		{"TLS", "lines", "\x16\x03\x01\x02\x00\x01", `codec=lines bytes=6 first="16 03 01 02 00 01" looks_like=TLS`},
		{"one byte", "gt06", "\x78", `bytes=1 first=78`},
		{"noise and the beginning of a frame", "gt06", "\x00\x00\x78\x78\x0d\x01\x01", `bytes=7 first="00 00 78 78 0d 01 01"`},
		{"a protocol that does not resynchronise", "teltonika8", "POST / HTTP/1.0\r\n", `looks_like=HTTP`},
		{"too much", "gt06", strings.Repeat("no", 5000), `first="6e 6f 6e 6f 6e 6f 6e 6f 6e 6f 6e 6f 6e 6f 6e 6f"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := start(t, tt.codec, frame.Config{}, broker.Config{})
			d := s.dial()
			d.write([]byte(tt.data))
			_ = d.nc.(interface{ CloseWrite() error }).CloseWrite()
			s.log.Wants(t, `msg="bytes that are no frame"`)
			if line := lineWith(s.log, "bytes that are no frame"); !strings.Contains(line, tt.want) || !strings.Contains(line, "level=INFO") {
				t.Errorf("%s\nwant %s", line, tt.want)
			}
		})
	}
}

func lineWith(j *gatewaytest.Journal, text string) string {
	for line := range strings.Lines(j.String()) {
		if strings.Contains(line, text) {
			return line
		}
	}
	return ""
}

// Many such connections make few lines at info, and devices none at all.
func TestNoiseDoesNotFillTheLog(t *testing.T) {
	log := &gatewaytest.Journal{}
	s := start(t, "gt06", frame.Config{Logger: slog.New(slog.NewTextHandler(log, nil))}, broker.Config{})
	const many = 200
	for range many {
		d := s.dial()
		d.write([]byte("noise"))
		_ = d.nc.(interface{ CloseWrite() error }).CloseWrite()
		if _, err := io.Copy(io.Discard, d.nc); err != nil {
			t.Fatal(err)
		}
	}
	if n := strings.Count(log.String(), "bytes that are no frame"); n == 0 || n > many/2 {
		t.Errorf("%d lines of %d connections", n, many)
	}

	s = start(t, "gt06", frame.Config{}, broker.Config{})
	d := s.dial()
	d.send("00 7878 0d01 0123456789012345 0001 8cdd 0d0a 78")
	_ = d.nc.(interface{ CloseWrite() error }).CloseWrite()
	s.log.Wants(t, "connection ended")
	s.stop()
	if strings.Contains(s.log.String(), "bytes that are no frame") {
		t.Errorf("a device: %s", s.log)
	}
}

// A wrong checksum is told with the right one, and the frame at debug, as hex for
// the tests of a definition.
func TestWrongChecksumIsExplained(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{})
	d := s.dial()
	d.send("7878 0d01 0123456789012345 0001 8cde 0d0a")
	s.log.Wants(t, `err="wrong checksum: crc16-x25 over bytes 2 to 13 is 8C DD, bytes 14 to 15 are 8C DE"`)
	s.log.Wants(t, `msg="frame in hex" `)
	s.log.Wants(t, `hex=78780d01012345678901234500018cde0d0a`)
}

// What a device sends before its login may hold its password.
func TestFramesWithPasswordsAreNotDumped(t *testing.T) {
	const source = "codec: secret\nframing: {start: \"aa\", fixed: 4}\nchecksum: {algo: sum8, range: [0, -1], at: -1}\n" +
		"fields: [{name: pw, type: hex, size: 2, at: 1}]\nmessage: login\ndevice_id: pw\nsession: {require: login, password: pw}\n"
	s := start(t, "secret", frame.Config{Codecs: []frame.Definition{{Name: "secret.yaml", Source: source}}}, broker.Config{})
	d := s.dial()
	d.send("aa beef 00")
	s.log.Wants(t, "wrong checksum: ")
	d.send("aa beef 57")
	s.log.Wants(t, "device connected")
	if strings.Contains(s.log.String(), "frame in hex") {
		t.Errorf("%s", s.log)
	}
	d.send("aa beef 01")
	s.log.Wants(t, "hex=aabeef01")
}
