package display

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/decode"
	"github.com/iotctl/iotctl/internal/dissect"
	"github.com/iotctl/iotctl/internal/dissect/dissecttest"
)

// collector is a decode.Sink that keeps packets.
type collector struct {
	packets []*decode.Packet
	notes   []decode.Note
}

func (c *collector) Packet(p *decode.Packet) error {
	kept := *p
	kept.Bytes, kept.Line, kept.Frames = bytes.Clone(p.Bytes), bytes.Clone(p.Line), slices.Clone(p.Frames)
	c.packets = append(c.packets, &kept)
	return nil
}

func (c *collector) Note(n *decode.Note) error {
	c.notes = append(c.notes, *n)
	return nil
}

// read reads what was pasted, each in hex.
func read(t testing.TB, as string, pasted ...string) []*decode.Packet {
	t.Helper()
	var all [][]byte
	for _, s := range pasted {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b)
	}
	return readBytes(t, as, all...)
}

func readBytes(t testing.TB, as string, pasted ...[]byte) []*decode.Packet {
	t.Helper()
	c := &collector{}
	e, err := decode.New(decode.Options{Dissectors: dissecttest.All(t), As: as}, c)
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Pasted(pasted); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return c.packets
}

// conversation is packets of one stream, a tenth of a second after each other; those
// that begin with < are the server's.
func conversation(t testing.TB, packets ...string) []*decode.Packet {
	t.Helper()
	c := &collector{}
	e, err := decode.New(decode.Options{Dissectors: dissecttest.All(t)}, c)
	if err != nil {
		t.Fatal(err)
	}
	flow := &capture.Flow{
		Number: 1, Transport: "tcp",
		Client: netip.MustParseAddrPort("127.0.0.1:52658"), Server: netip.MustParseAddrPort("127.0.0.1:1883"),
	}
	at := time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)
	for i, s := range packets {
		s, server := strings.CutPrefix(s, "<")
		dir := dissect.FromClient
		if server {
			dir = dissect.FromServer
		}
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			t.Fatal(err)
		}
		if err := e.Chunk(capture.Chunk{Flow: flow, Direction: dir, Time: at, Frames: []int{i + 1}, Bytes: b}); err != nil {
			t.Fatal(err)
		}
		at = at.Add(100 * time.Millisecond)
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	return c.packets
}

// The first two packets of the design.
const (
	connect5 = "102f00044d51545405c2003c0321001400136d79766f69636569736d7970617373706f7274000475736572000470617373"
	overrun  = "300c 000161 03 03 0005 68656c6c6f"
)

func TestAnnotatedHex(t *testing.T) {
	for _, tt := range []struct{ name, as, packet, want string }{
		{"a clean CONNECT", "", connect5, `
MQTT 5.0 CONNECT  user, client myvoiceismypassport                49 bytes  ok
       0  10                       packet type         1 CONNECT, flags 0000
       1  2f                       remaining length    47
       2  00 04                    protocol name       4 bytes
       4  4d 51 54 54              │                   "MQTT"
       8  05                       protocol level      5, MQTT 5.0
       9  c2                       connect flags       user, password, clean start
          1.......                 ├ user name         yes
          .1......                 ├ password          yes
          ..0.....                 ├ will retain       no
          ...00...                 ├ will QoS          0
          .....0..                 ├ will              no
          ......1.                 ├ clean start       yes
          .......0                 └ reserved          0
      10  00 3c                    keep alive          60 s
      12  03                       properties          3 bytes
      13  21 00 14                 └ receive maximum   20
      16  00 13                    client id           19 bytes
      18  6d 79 76 6f 69 63 65 69  │                   "myvoiceismypassport"
      26  73 6d 79 70 61 73 73 70  │
      34  6f 72 74                 │
      37  00 04                    user name           4 bytes
      39  75 73 65 72              │                   "user"
      43  00 04                    password            4 bytes
      45  •• •• •• ••              │                   hidden (--secrets)
`},
		{"a property beyond its block", "mqtt5", overrun, `
MQTT 5.0 PUBLISH  a                                          14 bytes  1 error
       0  30                       packet type         3 PUBLISH, QoS 0
       1  0c                       remaining length    12
       2  00 01                    topic               1 byte
       4  61                       │                   "a"
       5  03                       properties          3 bytes
       6  03                       └ content type
  !    7  00 05                      │ length          ✗ 5 bytes
          ^^ ^^                      │
  !    9  68 65 6c 6c 6f           rest                ✗ outside of the properties,
          ^^ ^^ ^^ ^^ ^^           │                   which end at 9
error  at 7: content type needs 5 bytes, the properties have none left
       MQTT-2.2.2.2: A peer may answer DISCONNECT 0x81 and must close
       the connection.
`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := read(t, tt.as, tt.packet)
			if len(p) != 1 {
				t.Fatalf("%d packets", len(p))
			}
			if diff := cmp.Diff(strings.TrimPrefix(tt.want, "\n"), string(Annotated(nil, p[0], Style{}))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLongValuesStopAfterFourRows(t *testing.T) {
	b := append([]byte{0x30, 0x83, 0x9d, 0x02, 0, 1, 'a'}, bytes.Repeat([]byte{0xff}, 36480)...)
	got := string(Annotated(nil, readBytes(t, "mqtt3.1.1", b)[0], Style{}))
	if !strings.Contains(got, "          … 36 kB more\n") || strings.Count(got, "\n") > 14 {
		t.Error(got)
	}
}

func TestOffsetsInHex(t *testing.T) {
	got := string(Annotated(nil, read(t, "", connect5)[0], Style{HexOffsets: true}))
	if !strings.Contains(got, "\n      1a  73 6d 79") {
		t.Error(got)
	}
}

func TestSecretsAreShownWhenAskedFor(t *testing.T) {
	p := read(t, "", connect5)[0]
	for _, s := range []string{
		string(Annotated(nil, p, Style{})), string(Tree(nil, p, Style{})), string(JSON(nil, p, Style{})),
		string(Diff(nil, p, p, Style{})), string((&Page{}).Append(nil, p)), string((&Columns{[]string{"password"}, &Subject{}}).Append(nil, p)),
	} {
		if strings.Contains(s, "pass\"") || strings.Contains(s, "70617373\"") || strings.Contains(s, "70 61 73 73\n") {
			t.Errorf("the password is shown:\n%s", s)
		}
	}
	s := Style{Secrets: true}
	for _, got := range []string{
		string(Annotated(nil, p, s)), string(Tree(nil, p, s)), string(JSON(nil, p, s)), string((&Columns{[]string{"password"}, &Subject{Secrets: true}}).Append(nil, p)),
	} {
		if !strings.Contains(got, "pass") {
			t.Errorf("the password is not shown:\n%s", got)
		}
	}
}

// Colour is the kind, on the bytes and on the name; what is wrong has a sign, too.
func TestColours(t *testing.T) {
	got := string(Annotated(nil, read(t, "mqtt5", overrun)[0], Style{Color: true}))
	for _, want := range []string{
		"\x1b[1m30\x1b[0m", "\x1b[1mpacket type\x1b[0m", "\x1b[2m0c\x1b[0m", "\x1b[32m61\x1b[0m",
		"\x1b[37;41m!\x1b[0m", "\x1b[37;41m68 65 6c 6c 6f\x1b[0m", "\x1b[31m^^\x1b[0m", "\x1b[37;41merror\x1b[0m  at 7",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not there:\n%s", want, got)
		}
	}
}

func TestList(t *testing.T) {
	packets := conversation(t,
		"100f 00044d51545404 02 003c 0003616e61", "<20020000",
		"3206 000161 0009 68", "<40020009", "<4002000a")
	l := List{}
	got := l.Heading(nil)
	for _, p := range packets {
		got = l.Append(got, p)
	}
	want := `
      #       time  stream  from             packet
      1      0.000       1  :52658 →         CONNECT     client ana
      2      0.100       1         ← :1883   CONNACK     accepted  (answers 1, 100 ms)
      3      0.200       1  :52658 →         PUBLISH     q1 id 9 a 1 B h
      4      0.300       1         ← :1883   PUBACK      id 9  (answers 3, 100 ms)
!     5      0.400       1         ← :1883   PUBACK      id 10  there is no PUBLISH with packet id 10 that it answers
`
	if diff := cmp.Diff(strings.TrimPrefix(want, "\n"), string(got)); diff != "" {
		t.Error(diff)
	}
}

func TestListDoesNotAllocate(t *testing.T) {
	p := conversation(t, "100f 00044d51545404 02 003c 0003616e61", "<20020000")[1]
	p.Fields, p.Summary = nil, ""
	l := List{}
	buf := l.Append(nil, p)
	if n := testing.AllocsPerRun(100, func() { buf = l.Append(buf[:0], p) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkList(b *testing.B) {
	p := conversation(b, "100f 00044d51545404 02 003c 0003616e61", "<20020000", "3206 000161 0009 68")[2]
	p.Fields, p.Summary = nil, ""
	l := List{}
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = l.Append(buf[:0], p)
	}
}

func TestLadder(t *testing.T) {
	l := Ladder{}
	var got []byte
	packets := conversation(t, "100f 00044d51545404 02 003c 0003616e61", "<20020000")
	packets[1].Time = packets[1].Time.Add(12 * time.Second)
	for _, p := range packets {
		got = l.Append(got, p)
	}
	want := `
stream 1  MQTT 3.1.1
                  127.0.0.1:52658                                 127.0.0.1:1883
    0.000      1  │ CONNECT client ana ───────────────────────────────────────▶│
                  │                           ⋮ 12.1 s                           │
   12.100      2  │◀────────────────────────────────── CONNACK success  +100 ms │
`
	lines := strings.Split(string(got), "\n")
	if len(lines) != strings.Count(want, "\n") || !strings.Contains(lines[2], "▶│") || !strings.Contains(lines[3], "⋮ 12.1 s") || !strings.Contains(lines[4], "│◀") {
		t.Errorf("%s\nwant something like%s", got, want)
	}
	for _, line := range lines[2 : len(lines)-1] {
		if n := columns(line); n != defaultWidth {
			t.Errorf("%d columns: %s", n, line)
		}
	}
}

func TestTree(t *testing.T) {
	got := string(Tree(nil, read(t, "mqtt3.1.1", "3205 000161 0009")[0], Style{}))
	for _, want := range []string{"├ packet type: 3 PUBLISH, QoS 1\n", "│  ├ QoS: 1\n", "├ topic: \"a\"\n", "└ packet id: 9\n"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not there:\n%s", want, got)
		}
	}
}

func TestColumns(t *testing.T) {
	packets := conversation(t, connect5, "<2003000000",
		"3007 000161 00 616263", "8218 0001 09 26 0001 61 0003 622c63 0005 612f232f2b 00 0001 62 01")
	c := &Columns{[]string{"number", "type", "topic", "filter", "client", "user-property", "payload", "qos", "nothing"}, &Subject{}}
	var got []byte
	for _, p := range packets {
		got = c.Append(got, p)
	}
	lines := strings.Split(string(got), "\n")
	if want := "3\tPUBLISH\ta\t\tmyvoiceismypassport\t\tabc\t0\t"; lines[2] != want {
		t.Errorf("%q, want %q", lines[2], want)
	}
	if want := `4	SUBSCRIBE		`; !strings.HasPrefix(lines[3], want) || !strings.Contains(lines[3], `a=b\,c`) {
		t.Errorf("%q", lines[3])
	}
}

func TestStats(t *testing.T) {
	s := NewStats(Style{})
	for _, p := range conversation(t, "100f 00044d51545404 02 003c 0003616e61", "<20020000", "3206 000161 0009 68", "<40020009", "3602 0001") {
		s.Add(p)
	}
	got := string(s.Append(nil))
	for _, want := range []string{"5 packets, 37 bytes in 400 ms", "CONNACK        1  100 ms", "127.0.0.1:52658 → 127.0.0.1:1883  MQTT 3.1.1", "problem"} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not there:\n%s", want, got)
		}
	}
}

func TestPercentilesOfDelays(t *testing.T) {
	var h delays
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for p, want := range map[float64]time.Duration{50: 500, 90: 900, 99: 990, 99.9: 999, 100: 1000} {
		got, want := h.percentile(p), want*time.Millisecond
		if got < want || float64(got) > float64(want)*1.07 {
			t.Errorf("p%v is %v, want %v", p, got, want)
		}
	}
	for _, d := range []time.Duration{0, 1, 15, 16, 17, 1 << 40, 1<<63 - 1} {
		if b := bucketOf(d); upTo(b) < d || b > 0 && upTo(b-1) >= max(d, 1) && d > 63 {
			t.Errorf("%d is in bucket %d, which ends at %d", d, b, upTo(b))
		}
	}
}

func TestDiff(t *testing.T) {
	p := read(t, "mqtt3.1.1", "3006 000161 616263", "3207 000162 0001 6162")
	got := string(Diff(nil, p[0], p[1], Style{}))
	for _, want := range []string{
		"≠ topic                    \"a\"                        \"b\"\n", "                           61                         62\n",
		"+ packet id                                           1\n", "≠   QoS                    0                          1\n",
		"  topic length             1 byte                     1 byte\n", "fields differ\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q is not there:\n%s", want, got)
		}
	}
	if got := string(Diff(nil, p[0], p[0], Style{})); !strings.HasSuffix(got, "the same\n") {
		t.Error(got)
	}
}

func TestTimesAreShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0.0 µs", 1: "0.0 µs", 950: "1.0 µs", 65300: "65.3 µs", 100_500: "101 µs", 999_400: "999 µs", time.Millisecond: "1.0 ms", 13 * time.Millisecond: "13.0 ms",
		1500 * time.Millisecond: "1.5 s", 90 * time.Second: "90.0 s", time.Hour: "3600 s", -time.Second: "-1.0 s", 1<<63 - 1: "9223372037 s",
	} {
		if got := string(appendShort(nil, d)); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
	for d, want := range map[time.Duration]string{
		0: "    0.000", 108 * time.Millisecond: "    0.108", -time.Millisecond: "   -0.001", 123456789 * time.Second: "123456789.000", -1 << 63: "-9223372036.854",
	} {
		if got := string(appendSeconds(nil, d, timeWidth)); got != want {
			t.Errorf("%d is %q, want %q", d, got, want)
		}
	}
	for n, want := range map[int64]string{0: "   0", -7: "  -7", 12345: "12345", -1 << 63: "-9223372036854775808"} {
		if got := string(appendRight(nil, n, 4)); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
