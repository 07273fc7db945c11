package mqtt_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

// hungUp fails when the broker says a word before it closes the connection, or
// does not close it.
func hungUp(t *testing.T, nc net.Conn) {
	t.Helper()
	_ = nc.SetReadDeadline(time.Now().Add(patience))
	b, err := io.ReadAll(nc)
	if len(b) > 0 {
		t.Errorf("got % x, want the connection closed without a word", b)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal("the connection is still open")
	}
	_ = nc.Close()
}

// samples are packets that a client may send once it is connected.
func samples(t *testing.T, v mqtt.Version) map[string][]byte {
	t.Helper()
	m := map[string]mqtt.Packet{
		"PUBLISH 0":   pub("a/b", "payload", 0),
		"PUBLISH 1":   mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("payload"), QoS: 1, PacketID: 1},
		"PUBLISH 2":   mqtt.Publish{Topic: []byte("a/b"), Payload: []byte("payload"), QoS: 2, PacketID: 2},
		"PUBACK":      mqtt.Puback{PacketID: 1},
		"PUBREC":      mqtt.Pubrec{PacketID: 1},
		"PUBREL":      mqtt.Pubrel{PacketID: 1},
		"PUBCOMP":     mqtt.Pubcomp{PacketID: 1},
		"SUBSCRIBE":   mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "a/+"}, {Filter: "b/#", QoS: 2}}},
		"UNSUBSCRIBE": mqtt.Unsubscribe{PacketID: 1, Filters: []string{"a/+", "b/#"}},
		"PINGREQ":     mqtt.Pingreq{},
		"DISCONNECT":  mqtt.Disconnect{},
	}
	if v == mqtt.V5 {
		m["PUBLISH 0"] = mqtt.Publish{
			Topic: []byte("a/b"), Payload: []byte("payload"),
			Properties: mqtt.Properties(nil).AppendUint32(mqtt.PropMessageExpiryInterval, 9).AppendUserProperty("k", "v"),
		}
		m["PUBACK"] = mqtt.Puback{PacketID: 1, Code: mqtt.QuotaExceeded, Properties: mqtt.Properties(nil).AppendString(mqtt.PropReasonString, "why")}
		m["DISCONNECT"] = mqtt.Disconnect{Code: mqtt.DisconnectWithWill, Properties: mqtt.Properties(nil).AppendUserProperty("k", "v")}
		m["AUTH"] = mqtt.Auth{Code: mqtt.Reauthenticate, Properties: mqtt.Properties(nil).AppendString(mqtt.PropAuthenticationMethod, "m")}
	}
	out := map[string][]byte{}
	for name, p := range m {
		b, err := p.Append(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		out[name] = b
	}
	return out
}

// connectBytes is a CONNECT with every field.
func connectBytes(t *testing.T, v mqtt.Version) []byte {
	t.Helper()
	c := mqtt.Connect{
		Version: v, CleanStart: true, KeepAlive: 60, ClientID: "cut",
		Will:        &mqtt.Will{Topic: "w", Payload: []byte("gone")},
		HasUsername: true, Username: "u", HasPassword: true, Password: []byte("p"),
	}
	if v == mqtt.V5 {
		c.Properties = c.Properties.AppendUint32(mqtt.PropSessionExpiryInterval, 0).AppendUserProperty("k", "v")
	}
	b, err := c.Append(nil, v)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestHostile_01_ConnectAndSendNothing(t *testing.T) {
	const limit = time.Second
	hostile(t, arena{gw: gw.Config{ConnectTimeout: limit}}, func(h *hall) {
		const n = 200
		began := time.Now()
		var all []net.Conn
		for range n {
			all = append(all, h.socket())
		}
		cpu := cpuTime()
		hungUp(t, all[0])
		if took := time.Since(began); took < limit {
			t.Errorf("closed after %v, before the CONNECT deadline of %v", took, limit)
		}
		for _, nc := range all {
			hungUp(t, nc)
		}
		// Nobody spins: a connection burns next to nothing while it waits.
		if cpu = cpuTime() - cpu; cpu > limit/2 {
			t.Errorf("%d silent connections took %v of CPU in %v", n, cpu, time.Since(began))
		}
		if got := h.l.Counters().Closed["connect-timeout"]; got != n {
			t.Errorf("%d connections closed for their silence, want %d", got, n)
		}
	})
}

func TestHostile_02_OneByteAtATime(t *testing.T) {
	const limit = time.Second
	hostile(t, arena{gw: gw.Config{ConnectTimeout: limit}}, func(h *hall) {
		nc := h.socket()
		began := time.Now()
		var err error
		for _, c := range connectBytes(t, mqtt.V5) { // takes 2 s at this rate, or longer
			_ = nc.SetReadDeadline(time.Now().Add(40 * time.Millisecond))
			_, _ = nc.Write([]byte{c})
			if _, err = nc.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
		took := time.Since(began)
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) || took < limit {
			t.Errorf("%v after %v, want the end at the CONNECT deadline of %v, whatever trickles in", err, took, limit)
		}
	})
}

func TestHostile_03_FirstPacketIsNotConnect(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for typ := range 16 {
			for _, body := range [][]byte{nil, {0, 1}, {0, 1, 't', 0, 1, 0}, bytes.Repeat([]byte{0}, 200)} {
				if mqtt.Type(typ) == mqtt.TypeConnect {
					continue
				}
				nc := h.socket()
				_, _ = nc.Write(frame(byte(typ)<<4|first3(mqtt.Type(typ)), body))
				hungUp(t, nc)
			}
		}
		for _, b := range samples(t, mqtt.V5) { // an acknowledgement before CONNECT has crashed a broker
			nc := h.socket()
			_, _ = nc.Write(b)
			hungUp(t, nc)
		}
	})
}

func TestHostile_04_FirstPacketAnnounces268435455Bytes(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		const n = 100
		allocated := func(b []byte) int {
			least := math.MaxInt
			for range 4 { // a collection in between empties the pools
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for range n {
					nc := h.socket()
					_, _ = nc.Write(b)
					hungUp(t, nc)
				}
				h.deserted()
				runtime.ReadMemStats(&after)
				least = min(least, int(after.TotalAlloc-before.TotalAlloc)/n)
			}
			return least
		}
		plain := allocated([]byte{0xC0, 0}) // both ends of a connection without any length
		huge := allocated([]byte{0x30, 0xFF, 0xFF, 0xFF, 0x7F, 0, 1, 't'})
		if huge > plain+4<<10 {
			t.Errorf("a length of 256 MB makes a connection allocate %d bytes, without it are %d", huge, plain)
		}
	})
}

func TestHostile_05_ConnectAboveTheLimit(t *testing.T) {
	hostile(t, arena{gw: gw.Config{MaxPacketBytes: 1 << 20}}, func(h *hall) {
		for _, length := range [][]byte{{0xFF, 0xFF, 0xFF, 0x7F}, {0xFD, 0xFF, 0x3F}} { // 256 MB; limit + 1
			nc := h.socket()
			_, _ = nc.Write(append([]byte{0x10}, length...))
			hungUp(t, nc)
		}
		// A length within the limit is not taken at its word either: what is
		// held is what has come.
		const n = 200
		for range n {
			nc := h.socket()
			_, _ = nc.Write(append([]byte{0x10, 0xFC, 0xFF, 0x3F}, connectBytes(t, mqtt.V5)[2:]...))
		}
		h.eventually("all are there", func() bool { return h.l.Counters().Open == n })
		h.atMost(n*8<<10, fmt.Sprintf("for %d connections that announce 1 MB", n))
	})
}

func TestHostile_06_RemainingLengthOfFiveBytes(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, length := range [][]byte{{0xFF, 0xFF, 0xFF, 0xFF, 0x7F}, {0x80, 0x80, 0x80, 0x80, 0}, {0x80, 0x80, 0x80, 0x80, 0x80}} {
			nc := h.socket()
			_, _ = nc.Write(append([]byte{0x10}, length...))
			hungUp(t, nc)
			for _, v := range versions {
				for _, first := range []byte{0x30, 0x40, 0x82, 0xC0, 0xE0} {
					r := h.online(v, "c")
					r.bytes(append([]byte{first}, length...))
					r.closedWith(mqtt.MalformedPacket)
				}
			}
		}
	})
}

func TestHostile_07_OverlongRemainingLength(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, zero := range [][]byte{{0x80, 0}, {0x80, 0x80, 0}, {0x80, 0x80, 0x80, 0}} {
			for _, v := range versions {
				r := h.online(v, "c")
				r.bytes(append([]byte{0xC0}, zero...))
				if v == mqtt.V5 {
					r.closedWith(mqtt.MalformedPacket) // [MQTT-1.5.5-1]
					continue
				}
				expect[mqtt.Pingresp](r) // no rule forbids it before 5.0
			}
		}
		b := connectBytes(t, mqtt.V5) // in CONNECT the version is known only after the length
		r := h.dial(mqtt.V5)
		r.bytes(append([]byte{0x10, b[1] | 0x80, 0x80, 0}, b[2:]...))
		if code := connackCode(t, r); code != mqtt.MalformedPacket {
			t.Errorf("CONNACK %s", code)
		}
	})
}

func TestHostile_08_ReservedHeaderFlags(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for name, b := range samples(t, v) {
				if b[0]>>4 == byte(mqtt.TypePublish) {
					continue // all of its flags mean something
				}
				for flags := range byte(16) {
					right := b[0] & 15
					if flags == right || v == mqtt.V31 && right != 0 && flags == right|8 {
						continue // in 3.1 these may be marked as repeated
					}
					r := h.online(v, "c")
					r.bytes(append([]byte{b[0]&0xF0 | flags}, b[1:]...))
					seen := r.closed()
					if v < mqtt.V5 && len(seen) == 0 {
						continue
					}
					if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket {
						t.Errorf("%s: %s with flags %#x: got %+v", v, name, flags, seen)
					}
				}
			}
			for flags := byte(1); flags < 16; flags++ {
				b := connectBytes(t, v)
				b[0] |= flags
				r := h.dial(v)
				r.bytes(b)
				want := mqtt.MalformedPacket
				if v < mqtt.V5 {
					want = 0xFF
				}
				if code := connackCode(t, r); code != want {
					t.Errorf("%s: CONNECT with flags %#x: CONNACK %s", v, flags, code)
				}
			}
		}
	})
}

// last is the last of the packets, nil when there is none.
func last(seen []mqtt.Packet) mqtt.Packet {
	if len(seen) == 0 {
		return nil
	}
	return seen[len(seen)-1]
}

func TestHostile_09_ReservedPacketTypes(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for _, b := range [][]byte{{0x00, 0}, {0x0F, 2, 0, 1}, {0xF0, 0}, {0xF0, 1, 0x19}} {
				if v == mqtt.V5 && b[0] == 0xF0 {
					continue // AUTH
				}
				r := h.online(v, "c")
				r.bytes(b)
				r.closedWith(mqtt.MalformedPacket)
			}
		}
	})
}

// cuts calls fn with every incomplete beginning of every packet.
func cuts(t *testing.T, v mqtt.Version, fn func(name string, part []byte)) {
	t.Helper()
	for name, b := range samples(t, v) {
		for n := 1; n < len(b); n++ {
			fn(fmt.Sprintf("%s: %d bytes of %s", v, n, name), b[:n])
		}
	}
}

func TestHostile_10_CutThenFIN(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			cuts(t, v, func(name string, part []byte) {
				r := h.online(v, "c")
				r.bytes(part)
				_ = r.nc.(*net.TCPConn).CloseWrite()
				if seen := r.closed(); len(seen) > 0 {
					t.Errorf("%s: got %+v", name, seen)
				}
			})
			for b, n := connectBytes(t, v), 1; n < len(b); n++ {
				nc := h.socket()
				_, _ = nc.Write(b[:n])
				_ = nc.(*net.TCPConn).CloseWrite()
				hungUp(t, nc)
			}
			h.hangUp()
		}
	})
}

func TestHostile_11_CutThenSilence(t *testing.T) {
	// 3.1 is read by the same code as 3.1.1.
	hostile(t, arena{gw: gw.Config{ConnectTimeout: time.Second}}, func(h *hall) {
		began := time.Now()
		var unconnected []net.Conn
		var connected []*raw
		for _, v := range []mqtt.Version{mqtt.V311, mqtt.V5} {
			for b, n := connectBytes(t, v), 1; n < len(b); n++ {
				nc := h.socket()
				_, _ = nc.Write(b[:n])
				unconnected = append(unconnected, nc)
			}
			cuts(t, v, func(name string, part []byte) {
				r := h.with(v, mqtt.Connect{ClientID: name, CleanStart: true, KeepAlive: 1})
				r.bytes(part)
				connected = append(connected, r)
			})
		}
		for _, nc := range unconnected {
			hungUp(t, nc)
		}
		for _, r := range connected {
			r.closedWith(mqtt.KeepAliveTimeout)
		}
		if took := time.Since(began); took < 1500*time.Millisecond {
			t.Errorf("closed after %v, before one and a half times the keep alive", took)
		}
	})
}

func TestHostile_12_SecondConnect(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			r := h.online(v, "c")
			r.bytes(connectBytes(t, v))
			r.closedWith(mqtt.ProtocolError)
			r = h.dial(v)
			r.bytes(append(connectBytes(t, v), connectBytes(t, v)...)) // in one read
			seen := r.closed()
			if v < mqtt.V5 {
				seen = append(seen, mqtt.Disconnect{Code: mqtt.ProtocolError})
			}
			if len(seen) != 2 || seen[0].Type() != mqtt.TypeConnack {
				t.Errorf("%s: got %+v, want CONNACK and the end", v, seen)
			} else if d, ok := seen[1].(mqtt.Disconnect); !ok || d.Code != mqtt.ProtocolError {
				t.Errorf("%s: got %+v, want a protocol error", v, seen)
			}
		}
	})
}
