package mqttsn

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqttsn"
)

// numberedAddress is one of many.
func numberedAddress(i int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 1)
}

// TestWhoDoesNotAnswerKeepsNobodyOut has as many as may be connecting, and more, begin
// and say nothing about their wills.
func TestWhoDoesNotAnswerKeepsNobodyOut(t *testing.T) {
	const most = 10
	w := newWorld(t, map[string]string{"max_half_open": fmt.Sprint(most)})
	silent := mqttsn.Connect{Will: true, ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "silent"}
	for i := range 3 * most {
		w.forge(numberedAddress(i), silent)
	}
	if n := w.gw.halfOpen.Load(); n != most {
		t.Errorf("%d are connecting, want %d", n, most)
	}
	plain, willing := peerAddress("a"), peerAddress("b")
	w.forge(plain, mqttsn.Connect{ProtocolID: mqttsn.ProtocolID, KeepAlive: 60, ClientID: "plain"})
	if m := latest[mqttsn.Connack](w, plain); m.Code != mqttsn.Accepted {
		t.Errorf("%+v", m)
	}
	silent.ClientID = "willing"
	w.forge(willing, silent)
	silent.ClientID = "silent"
	for i := range most - 1 { // they go on, and who answers in time has time
		w.forge(numberedAddress(100+i), silent)
	}
	w.forge(willing, mqttsn.WillTopic{Topic: "will"})
	w.forge(willing, mqttsn.WillMsg{Payload: []byte("x")})
	if m := latest[mqttsn.Connack](w, willing); m.Code != mqttsn.Accepted {
		t.Errorf("%+v", m)
	}
	checkTables(t, w.gw)
	if n := w.risen("abandoned"); n != 3*most {
		t.Errorf("%d are given up, want %d", n, 3*most)
	}
}

// TestWhoIsAtTheAuthenticatorIsNotGivenUp has nobody in the lobby.
func TestWhoIsAtTheAuthenticatorIsNotGivenUp(t *testing.T) {
	l := new(lobby)
	if l.evict() {
		t.Error("nobody is given up")
	}
	g := &Gateway{inline: true}
	g.crew.init(g)
	cs := make([]*client, 4)
	for i := range cs {
		cs[i] = &client{g: g, setup: &setup{}}
		l.enter(cs[i])
	}
	l.leave(cs[1].setup)
	l.leave(cs[1].setup)
	l.leave(cs[3].setup)
	l.leave(nil)
	for _, i := range []int{0, 2} {
		if !l.evict() || cs[i].inbox == nil {
			t.Errorf("%d is not given up", i)
		}
	}
	if l.evict() || cs[1].inbox != nil || cs[3].inbox != nil || l.first != nil || l.last != nil {
		t.Errorf("%v and %v are left", l.first, l.last)
	}
}
