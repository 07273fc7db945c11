package capture

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// block makes a block of pcapng.
func block(order binary.AppendByteOrder, kind uint32, body []byte) []byte {
	for len(body)%4 != 0 {
		body = append(body, 0)
	}
	n := uint32(len(body) + 12)
	b := order.AppendUint32(nil, kind)
	b = order.AppendUint32(b, n)
	b = append(b, body...)
	return order.AppendUint32(b, n)
}

func option(order binary.AppendByteOrder, code uint16, value []byte) []byte {
	b := order.AppendUint16(nil, code)
	b = order.AppendUint16(b, uint16(len(value)))
	b = append(b, value...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return b
}

func section(order binary.AppendByteOrder, options ...[]byte) []byte {
	b := order.AppendUint32(nil, byteOrder)
	b = order.AppendUint32(b, binary.NativeEndian.Uint32([]byte{0, 0, 0, 0}))
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b[5] = 1
	} else {
		b[4] = 1
	}
	b = order.AppendUint64(b, math.MaxUint64)
	return block(order, blockSection, append(b, slices.Concat(options...)...))
}

func netifBlock(order binary.AppendByteOrder, link uint16, snap uint32, options ...[]byte) []byte {
	b := order.AppendUint16(nil, link)
	b = order.AppendUint16(b, 0)
	b = order.AppendUint32(b, snap)
	return block(order, blockInterface, append(b, slices.Concat(options...)...))
}

func enhanced(order binary.AppendByteOrder, i uint32, t uint64, frame []byte, options ...[]byte) []byte {
	b := order.AppendUint32(nil, i)
	b = order.AppendUint32(b, uint32(t>>32))
	b = order.AppendUint32(b, uint32(t))
	b = order.AppendUint32(b, uint32(len(frame)))
	b = order.AppendUint32(b, uint32(len(frame)))
	b = append(b, frame...)
	for len(b)%4 != 0 {
		b = append(b, 0)
	}
	return block(order, blockPacket, append(b, slices.Concat(options...)...))
}

func TestPcapngBlocks(t *testing.T) {
	orders := map[string]binary.AppendByteOrder{"little-endian": binary.LittleEndian, "big-endian": binary.BigEndian}
	for name, o := range orders {
		t.Run(name, func(t *testing.T) {
			secret := "CLIENT_RANDOM " + strings.Repeat("ab", 32) + " " + strings.Repeat("cd", 48) + "\n"
			secrets := o.AppendUint32(nil, secretsKeyLog)
			secrets = o.AppendUint32(secrets, uint32(len(secret)))
			old := o.AppendUint16(nil, 0)
			old = o.AppendUint16(old, 0)
			old = o.AppendUint32(old, 0)
			old = o.AppendUint32(old, 7_000_000)
			frame := fromClient(104, "ef").ip()
			old = o.AppendUint32(o.AppendUint32(old, uint32(len(frame))), uint32(len(frame)))
			old = append(old, frame...)
			simple := fromClient(106, "gh").ip()
			other := binary.AppendByteOrder(binary.BigEndian)
			if name == "big-endian" {
				other = binary.LittleEndian
			}
			file := slices.Concat(
				section(o, option(o, optComment, []byte("a night in June"))),
				netifBlock(o, linkEthernet, 0, option(o, 2, []byte("eth0"))),
				netifBlock(o, linkRaw, 0, option(o, optResol, []byte{9}), option(o, optOffset, o.AppendUint64(nil, 100))),
				netifBlock(o, linkIPv4, 0, option(o, optResol, []byte{0x80 | 10})),
				block(o, 0x0bad, []byte("what nobody knows")),
				enhanced(o, 0, 5_000_000, fromClient(100, "ab").ethernet(), option(o, optComment, []byte("first")), option(o, 2, []byte{0, 0, 0, 1}), option(o, optComment, []byte("second"))),
				enhanced(o, 1, 5_000_000_001, fromClient(102, "cd").ip()),
				block(o, blockSecrets, append(secrets, secret...)),
				section(other), netifBlock(other, linkRaw, 0), // a file behind a file
				enhanced(other, 0, 6_000_000, segmentSpec{flow: 1, data: []byte("xy")}.ip()),
				section(o), netifBlock(o, linkRaw, 0),
				block(o, blockOld, old),
				block(o, blockSimple, append(o.AppendUint32(nil, uint32(len(simple))), simple...)),
			)
			r, err := Open(bytes.NewReader(file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			for _, want := range []struct {
				bytes, comment string
				at             time.Time
			}{
				{"ab", "first\nsecond", time.Unix(5, 0)},
				{"cd", "", time.Unix(105, 1)},
				{"xy", "", time.Unix(6, 0)},
				{"ef", "", time.Unix(7, 0)},
				{"gh", "", time.Time{}},
			} {
				c, err := r.Next()
				if err != nil || string(c.Bytes) != want.bytes || !c.Time.Equal(want.at) || c.Comment != want.comment {
					t.Errorf("%q at %v, %q, want %v: %v", c.Bytes, c.Time, c.Comment, want, err)
				}
			}
			if _, err := r.Next(); !errors.Is(err, io.EOF) {
				t.Error(err)
			}
			if r.KeyLog().Len() != 1 {
				t.Errorf("%d secrets", r.KeyLog().Len())
			}
			want := `pcapng, 5 interfaces, 3 sections, Ethernet, raw IP, raw IPv4, "a night in June"`
			if got := r.Describe(); got != want {
				t.Errorf("%s\nwant %s", got, want)
			}
		})
	}
}

func TestTimesOfInterfaces(t *testing.T) {
	for _, tt := range []struct {
		resolution byte
		offset     int64
		t          uint64
		want       int64
	}{
		{6, 0, 1_000_001, 1_000_001_000},
		{9, 0, 1_000_001, 1_000_001},
		{3, 0, 1_001, 1_001_000_000},
		{0, 0, 5, 5_000_000_000},
		{12, 0, 5_000_000_000_999, 5_000_000_000},
		{0x80, 0, 5, 5_000_000_000},
		{0x80 | 10, 0, 1024 + 512, 1_500_000_000},
		{0x80 | 32, 0, 3<<32 | 1<<31, 3_500_000_000},
		{6, -1, 1_000_001, 1_000},
		{6, 0, math.MaxUint64, noTime},
		{0, 0, math.MaxUint64, noTime},
		{20, 0, 1, noTime},
		{0x80 | 64, 0, 1, noTime},
		{6, math.MaxInt64, 1, noTime},
		{6, math.MinInt64, 1, noTime},
	} {
		var i netif
		i.resolution(tt.resolution)
		i.offset = tt.offset
		if got := i.nanoseconds(tt.t); got != tt.want {
			t.Errorf("%#x %d %d: %d, want %d", tt.resolution, tt.offset, tt.t, got, tt.want)
		}
	}
}

// TestDamagedCaptures has the error name the part, and everything before it delivered.
func TestDamagedCaptures(t *testing.T) {
	le := binary.AppendByteOrder(binary.LittleEndian)
	begin := slices.Concat(section(le), netifBlock(le, linkRaw, 0), enhanced(le, 0, 0, fromClient(100, "ab").ip()))
	classic := segments(fromClient(100, "ab"))
	held := segments(append(handshake(100), fromClient(105, "fg"))...)
	lengths := func(first, last uint32) []byte {
		b := block(le, blockPacket, make([]byte, 20))
		le := binary.LittleEndian
		le.PutUint32(b[4:], first)
		le.PutUint32(b[len(b)-4:], last)
		return b
	}
	for _, tt := range []struct {
		name    string
		file    []byte
		bytes   string
		problem string
		cutOff  bool
	}{
		{"record header cut off", append(bytes.Clone(classic), 1, 2, 3), "ab", "packet record 2 at byte 82: the capture ends after 3 of 16 bytes", true},
		{"record cut off", append(bytes.Clone(classic), classic[24:len(classic)-1]...), "ab", "packet record 2 at byte 82: the capture ends after 57 of 58 bytes", true},
		{"what waited is delivered", append(held, 1), "fg", "packet record 5 at byte 250: the capture ends after 1 of 16 bytes", true},
		{"record of 4 GiB", append(bytes.Clone(classic), bytes.Repeat([]byte{0xff}, 16)...), "ab", "packet record 2 at byte 82: claims a packet of 4294967295 bytes", false},
		{"block header cut off", append(bytes.Clone(begin), 6, 0), "ab", "block 4 at byte 124: the capture ends after 2 of 12 bytes", true},
		{"block cut off", append(bytes.Clone(begin), lengths(32, 32)[:31]...), "ab", "block 4 (enhanced packet) at byte 124: the capture ends after 31 of 32 bytes", true},
		{"block length 0", append(bytes.Clone(begin), lengths(0, 32)...), "ab", "block 4 (enhanced packet) at byte 124: its length is 0, not a multiple of 4 of at least 12", false},
		{"block length 33", append(bytes.Clone(begin), lengths(33, 33)...), "ab", "block 4 (enhanced packet) at byte 124: its length is 33, not a multiple of 4 of at least 12", false},
		{"block lengths differ", append(bytes.Clone(begin), lengths(32, 36)...), "ab", "block 4 (enhanced packet) at byte 124: its length is 32 at the beginning and 36 at the end", false},
		{"block of 4 GiB", append(bytes.Clone(begin), lengths(0xfffffffc, 0)...), "ab", "block 4 (enhanced packet) at byte 124: claims to have 4294967292 bytes", false},
		{"unknown block of 4 GiB", append(bytes.Clone(begin), 99, 0, 0, 0, 0xfc, 0xff, 0xff, 0xff, 0, 0, 0, 0), "ab", "block 4 (type 0x63) at byte 136: the capture ends after 0 of 4294967292 bytes", true},
		{"packet longer than its block", append(bytes.Clone(begin), func() []byte {
			b := enhanced(le, 0, 0, make([]byte, 40))
			b[20] = 41
			return b
		}()...), "ab", "block 4 (enhanced packet) at byte 124: claims 41 bytes of packet, and has room for 40", false},
		{"interface that is not there", append(bytes.Clone(begin), enhanced(le, 1, 0, nil)...), "ab", "block 4 (enhanced packet) at byte 124: interface 1, of 1 described", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := Open(bytes.NewReader(tt.file), Options{})
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for err == nil {
				var c Chunk
				c, err = r.Next()
				got = append(got, c.Bytes...)
			}
			if string(got) != tt.bytes || err.Error() != tt.problem || errors.Is(err, io.ErrUnexpectedEOF) != tt.cutOff {
				t.Errorf("%q, %v\nwant %q, %s", got, err, tt.bytes, tt.problem)
			}
			if _, again := r.Next(); !errors.Is(again, err) {
				t.Errorf("then %v", again)
			}
		})
	}
}

func TestWhatIsNoCapture(t *testing.T) {
	for _, tt := range []struct{ file, problem string }{
		{"", "capture at byte 0: only 0 bytes"},
		{"\xd4\xc3", "capture at byte 0: only 2 bytes"},
		{"\x10\x0c\x00\x04MQTT", "capture at byte 0: neither pcap nor pcapng: it begins with 100c0004"},
		{"\x28\xb5\x2f\xfd....", "compressed with zstd"},
		{"\xd4\xc3\xb2\xa1\x02\x00", "pcap header at byte 0: the capture ends after 6 of 24 bytes"},
		{"\xd4\xc3\xb2\xa1\x09\x00\x04\x00" + strings.Repeat("\x00", 16), "version 9"},
		{"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00....", "no byte order mark"},
		{string(pcapHeader(105)), "link type 105 is not read"},
		{"\x1f\x8b\x00", "gzip header"},
	} {
		_, err := Open(strings.NewReader(tt.file), Options{})
		var d *Damaged
		if !errors.As(err, &d) || !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%q: %v, want %s", tt.file, err, tt.problem)
		}
	}
}

// TestFormsOfOneCapture reads a capture converted by other programs.
func TestFormsOfOneCapture(t *testing.T) {
	path := filepath.Join(dissecttest.Captures(t), "rec-tcp-v5-rich.pcapng")
	want := collect(t, openFile(t, path))
	for _, format := range []string{"pcap", "nsecpcap", "pcapng", "modpcap"} {
		t.Run(format, func(t *testing.T) {
			out := filepath.Join(t.TempDir(), "x")
			tool(t, nil, "editcap", "-F", format, path, out)
			raw, err := os.ReadFile(out)
			if err != nil {
				t.Fatal(err)
			}
			var zipped bytes.Buffer
			z := gzip.NewWriter(&zipped)
			if _, err := z.Write(raw); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			for _, file := range [][]byte{raw, zipped.Bytes()} {
				r, err := Open(bytes.NewReader(file), Options{})
				if err != nil {
					t.Fatal(err)
				}
				got := collect(t, r)
				if len(got) != len(want) || !bytes.Equal(got[0].bytes, want[0].bytes) || !bytes.Equal(got[1].bytes, want[1].bytes) {
					t.Errorf("%s: %d streams, not the same", r.Describe(), len(got))
				}
			}
		})
	}
}

// pipe gives out what was written, a few bytes at a time, and fails when it is asked for
// what was not: there, a reader of a real pipe would wait.
type pipe struct {
	t       *testing.T
	written []byte
}

func (p *pipe) Read(b []byte) (int, error) {
	if len(p.written) == 0 {
		p.t.Fatal("more is read than the next packet needs")
	}
	n := copy(b, p.written[:min(7, len(p.written))])
	p.written = p.written[n:]
	return n, nil
}

// TestPacketsOfAPipe has each packet delivered as soon as it was written.
func TestPacketsOfAPipe(t *testing.T) {
	le := binary.AppendByteOrder(binary.LittleEndian)
	for name, parts := range map[string][][]byte{
		"pcap": {
			pcapHeader(linkRaw),
			segments(fromClient(100, "ab"))[24:], segments(fromClient(102, "cd"))[24:], segments(fromClient(104, "ef"))[24:],
		},
		"pcapng": {
			slices.Concat(section(le), netifBlock(le, linkRaw, 0)),
			enhanced(le, 0, 0, fromClient(100, "ab").ip()), enhanced(le, 0, 0, fromClient(102, "cd").ip()), enhanced(le, 0, 0, fromClient(104, "ef").ip()),
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &pipe{t: t, written: parts[0]}
			r, err := Open(p, Options{})
			if err != nil {
				t.Fatal(err)
			}
			for i, want := range []string{"ab", "cd", "ef"} {
				p.written = append(p.written, parts[i+1]...)
				if c, err := r.Next(); err != nil || string(c.Bytes) != want {
					t.Errorf("%q, %v, want %q", c.Bytes, err, want)
				}
			}
		})
	}
}
