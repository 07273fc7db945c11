package record

import (
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

// made is a recording of one session, with a packet each ten milliseconds.
func made(packets ...mqtt.Packet) *Recording {
	s := &Session{Number: 1, ClientID: "c", Version: mqtt.V5}
	for i, p := range packets {
		d := proxy.ToServer
		switch q := p.(type) {
		case mqtt.Puback, mqtt.Suback, mqtt.Connack:
			d = proxy.ToClient
		case mqtt.Publish:
			if strings.HasPrefix(string(q.Topic), "from/broker") {
				d = proxy.ToClient
			}
		}
		b, err := p.Append(nil, mqtt.V5)
		if err != nil {
			panic(err)
		}
		s.Packets = append(s.Packets, Packet{At: time.Duration(i) * 10 * time.Millisecond, Direction: d, Bytes: b, Order: i})
	}
	return &Recording{Sessions: []*Session{s}}
}

func TestDiffOfOrderAndLatency(t *testing.T) {
	down := func(topic, payload string) mqtt.Packet {
		return mqtt.Publish{Topic: []byte("from/broker/" + topic), Payload: []byte(payload)}
	}
	up := mqtt.Publish{Topic: []byte("up"), QoS: 1, PacketID: 3, Payload: []byte("x")}
	then := made(mqtt.Connect{Version: mqtt.V5, ClientID: "c"}, mqtt.Connack{}, down("a", "1"), down("b", "2"), down("a", "3"), up, mqtt.Puback{PacketID: 3})
	now := made(mqtt.Connect{Version: mqtt.V5, ClientID: "c"}, mqtt.Connack{}, down("b", "2"), down("a", "3"), down("a", "1"), up, down("b", "4"), mqtt.Puback{PacketID: 3})
	for _, tt := range []struct {
		late time.Duration
		want string
	}{
		{0, `extra PUBLISH "from/broker/b", QoS 0; order PUBLISH "from/broker/a", QoS 0`},
		{5 * time.Millisecond, `late PUBACK to PUBLISH "up", QoS 1; extra PUBLISH "from/broker/b", QoS 0; order PUBLISH "from/broker/a", QoS 0`},
		{time.Second, `extra PUBLISH "from/broker/b", QoS 0; order PUBLISH "from/broker/a", QoS 0`},
	} {
		var got []string
		for _, d := range Compare(then, now, DiffOptions{By: proxy.ToClient, Late: tt.late}).Differences {
			got = append(got, d.Kind+" "+d.Packet)
		}
		if strings.Join(got, "; ") != tt.want {
			t.Errorf("late %v: %s, want %s", tt.late, strings.Join(got, "; "), tt.want)
		}
	}
	c := Compare(then, made(), DiffOptions{By: proxy.ToClient})
	if len(c.Differences) != 1 || c.Differences[0].Kind != KindUnsent {
		t.Error(c.Differences)
	}
}
