package capture

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gopacket/gopacket"
	"github.com/gopacket/gopacket/layers"
	"github.com/gopacket/gopacket/pcapgo"

	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// TestAnotherReaderAgrees reads every capture with another library, too: its frames,
// their times, and the datagrams and segments in them.
func TestAnotherReaderAgrees(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(dissecttest.Captures(t), "*.pcap*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, path := range files {
		if strings.HasSuffix(path, ".json") {
			continue
		}
		seen++
		t.Run(filepath.Base(path), func(t *testing.T) {
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if strings.HasSuffix(path, ".gz") {
				z, err := gzip.NewReader(bytes.NewReader(raw))
				if err != nil {
					t.Fatal(err)
				}
				if raw, err = io.ReadAll(z); err != nil {
					t.Fatal(err)
				}
			}
			compareFrames(t, raw)
		})
	}
	if seen < 30 {
		t.Skipf("no captures: %d files", seen)
	}
}

// compareFrames returns how many frames both readers have found.
func compareFrames(t *testing.T, raw []byte) int {
	t.Helper()
	r, err := Open(bytes.NewReader(raw), Options{})
	if err != nil {
		t.Fatal(err)
	}
	type source interface {
		ReadPacketData() ([]byte, gopacket.CaptureInfo, error)
		LinkType() layers.LinkType
	}
	var other source
	if bytes.HasPrefix(raw, []byte{0x0a, 0x0d, 0x0d, 0x0a}) {
		other, err = pcapgo.NewNgReader(bytes.NewReader(raw), pcapgo.NgReaderOptions{WantMixedLinkType: true, SkipUnknownVersion: true})
	} else {
		other, err = pcapgo.NewReader(bytes.NewReader(raw))
	}
	if err != nil {
		t.Fatal(err)
	}
	for n := 1; ; n++ {
		want, info, err := other.ReadPacketData()
		var got frame
		gotErr := r.frames.next(&got)
		if errors.Is(err, io.EOF) && errors.Is(gotErr, io.EOF) {
			return n - 1
		}
		if err != nil || gotErr != nil {
			t.Fatalf("frame %d: %v and %v", n, gotErr, err)
		}
		if got.number != n || !bytes.Equal(got.data, want) || got.wire != info.Length ||
			got.time != noTime && !instant(got.time).Equal(info.Timestamp) {
			t.Fatalf("frame %d: %d of %d bytes at %v, want %d of %d at %v",
				got.number, len(got.data), got.wire, instant(got.time), len(want), info.Length, info.Timestamp)
		}
		compareLayers(t, &got, want)
	}
}

// compareLayers compares what is in a frame.
func compareLayers(t *testing.T, f *frame, b []byte) {
	t.Helper()
	if f.link == linkNull || f.link == linkLoop {
		b = b[4:] // its order is that of the file, which the other does not know
	}
	p := gopacket.NewPacket(b, firstLayer(f.link), gopacket.Default)
	var want []byte
	datagram := false
	if tcp, ok := p.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
		want = tcp.Payload
	} else if udp, ok := p.Layer(layers.LayerTypeUDP).(*layers.UDP); ok {
		want, datagram = udp.Payload, true
	}
	r := newReader(&someFrames{[]frame{*f}}, Options{})
	c, err := r.Next()
	if errors.Is(err, io.EOF) && len(want) == 0 {
		return
	}
	if err != nil || !bytes.Equal(c.Bytes, want) || c.Datagram != datagram {
		t.Errorf("frame %d: %x, want %x: %v", f.number, c.Bytes, want, err)
	}
}

func firstLayer(link uint32) gopacket.Decoder {
	switch link {
	case linkEthernet:
		return layers.LayerTypeEthernet
	case linkSLL:
		return layers.LayerTypeLinuxSLL
	case linkSLL2:
		return layers.LayerTypeLinuxSLL2
	}
	return layers.LinkTypeRaw
}
