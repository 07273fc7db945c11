package fault

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

func TestTopicsBehindAliases(t *testing.T) {
	w := newWire(t, "a", mqtt.V5, "drop @ c2s topic=a/#")
	p := publish(0, 0)
	p.Properties = p.Properties.AppendUint16(mqtt.PropTopicAlias, 3)
	short := p
	short.Topic = nil
	other := short
	other.Properties = mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 4)
	if err := w.client(p, short, other); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, line(other))
}

func TestTheSameSeedDropsTheSamePackets(t *testing.T) {
	// Clients take turns in different ways; what happens to each is the same.
	run := func(order []int, seed uint64) map[string][]int {
		set := NewSet(Options{Seed: seed})
		got := map[string][]int{}
		set.opt.Report = func(e Event) { got[e.Client] = append(got[e.Client], e.Number) }
		addRules(t, set, "drop @ c2s PUBLISH / p=0.3", "corrupt @ c2s PUBLISH / p=0.1")
		clients := make([]*wire, 3)
		for i := range clients {
			clients[i] = &wire{t: t, v: mqtt.V5}
			clients[i].join(set, fmt.Sprintf("client-%d", i))
		}
		for _, i := range order {
			if err := clients[i].client(publish(1, 1)); err != nil {
				t.Fatal(err)
			}
		}
		return got
	}
	var inTurn, oneByOne []int
	for range 100 {
		inTurn = append(inTurn, 0, 1, 2)
	}
	for i := range 3 {
		oneByOne = append(oneByOne, slices.Repeat([]int{2 - i}, 100)...)
	}
	a, b := run(inTurn, 7), run(oneByOne, 7)
	if fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("%v\n%v", a, b)
	}
	for client, dropped := range a {
		if n := len(dropped); n < 15 || n > 65 {
			t.Errorf("%s: %d of 100", client, n)
		}
	}
	if fmt.Sprint(a["client-0"]) == fmt.Sprint(a["client-1"]) {
		t.Error("clients have the same chances")
	}
	if c := run(inTurn, 8); fmt.Sprint(a) == fmt.Sprint(c) {
		t.Error("the seed changes nothing")
	}
}

func TestRulesComeAndGo(t *testing.T) {
	set := NewSet(Options{Live: true})
	w := &wire{t: t, v: mqtt.V5}
	w.join(set, "a")
	addRules(t, set, "hold @ s2c PINGRESP", "named: drop @ c2s PINGREQ")
	if err := errors.Join(w.broker(mqtt.Pingresp{}), w.client(mqtt.Pingreq{})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient)
	if got := set.Rules(); len(got) != 2 || got[0].Name != "1" || got[0].Held != 1 || got[1].Name != "named" || got[1].Fired != 1 {
		t.Errorf("%+v", got)
	}
	if err := set.Remove("1"); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, "PINGRESP")
	if err := set.Remove("1"); !errors.Is(err, ErrNoRule) {
		t.Error(err)
	}
	if err := errors.Join(set.Remove("named"), w.client(mqtt.Pingreq{})); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToServer, "PINGREQ")
	addRules(t, set, "close @ both client=a")
	set.Close()
	if len(w.acts()) != 1 {
		t.Error(w.acts())
	}
}

// TestARuleThatGoesHoldsNothing has a packet that is on its way through the rules be
// held when its rule has gone already.
func TestARuleThatGoesHoldsNothing(t *testing.T) {
	set := NewSet(Options{Live: true})
	w := &wire{t: t, v: mqtt.V5}
	w.join(set, "a")
	addRules(t, set, "pings: hold @ s2c PINGRESP")
	p := passage{st: w.stage.(*stage), ctx: w.ctx, emit: w.emit, rules: *set.rules.Load()}
	if err := set.Remove("pings"); err != nil {
		t.Fatal(err)
	}
	f, err := proxy.NewFrame(proxy.ToClient, []byte{0xd0, 0})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.run(0, f, nil); err != nil {
		t.Fatal(err)
	}
	w.went(proxy.ToClient, "PINGRESP")
}
