package emqtcp_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
)

// session is the worked example of the specification, from login to goodbye.
const session = "11 0007 3c 0004 61626364  30 0002 6869  40  60"

// Every login of the specification is let in.
func TestLogins(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	for _, login := range []string{
		"11 0007 3c 0004 61626364",
		"11 0013 3c 0004 61626364 0004 61626364 0004 61626364",
		"11 000d 1e 0007 6465762d303031 0001 75",
		"11 0013 78 0006 6d6574657237 0000 0006 736563726574",
		"11 0008 00 0001 78 0000 0000",
	} {
		d := s.dial()
		d.send(login)
		d.wants(accepted)
		d.send("40 60")
		d.closed("50")
	}
}

func TestWorkedSession(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("tcp/#")
	d := s.dial()
	d.send("11 0007 3c 0004 61626364")
	d.wants(accepted)
	d.send("30 0002 6869")
	o.wants("tcp/abcd/up hi")
	o.publish("tcp/abcd/dn", "ok")
	d.wants("30 0002 6f6b")
	d.send("40")
	d.wants("50")
	d.send("60")
	d.closed("")
	gatewaytest.Eventually(t, "count", func() bool { return s.l.Counters().Closed["disconnect"] == 1 })
}

// Test 2: byte by byte, and nothing before a frame is whole.
func TestByteByByte(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	for i, b := range unhex(t, session) {
		if i == 10 { // the login is whole
			d.wants(accepted)
		}
		if i == 14 {
			o.nothing()
		}
		d.write([]byte{b})
		if i == 14 {
			o.wants("tcp/abcd/up hi")
		}
		if i == 15 {
			d.wants("50")
		}
	}
	d.closed("")
}

// The same traffic in one segment gives the same result.
func TestOneSegment(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.send(session)
	d.closed(accepted + "50")
	o.wants("tcp/abcd/up hi")
	o.nothing()
}

// Test 3.
func TestAThousandFramesInOneBuffer(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("tcp/+/up")
	d := s.login("many")
	var b []byte
	for i := range 1000 {
		b = append(append(b, data(fmt.Sprint(i))...), 0x40)
	}
	d.write(b)
	for i := range 1000 {
		o.wants(fmt.Sprintf("tcp/many/up %d", i))
	}
	d.wants(strings.Repeat("50", 1000))
}

// What follows a goodbye in the same read has no effect.
func TestNothingAfterDisconnect(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.login("gone")
	d.send("60 30 0002 6869 40 70")
	d.closed("")
	o.nothing()
}

// Tests 4, 6 and 12: what is illegal ends the connection without an answer, and
// nothing of it, or behind it, is published.
func TestIllegal(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("#")
	const login, publish = "11 0007 3c 0004 61626364", "30 0002 6869"
	for _, tc := range []struct{ name, sent, answer, why string }{
		{"stray byte after the client identifier", "11 0008 3c 0004 61626364 00", "", "protocol"},
		{"client identifier past the payload", "11 0007 3c 0005 61626364", "", "protocol"},
		{"CONNECT without fields", "11 0000", "", "protocol"},
		{"client identifier is not UTF-8", "11 0004 3c 0001 ff", "", "protocol"},
		{"NUL in the client identifier", "11 0005 3c 0002 6100", "", "protocol"},
		{"DATATRANS first", "30 0002 6869", "", "not_connected"},
		{"PING first", "40", "", "not_connected"},
		{"DISCONNECT first", "60", "", "not_connected"},
		{"second CONNECT", login + login, accepted, "protocol"},
		{"CONNACK from a device", login + "20 0000", accepted, "protocol"},
		{"PONG from a device", login + "50", accepted, "protocol"},
		{"type 0", login + "00", accepted, "protocol"},
		{"CONNECT above its cap", "11 1001", "", "protocol"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before := s.l.Counters().Closed[tc.why]
			d := s.dial()
			d.t = t
			d.send(tc.sent + publish)
			d.closed(tc.answer)
			o.nothing()
			gatewaytest.Eventually(t, "count", func() bool { return s.l.Counters().Closed[tc.why] == before+1 })
		})
	}
	for first := range 16 {
		if first >= 1 && first <= 6 {
			continue
		}
		t.Run(fmt.Sprintf("reserved type %d", first), func(t *testing.T) {
			for _, before := range []string{"", login} {
				d := s.dial()
				d.t = t
				d.send(before + fmt.Sprintf("%x5 0002 6869", first))
				want := ""
				if before != "" {
					want = accepted
				}
				d.closed(want)
			}
			o.nothing()
		})
	}
}

// What is out of place is not waited for.
func TestTheFirstByteIsEnough(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	for _, first := range []string{"11", "20", "50", "00", "70", "ff"} {
		d := s.login("dev")
		d.send(first)
		d.closed("")
	}
}

// Test 5: the length alone is enough.
func TestOversizeIsJudgedByItsLength(t *testing.T) {
	s := start(t, emqtcp.Config{MaxPacketSize: 1024}, broker.Config{})
	o := s.observe("#")
	d := s.login("big")
	d.write(data(strings.Repeat("x", 1024)))
	o.wants("tcp/big/up " + strings.Repeat("x", 1024))
	d.send("30 ffff")
	d.closed("")
	s.log.Wants(t, "length 65535, limit 1024")
	d = s.login("big")
	d.send("30 0401")
	d.closed("")
	o.nothing()
}

// The largest frame passes with the default limit, and an empty one is a message.
func TestSmallestAndLargestUplink(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.login("x")
	big := strings.Repeat("0123456789abcde", 4369)
	d.write(append(data(""), data(big)...))
	o.wants("tcp/x/up ")
	o.wants("tcp/x/up " + big)
}

// Test 8.
func TestDownlinkSizes(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	o := s.observe("nothing")
	d := s.login("x")
	big := strings.Repeat("y", 65536)
	o.publish("tcp/x/dn", big[1:])
	d.wantsBytes(data(big[1:]))
	o.publish("tcp/x/dn", big)
	o.publish("tcp/x/dn", big)
	o.publish("tcp/x/dn", "after")
	d.wantsBytes(data("after"))
	if n := s.g.Counters()["downlink_too_large"]; n != 2 {
		t.Errorf("counted %d", n)
	}
	if n := strings.Count(s.log.String(), "downlink dropped"); n != 1 {
		t.Errorf("warned %d times", n)
	}
}

func TestReservedFlags(t *testing.T) {
	const frames = "34 0002 6869 41"
	t.Run("are counted", func(t *testing.T) {
		s := start(t, emqtcp.Config{}, broker.Config{})
		o := s.observe("#")
		d := s.login("f")
		d.send(frames)
		d.wants("50")
		o.wants("tcp/f/up hi")
		d.send("6f")
		d.closed("")
		if n := s.g.Counters()["reserved_flags"]; n != 3 {
			t.Errorf("counted %d", n)
		}
		if n := strings.Count(s.log.String(), "reserved flags are set"); n != 1 {
			t.Errorf("logged %d times", n)
		}
	})
	t.Run("end the connection", func(t *testing.T) {
		s := start(t, emqtcp.Config{StrictFlags: true}, broker.Config{})
		o := s.observe("#")
		for _, frame := range []string{"34 0002 6869", "41", "61"} {
			d := s.login("f")
			d.send(frame)
			d.closed("")
		}
		o.nothing()
		if n := s.l.Counters().Closed["protocol"]; n != 3 {
			t.Errorf("%d ends by protocol", n)
		}
	})
}

func TestVersions(t *testing.T) {
	const refused = "22 001c 556e737570706f727465642070726f746f636f6c2076657273696f6e"
	s := start(t, emqtcp.Config{}, broker.Config{})
	for _, login := range []string{"12 0007 3c 0004 61626364", "1f 0000", "10 0007 3c 0004 61626364"} {
		d := s.dial()
		d.send(login)
		d.closed(refused)
	}
	s.log.Wants(t, "accept_version_0")
	s = start(t, emqtcp.Config{AcceptVersion0: true}, broker.Config{})
	d := s.dial()
	d.send("10 0007 3c 0004 61626364")
	d.wants(accepted)
	d = s.dial()
	d.send("12 0007 3c 0004 61626364")
	d.closed(refused)
}

// Who uses the wrong program is told by the log.
func TestStrangersAreNamed(t *testing.T) {
	s := start(t, emqtcp.Config{}, broker.Config{})
	for _, tc := range []struct{ sent, want string }{
		{"node 7", `got 0x6E ('n'); if you typed hex as text, send raw bytes`},
		{"11 00 07 3C 00 04", `got 0x31 ('1'); this is hex as text, send raw bytes`},
		{"GET / HTTP/1.1\r\n\r\n", "the client speaks HTTP"},
		{"\x16\x03\x01\x02\x00\x01", "the client speaks TLS"},
		{"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04abcd", "the client speaks MQTT"},
		{"PROXY TCP4 ", "the client speaks a PROXY header"},
	} {
		d := s.dial()
		d.write([]byte(tc.sent))
		d.closed("")
		s.log.Wants(t, tc.want)
	}
	gatewaytest.Eventually(t, "count", func() bool { return s.l.Counters().Closed["not_connected"] == 6 })
}
