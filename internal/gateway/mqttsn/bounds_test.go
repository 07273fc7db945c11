package mqttsn

import (
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

func TestMessagesThatAreNeverReleasedAreBounded(t *testing.T) {
	w := newWorld(t, nil)
	a := peerAddress("a")
	w.forge(a, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "x"})
	publish := func(id int) {
		w.forge(a, mqttsn.Publish{QoS: 2, Kind: mqttsn.ShortTopic, TopicID: 0x6161, MsgID: uint16(id)})
	}
	for id := 1; id <= openMessages; id++ {
		if publish(id); latest[mqttsn.Pubrec](w, a).MsgID != uint16(id) {
			t.Fatalf("%d is refused", id)
		}
		w.mqtt.next()
	}
	stored := w.stored()
	publish(openMessages + 1)
	if m := latest[mqttsn.Puback](w, a); m.Code != mqttsn.Congestion || m.MsgID != openMessages+1 {
		t.Errorf("%+v", m)
	}
	if _, ok := w.mqtt.next(); ok || w.stored() != stored {
		t.Error("a message that is refused is published, or remembered")
	}
	w.forge(a, mqttsn.Pubrel{MsgID: 7})
	if publish(openMessages + 1); latest[mqttsn.Pubrec](w, a).MsgID != openMessages+1 {
		t.Error("it is refused when there is room")
	}
}

func TestFiltersThatAreTooLongAreRefused(t *testing.T) {
	w := newWorld(t, map[string]string{"max_datagram": "100"})
	a := peerAddress("a")
	w.forge(a, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 600, ClientID: "x"})
	longest := strings.Repeat("t", 94) // 6 bytes go before it in REGISTER
	for _, s := range []struct {
		filter string
		want   mqttsn.ReturnCode
	}{
		{longest, mqttsn.Accepted},
		{longest + "t", mqttsn.NotSupported},
		{longest[:92] + "/#", mqttsn.Accepted},
		{longest[:93] + "/#", mqttsn.NotSupported},
		{strings.Repeat("t", 60_000), mqttsn.NotSupported},
	} {
		w.forge(a, mqttsn.Subscribe{MsgID: 1, Filter: s.filter})
		if m := latest[mqttsn.Suback](w, a); m.Code != s.want {
			t.Errorf("%s… with %d bytes: %+v, want %v", s.filter[:5], len(s.filter), m, s.want)
		}
	}
	if list := w.gw.clients.named(w.gw.sessionID("x")).out.topics.list; len(list) != 1 {
		t.Errorf("%d topics are kept", len(list))
	}
}
