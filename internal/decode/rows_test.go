package decode

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/capture"
	"github.com/iotctl/iotctl/internal/dissect"
)

// TestRow1 joins a stream of MQTT 5.0 without its CONNECT.
func TestRow1(t *testing.T) {
	c := joined(t, `
		s: 30 09 0003 612f62 00 ffd8ff
		s: 20 09 00 00 06 210014 22000a`)
	if s := c.noted(Versioned); len(s) != 1 || !strings.Contains(s[0], "MQTT 5.0, since packet 2, CONNACK") {
		t.Errorf("%q", s)
	}
	c.has(t, 0, "payload", []byte{0xff, 0xd8, 0xff})
	c.has(t, 1, "receive maximum", 20)
	if c.packets[0].Version != "5.0" || c.packets[0].Stream.Version != "5.0" {
		t.Errorf("version %q", c.packets[0].Version)
	}
}

// TestRow2 names the codes of 3.1.1 by its tables.
func TestRow2(t *testing.T) {
	c := joined(t, `
		s: 20 02 00 05
		c: 82 06 0001 0001 61 01
		s: 90 03 0001 80`)
	for i, want := range []string{"CONNACK not authorized", "SUBSCRIBE id 1 a q1", "SUBACK id 1 failure"} {
		if got := c.packets[i].Line; !strings.EqualFold(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if c.packets[i].Version != "3.1.1" {
			t.Errorf("version %s", c.packets[i].Version)
		}
	}
}

// TestRow3 reads MQTT within WebSocket, one CONNECT over many messages.
func TestRow3(t *testing.T) {
	c := decodeFile(t, openCapture(t, "rec-ws-v311.pcapng"), Options{})
	all := c.of("mqtt")
	if len(all) != 28 || !strings.HasPrefix(all[0].Line, "CONNECT ana, client cap-rich-4") {
		t.Errorf("%d packets\n%s", len(all), c)
	}
	if s := all[0].Stream; len(s.Layers) != 1 || s.Layers[0] != "websocket (mqtt)" {
		t.Errorf("layers %q", s.Layers)
	}
	if len(all[0].Frames) < 2 {
		t.Errorf("the CONNECT came in frames %v", all[0].Frames)
	}
}

// TestRowsOfOnePacket are the rows of what one pasted packet says.
func TestRowsOfOnePacket(t *testing.T) {
	for _, tt := range []struct {
		row, name, as, hex string
		fault              string // part of what is wrong, "" for nothing
		field              string
		value              any
	}{
		{"4", "a value that is longer than the properties", "mqtt5", "300c 000161 03 03 0005 68656c6c6f", "content type", "topic", "a"},
		{"5", "properties of 170 bytes", "mqtt5", "30 af01 000161 aa01" + strings.Repeat("26 0001 61 000b"+strings.Repeat("62", 11), 10), "", "property length", 170},
		{"5", "properties of 4351 bytes", "mqtt5", "30 8422 000161 ff21" + strings.Repeat("26 0001 61 000d"+strings.Repeat("62", 13), 229), "", "property length", 4351},
		{"5a", "a property length in a form that is too long", "mqtt5", "30 06 000161 8000 62", "not in its shortest form", "payload", "b"},
		{"11", "a zero in correlation data", "mqtt5", "30 0a 000161 06 09 0003 610062", "", "correlation data", []byte("a\x00b")},
		{"12", "a bridge", "", "10 0e 0004 4d515454 84 02 003c 0002 6162", "", "protocol level", 0x84},
		{"13", "an unknown property", "mqtt5", "30 08 000161 03 7f0102 62", "property 127 does not exist", "topic", "a"},
		{"14", "a short topic", "mqttsn", "09 0c 02 6162 0000 7879", "", "short topic", "ab"},
		{"15", "a predefined topic", "mqttsn", "07 12 01 0001 0005", "", "topic identifier", 5},
		{"16", "a forwarder's node of 7 bytes", "mqttsn", "0a fe 01 01020304050607 02 16", "", "node identifier", []byte{1, 2, 3, 4, 5, 6, 7}},
		{"17", "a payload that is no text", "mqttsn", "09 0c 00 0001 0000 ff00", "", "payload", []byte{0xff, 0}},
	} {
		t.Run(tt.row+" "+tt.name, func(t *testing.T) {
			b := unhex(t, tt.hex)
			c := paste(t, Options{As: tt.as}, b)
			if len(c.packets) != 1 {
				t.Fatalf("%d packets\n%s", len(c.packets), c)
			}
			if got := faults(&c.packets[0]); !strings.Contains(got, tt.fault) || tt.fault == "" && got != "" {
				t.Errorf("wrong is %q, want %q", got, tt.fault)
			}
			t.Log(c.packets[0].Line, "|", faults(&c.packets[0]))
			c.has(t, 0, tt.field, tt.value)
		})
	}
}

// proxied puts a header of the PROXY protocol in front of the client's bytes.
func proxied(t testing.TB, header []byte) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	f := newFile(&b)
	f.handshake()
	f.segment(dissect.FromClient, header)
	c := decodeFile(t, openCapture(t, "rec-tcp-v5-rich.pcapng"), Options{})
	for _, p := range c.packets {
		f.segment(p.Direction, p.Bytes)
	}
	if f.err != nil {
		t.Fatal(f.err)
	}
	return &b
}

// TestRow6 finds the packets behind a PROXY header.
func TestRow6(t *testing.T) {
	for version, header := range map[string][]byte{
		"1": []byte("PROXY TCP4 192.0.2.1 192.0.2.9 40000 1883\r\n"),
		"2": unhex(t, "0d0a0d0a000d0a515549540a 21 11 000c c0000201 c0000209 9c40 075b"),
	} {
		c := decodeFile(t, proxied(t, header), Options{})
		if n := len(c.of("mqtt")); n != 32 || len(c.of("proxy")) != 1 {
			t.Errorf("version %s: %d packets\n%s", version, n, c)
		}
		if p := c.packets[0]; p.Protocol != "proxy" || p.Version != version || p.Line != "HEADER 192.0.2.1:40000 → 192.0.2.9:1883" {
			t.Errorf("%s %s %q", p.Protocol, p.Version, p.Line)
		}
		if p := c.packets[1]; p.Type != "CONNECT" || p.Offset != 0 || p.Stream.Layers[0] != "proxy v"+version {
			t.Errorf("%s at %d, %q", p.Type, p.Offset, p.Stream.Layers)
		}
	}
}

// TestRow7 puts swapped segments into order.
func TestRow7(t *testing.T) {
	c := decodeFile(t, openCapture(t, "var-reorder-v311.pcap"), Options{})
	clean(t, c, 28)
	var b bytes.Buffer
	burst(t, &b, func(i int) int { return i ^ 1 }, -1)
	clean(t, decodeFile(t, &b, Options{}), 245)
}

// clean fails unless there are so many packets of MQTT, and none is damaged.
func clean(t *testing.T, c *collector, packets int) {
	t.Helper()
	if n := len(c.of("mqtt")); n != packets {
		t.Errorf("%d packets, want %d\n%s", n, packets, c)
	}
	for i := range c.packets {
		if p := &c.packets[i]; p.Err != nil {
			t.Errorf("%d %s: %v", p.Number, p.Line, p.Err)
		}
	}
	for _, kind := range []NoteKind{Gap, Resumed, Unreadable, Foreign} {
		if s := c.noted(kind); len(s) > 0 {
			t.Errorf("%s: %q", kind, s)
		}
	}
}

// burst writes rec-tcp-v311-burst anew: the segments of each direction in another
// order, without that of the server with the number lost.
func burst(t testing.TB, b *bytes.Buffer, order func(int) int, lost int) {
	t.Helper()
	c := decodeFile(t, openCapture(t, "rec-tcp-v311-burst.pcapng"), Options{})
	var sides [3][]byte
	for _, p := range c.packets {
		sides[p.Direction] = append(sides[p.Direction], p.Bytes...)
	}
	f := newFile(b)
	f.handshake()
	for _, dir := range []dissect.Direction{dissect.FromClient, dissect.FromServer} {
		var parts [][]byte
		for s := sides[dir]; len(s) > 0; {
			n := min(len(s), 200)
			parts, s = append(parts, s[:n]), s[n:]
		}
		for len(parts)%2 > 0 {
			parts = append(parts, nil)
		}
		start := f.seq[dir]
		for i := range parts {
			k := order(i)
			if dir == dissect.FromServer && k == lost {
				continue
			}
			f.write(f.record(dir, 0x18, start+uint32(200*k), parts[k]))
		}
		f.seq[dir] = start + uint32(len(sides[dir]))
	}
	f.frame(dissect.FromClient, 0x11, nil)
	f.frame(dissect.FromServer, 0x11, nil)
	if f.err != nil {
		t.Fatal(f.err)
	}
}

// TestRow8 marks the gap that a lost segment leaves, reads all that is whole before
// it, and finds the packets behind it.
func TestRow8(t *testing.T) {
	var whole, b bytes.Buffer
	same := func(i int) int { return i }
	burst(t, &whole, same, -1)
	burst(t, &b, same, 3)
	all, c := decodeFile(t, &whole, Options{}), decodeFile(t, &b, Options{})
	known := map[string]bool{}
	for _, p := range all.packets {
		known[fmt.Sprint(p.Direction, p.Offset, p.Line)] = true
	}
	gap, broken := c.noted(Gap), 0
	if len(gap) != 1 || !strings.Contains(gap[0], "200 bytes missing") {
		t.Errorf("gaps %q", gap)
	}
	for i := range c.packets {
		p := &c.packets[i]
		if p.Err != nil {
			broken++
		} else if !known[fmt.Sprint(p.Direction, p.Offset, p.Line)] {
			t.Errorf("%s at %d is invented", p.Line, p.Offset)
		}
	}
	if n := len(all.packets) - len(c.packets); n > 12 || broken > 1 {
		t.Errorf("%d packets are missing, %d are broken\n%s", n, broken, c)
	}
	if s := c.noted(Resumed); len(s) != 1 {
		t.Errorf("resumed: %q", s)
	}
}

// TestRows9And10 names what else stands on the port of MQTT.
func TestRows9And10(t *testing.T) {
	hello := "16 0301 0005 01 000001 00"
	for _, tt := range []struct{ row, hex, want string }{
		{"9", hello, "this is TLS"},
		{"10", hex.EncodeToString([]byte("SSH-2.0-OpenSSH_9.2\r\n")), "this is SSH"},
		{"10", hex.EncodeToString([]byte("GET / HTTP/1.1\r\nHost: a\r\n\r\n")), "this is HTTP"},
		{"10", hex.EncodeToString([]byte("AMQP\x00\x00\x09\x01")), "this is AMQP"},
		{"10", hex.EncodeToString([]byte("*1\r\n$4\r\nPING\r\n")), "this is Redis"},
		{"10", "00000023 0012 0003 00000001 000d 636f6e73756d65722d312d61" + "61 00 0a6170616368652d6b61", "this is Kafka"},
	} {
		c := decodeFile(t, conversation(t, "c: "+tt.hex, true), Options{})
		s := c.noted(Foreign)
		if len(s) != 1 || !strings.HasPrefix(s[0], tt.want) || len(c.packets) != 0 {
			t.Errorf("row %s: %q\n%s", tt.row, s, c)
		}
	}
}

// TestRow21 recognises MQTT on any port.
func TestRow21(t *testing.T) {
	b, err := io.ReadAll(openCapture(t, "rec-tcp-v311-rich.pcapng"))
	if err != nil {
		t.Fatal(err)
	}
	// The port stands in each header of TCP, and nowhere else in this recording.
	moved := bytes.ReplaceAll(b, binary.BigEndian.AppendUint16(nil, 1883), binary.BigEndian.AppendUint16(nil, 45678))
	if bytes.Equal(moved, b) {
		t.Skip("the recording has another port")
	}
	c := decodeFile(t, bytes.NewReader(moved), Options{})
	clean(t, c, 28)
	if s := c.packets[0].Stream; s.Server.Port() != 45678 || s.Protocol != "mqtt" {
		t.Errorf("%v %s", s.Server, s.Protocol)
	}
}

// TestRow22 reads each packet behind a second CONNECT by that one's version.
func TestRow22(t *testing.T) {
	c := decodeFile(t, conversation(t, `
		c: 10 0d 0004 4d515454 04 02 003c 0001 61
		s: 20 02 00 00
		c: 10 0e 0004 4d515454 05 02 003c 00 0001 61
		s: 20 03 00 00 00
		c: 30 05 0001 61 00 62`, true), Options{})
	for i, want := range []string{"3.1.1", "3.1.1", "5.0", "5.0", "5.0"} {
		if got := c.packets[i].Version; got != want {
			t.Errorf("packet %d: %s, want %s\n%s", i+1, got, want, c)
		}
	}
	c.has(t, 4, "payload", "b")
}

// TestRow18 recognises the draft of MQTT-SN 2.0 by its content.
func TestRow18(t *testing.T) {
	c := paste(t, Options{As: "mqttsn2"}, unhex(t, "0b0f000718034142430102"))
	c.has(t, 0, "authentication method", "ABC")
}

// TestRow19 names CoAP from before the RFC.
func TestRow19(t *testing.T) {
	c := paste(t, Options{}, unhex(t, "4201d9e1 9b2e77656c6c2d6b6e6f776e 04636f7265"))
	if p := c.packets[0]; p.Protocol != "coap" || !strings.HasSuffix(p.Line, "looks like CoAP draft 12 or older: /.well-known/core") {
		t.Errorf("%s", c)
	}
}

// TestRow19a finds nothing wrong with Request-Tag.
func TestRow19a(t *testing.T) {
	c := decodeFile(t, openCapture(t, "rec-coap-libcoap.pcapng"), Options{})
	tags := 0
	for i := range c.packets {
		p := &c.packets[i]
		if field(p.Fields, "Request-Tag") == nil {
			continue
		}
		if tags++; p.Err != nil || strings.Contains(faults(p), "Request-Tag") {
			t.Errorf("%s: %s", p.Line, faults(p))
		}
	}
	if tags == 0 {
		t.Error("there is none")
	}
}

// TestRow20 reads a notification by the path of the request that it answers.
func TestRow20(t *testing.T) {
	e, c := engine(t, Options{})
	k := newTalk(t, e, 1)
	k.flow.Transport = "udp"
	for i, text := range []string{
		"4201100b 0102 60 5133 0130 0139", "6245100b 0102 60 622d16 ff c10964", "52458ba5 0102 6102 622d16 ff c10963",
	} {
		dir := dissect.FromClient
		if i > 0 {
			dir = dissect.FromServer
		}
		k.chunk(capture.Chunk{Direction: dir, Datagram: true, Bytes: unhex(t, text)})
	}
	if err := e.Close(); err != nil {
		t.Fatal(err)
	}
	c.has(t, 2, "integer", 99)
	if p := c.packets[2]; p.Answers != 1 || !strings.HasSuffix(p.Line, "/3/0/9 = 99") {
		t.Errorf("%q answers %d", p.Line, p.Answers)
	}
}

// rows says where each row of what tshark 4.0.17 shows wrongly is tested.
var rows = map[string]string{
	"1": "TestRow1", "2": "TestRow2", "3": "TestRow3", "4": "TestRowsOfOnePacket", "5": "TestRowsOfOnePacket",
	"5a": "TestRowsOfOnePacket", "6": "TestRow6", "7": "TestRow7", "8": "TestRow8", "9": "TestRows9And10",
	"10": "TestRows9And10", "11": "TestRowsOfOnePacket", "12": "TestRowsOfOnePacket", "13": "TestRowsOfOnePacket",
	"14": "TestRowsOfOnePacket", "15": "TestRowsOfOnePacket", "16": "TestRowsOfOnePacket", "17": "TestRowsOfOnePacket",
	"18": "TestRow18", "19": "TestRow19", "19a": "TestRow19a", "20": "TestRow20", "21": "TestRow21", "22": "TestRow22",
}

// TestEveryRowIsTested looks for the tests that rows names.
func TestEveryRowIsTested(t *testing.T) {
	source, err := os.ReadFile("rows_test.go")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"5a", "19a"}
	for i := range 22 {
		want = append(want, strconv.Itoa(i+1))
	}
	for _, row := range want {
		name := rows[row]
		if name == "" || !bytes.Contains(source, []byte("func "+name+"(")) {
			t.Errorf("row %s: there is no test %q", row, name)
		}
		if name == "TestRowsOfOnePacket" && !bytes.Contains(source, []byte("{\""+row+"\", ")) {
			t.Errorf("row %s is not in the table", row)
		}
	}
}

// TestPastedTextOfOthers: the words of HTTP are a CoAP message without a fault, too.
func TestPastedTextOfOthers(t *testing.T) {
	c := paste(t, Options{}, []byte("GET / HTTP/1.1\n"))
	if s := c.noted(Foreign); len(s) != 1 || !strings.HasPrefix(s[0], "this is HTTP") || len(c.packets) != 0 {
		t.Errorf("%q\n%s", s, c)
	}
}
