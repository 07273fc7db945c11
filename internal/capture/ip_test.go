package capture

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// datagram4 is a UDP datagram in IPv4, from port 40000 to 5683.
func datagram4(data string) []byte {
	udp := append([]byte{0x9c, 0x40, 0x16, 0x33, 0, byte(8 + len(data)), 0, 0}, data...)
	return ipv4(0, protoUDP, udp)
}

func ipv4(fragment uint16, proto byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{4<<4 | 5, 0}, uint16(20+len(payload)))
	b = append(b, 0, 77)
	b = binary.BigEndian.AppendUint16(b, fragment)
	return append(append(b, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2), payload...)
}

func ipv6(proto byte, payload []byte) []byte {
	b := binary.BigEndian.AppendUint16([]byte{6 << 4, 0, 0, 0}, uint16(len(payload)))
	b = append(b, proto, 64)
	b = append(b, unhex("fd000000000000000000000000000001fd000000000000000000000000000002")...)
	return append(b, payload...)
}

// readFrames reads frames of a link layer.
func readFrames(t *testing.T, link uint32, frames ...[]byte) (string, *Reader) {
	t.Helper()
	file := pcapHeader(link)
	for i, f := range frames {
		file = appendRecord(file, int64(i)*1000, f)
	}
	r, err := Open(bytes.NewReader(file), Options{})
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for {
		c, err := r.Next()
		if err != nil {
			return strings.Join(words, " "), r
		}
		words = append(words, fmt.Sprintf("%s>%s %s %v", c.Flow.Client, c.Flow.Server, c.Bytes, c.Frames))
	}
}

func TestLinkLayers(t *testing.T) {
	four := datagram4("hi")
	six := ipv6(protoUDP, four[20:])
	const want4, want6 = "10.0.0.1:40000>10.0.0.2:5683 hi [1]", "[fd00::1]:40000>[fd00::2]:5683 hi [1]"
	mac := unhex("000102030405060708090a0b")
	for _, tt := range []struct {
		name   string
		link   uint32
		header string
		ip     []byte
		want   string
	}{
		{"Ethernet", linkEthernet, "0800", four, want4},
		{"Ethernet, IPv6", linkEthernet, "86dd", six, want6},
		{"Ethernet, padded", linkEthernet, "0800", append(bytes.Clone(four), make([]byte, 18)...), want4},
		{"VLAN", linkEthernet, "8100 0064 0800", four, want4},
		{"QinQ", linkEthernet, "88a8 0001 8100 0064 86dd", six, want6},
		{"older QinQ", linkEthernet, "9100 0001 8100 0064 0800", four, want4},
		{"cooked", linkSLL, "0000 0001 0006 000102030405 0000 0800", four, want4},
		{"cooked, VLAN", linkSLL, "0000 0001 0006 000102030405 0000 8100 0064 0800", four, want4},
		{"cooked v2", linkSLL2, "86dd 0000 00000001 0001 00 06 0001020304050000", six, want6},
		{"raw", linkRaw, "", four, want4},
		{"raw, BSD", linkRawBSD, "", six, want6},
		{"raw, OpenBSD", linkRawOpen, "", six, want6},
		{"raw IPv4", linkIPv4, "", four, want4},
		{"raw IPv6", linkIPv6, "", six, want6},
		{"BSD loopback", linkNull, "02000000", four, want4},
		{"BSD loopback of another order", linkNull, "0000001e", six, want6},
		{"OpenBSD loopback", linkLoop, "00000018", six, want6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			frame := append(unhex(tt.header), tt.ip...)
			if tt.link == linkEthernet {
				frame = append(bytes.Clone(mac), frame...)
			}
			if got, _ := readFrames(t, tt.link, frame); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			for n := range frame {
				readFrames(t, tt.link, frame[:n]) // does not panic
			}
		})
	}
}

func TestExtensionHeaders(t *testing.T) {
	udp := datagram4("hi")[20:]
	for _, tt := range []struct {
		name    string
		proto   byte
		headers string
		want    bool
	}{
		{"hop-by-hop", protoHops, "11 00 010400000000", true},
		{"several", protoHops, "2b 00 010400000000  3c 01 0400000000000000000000000000 11 00 010400000000", true},
		{"authentication", protoAH, "11 02 0000 00000001 00000002 00000003", true},
		{"one fragment", protoFragment, "11 00 0000 00000001", true},
		{"ESP", 50, "00000001", false},
		{"none", 59, "", false},
		{"too long", protoHops, "11 ff 010400000000", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, _ := readFrames(t, linkRaw, ipv6(tt.proto, append(unhex(tt.headers), udp...)))
			if (got != "") != tt.want {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestTunnels(t *testing.T) {
	inner := datagram4("hi")
	if got, _ := readFrames(t, linkRaw, ipv6(protoIPv4, inner), ipv4(0, protoIPv6, ipv6(protoUDP, inner[20:]))); strings.Count(got, " hi ") != 2 {
		t.Errorf("got %q", got)
	}
	deep := inner
	for range 50 {
		deep = ipv4(0, protoIPv4, deep)
	}
	if got, _ := readFrames(t, linkRaw, deep); got != "" {
		t.Errorf("got %q", got)
	}
}

// pieces cuts a datagram into fragments of n bytes.
func pieces(v6 bool, n int) [][]byte {
	udp := datagram4("abcdefghijklmnopqrstuvwxyz")[20:]
	var all [][]byte
	for off := 0; off < len(udp); off += n {
		part := udp[off:min(off+n, len(udp))]
		more := uint16(0)
		if off+n < len(udp) {
			more = 1
		}
		if v6 {
			h := binary.BigEndian.AppendUint16([]byte{protoUDP, 0}, uint16(off)|more)
			all = append(all, ipv6(protoFragment, append(append(h, 0, 0, 0, 77), part...)))
		} else {
			all = append(all, ipv4(uint16(off/8)|more<<13, protoUDP, part))
		}
	}
	return all
}

func TestFragments(t *testing.T) {
	const alphabet = "abcdefghijklmnopqrstuvwxyz"
	for _, v6 := range []bool{false, true} {
		for _, tt := range []struct {
			name    string
			order   []int
			whole   bool
			missing int // fragments told of
		}{
			{"in order", []int{0, 1, 2, 3, 4}, true, 0},
			{"backwards", []int{4, 3, 2, 1, 0}, true, 0},
			{"mixed", []int{2, 0, 4, 1, 3}, true, 0},
			{"one twice", []int{0, 1, 1, 2, 3, 4}, true, 0},
			{"one missing", []int{0, 1, 3, 4}, false, 4},
		} {
			t.Run(fmt.Sprintf("%s/v6=%v", tt.name, v6), func(t *testing.T) {
				all := pieces(v6, 8)
				var frames [][]byte
				for _, i := range tt.order {
					frames = append(frames, all[i])
				}
				got, r := readFrames(t, linkRaw, frames...)
				if strings.Contains(got, alphabet) != tt.whole {
					t.Errorf("got %q", got)
				}
				if tt.whole && !strings.Contains(got, fmt.Sprint(slices.Collect(numbers(tt.order)))) {
					t.Errorf("frames of %q", got)
				}
				if n := r.count.skipped[skipFragments]; n != tt.missing {
					t.Errorf("%d fragments left, want %d", n, tt.missing)
				}
			})
		}
		// Fragments that overlap and differ are attacks, and are dropped.
		all := pieces(v6, 8)
		other := bytes.Clone(all[1])
		other[len(other)-1]++
		if got, _ := readFrames(t, linkRaw, all[0], all[1], other, all[2], all[3], all[4]); got != "" {
			t.Errorf("overlap: got %q", got)
		}
	}
}

// numbers are those of the frames that are needed first of each piece, from 1.
func numbers(order []int) func(func(int) bool) {
	return func(yield func(int) bool) {
		seen := map[int]bool{}
		for i, piece := range order {
			if !seen[piece] && !yield(i+1) {
				return
			}
			seen[piece] = true
		}
	}
}

// TestFragmentsAreBounded has many packets of which the last fragment never comes.
func TestFragmentsAreBounded(t *testing.T) {
	var frames [][]byte
	for id := range 5 * maxFragmented {
		f := bytes.Clone(pieces(false, 8)[0])
		binary.BigEndian.PutUint16(f[4:], uint16(id))
		frames = append(frames, f)
	}
	_, r := readFrames(t, linkRaw, frames...)
	if n := r.count.skipped[skipFragments]; n != len(frames) || len(r.fragments.byKey) > 0 || r.fragments.size != 0 {
		t.Errorf("%d of %d dropped, %d kept with %d bytes", n, len(frames), len(r.fragments.byKey), r.fragments.size)
	}
}

// TestWhoIsTheServer has datagrams whose ports tell it.
func TestWhoIsTheServer(t *testing.T) {
	for _, tt := range []struct {
		from, to uint16
		server   uint16
	}{
		{40000, 5683, 5683},
		{5683, 40000, 5683},
		{1883, 900, 1883},
		{900, 1883, 1883},
		{1000, 2000, 1000},
		{2000, 1000, 1000},
		{50000, 60000, 60000},
		{60000, 50000, 50000},
		{8883, 1883, 1883},
	} {
		b := datagram4("x")
		binary.BigEndian.PutUint16(b[20:], tt.from)
		binary.BigEndian.PutUint16(b[22:], tt.to)
		if got, _ := readFrames(t, linkRaw, b); !strings.Contains(got, fmt.Sprintf(":%d x", tt.server)) {
			t.Errorf("%d to %d: %s", tt.from, tt.to, got)
		}
	}
}
