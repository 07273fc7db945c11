package mqtt

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"path/filepath"
	"slices"
	"testing"
)

type direction struct {
	Bytes  int
	SHA256 string
	PDUs   []struct {
		Off, Size int
		Cmd       string
		Packet    decoded
		Error     string
	}
}

// TestStreamsOfAnotherParser writes every packet that mqtt-packet read out of
// the recordings and compares the bytes of each direction with the digest of
// the recorded ones, then reads them back packet by packet.
func TestStreamsOfAnotherParser(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(captures(t), "*.streams.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 20 {
		t.Skipf("no captures: %d streams", len(files))
	}
	packets, exact := 0, 0
	for _, path := range files {
		var file struct {
			Capture string
			Streams []struct {
				Version        Version    `json:"version_from_connect"`
				ClientToServer *direction `json:"client_to_server"`
				ServerToClient *direction `json:"server_to_client"`
			}
		}
		readJSON(t, path, &file)
		t.Run(file.Capture, func(t *testing.T) {
			for _, s := range file.Streams {
				v := cmp.Or(s.Version, V311)
				for _, d := range []*direction{s.ClientToServer, s.ServerToClient} {
					if d == nil {
						continue
					}
					server := d == s.ServerToClient
					if compareDirection(t, d, Options{Version: v, FromServer: server}) {
						exact++
					}
					packets += len(d.PDUs)
				}
			}
		})
	}
	t.Logf("%d packets, %d directions equal byte by byte", packets, exact)
}

// compareDirection reports whether the digest could be compared.
func compareDirection(t *testing.T, d *direction, o Options) bool {
	var stream []byte
	opaque := false
	for i, pdu := range d.PDUs {
		if pdu.Error != "" {
			// A recorded PUBLISH with QoS 3, refused by both and never written.
			// [MQTT3-3.3.1-4]
			t.Logf("packet %d left out: %s", i, pdu.Error)
			stream, opaque = append(stream, make([]byte, pdu.Size)...), true
			continue
		}
		pdu.Packet.Cmd = pdu.Cmd
		want := pdu.Packet.packet(o.Version, nil)
		raw, err := want.Append(nil, o.Version)
		if err != nil {
			t.Fatalf("packet %d: %v", i, err)
		}
		if digest := pdu.Packet.Payload.sha256; digest != "" {
			// Only the size of the payload is known: it is part of Size.
			p := want.(Publish)
			p.Payload = make([]byte, pdu.Packet.Payload.size)
			want, opaque = p, true
			if raw, err = p.Append(nil, o.Version); err != nil {
				t.Fatal(err)
			}
		}
		if len(raw) == 4 && pdu.Size == 6 {
			raw = longForm(raw)
		}
		if pdu.Off != len(stream) || pdu.Size != len(raw) {
			t.Errorf("packet %d, %s: at %d with %d bytes, recorded at %d with %d: %x", i, pdu.Cmd, len(stream), len(raw), pdu.Off, pdu.Size, raw)
		}
		stream = append(stream, raw...)
		got, n, err := Parse(stream[len(stream)-len(raw):], o)
		if err != nil || n != len(raw) {
			t.Errorf("packet %d, %s: parsed %d of %d bytes: %v", i, pdu.Cmd, n, len(raw), err)
		}
		if diff := cmpDiff(want, got); diff != "" {
			t.Errorf("packet %d (-want +got):\n%s", i, diff)
		}
	}
	if len(stream) != d.Bytes {
		t.Errorf("%d bytes, recorded %d", len(stream), d.Bytes)
	}
	if opaque {
		return false
	}
	sum := sha256.Sum256(stream)
	if got := hex.EncodeToString(sum[:]); got != d.SHA256 {
		t.Errorf("digest %s, recorded %s", got, d.SHA256)
		return false
	}
	return true
}

// longForm turns an acknowledgement without reason code and properties into
// one that writes both as 0, as MQTT.js does. (MQTT-3.4.2.1 lets the sender
// choose.)
func longForm(b []byte) []byte {
	return append(slices.Concat([]byte{b[0], 4}, b[2:]), 0, 0)
}
