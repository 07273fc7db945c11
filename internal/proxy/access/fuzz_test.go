package access

import (
	"bytes"
	"log/slog"
	"net/netip"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/router"
)

// FuzzRules reads a rule and asks it about anything: what it says about a filter holds
// for the topics that the filter matches.
func FuzzRules(f *testing.F) {
	f.Add("deny publish subscribe topic=a/%c/+/# client=c*", "c1", "u", "a/c1/+/#", "a/c1/x")
	f.Add("allow topic=# user=?", "+", "u", "$queue/", "$SYS/a")
	f.Fuzz(func(t *testing.T, text, client, user, filter, topic string) {
		r, err := parseRule(text)
		if err != nil || router.ValidateFilter(filter) != nil || router.ValidateName(topic) != nil {
			return
		}
		if _, _, shared, _ := router.SplitShared(filter); shared {
			return
		}
		rs := rules{list: about([]rule{r}, who{client, user, netip.MustParseAddr("::1")})}
		if len(rs.list) == 0 || r.actions&subscribe == 0 || r.actions&receive == 0 || !router.Match(filter, topic) {
			return
		}
		if rs.decide(subscribe, filter).rule != "" && rs.decide(receive, topic).rule == "" {
			t.Fatalf("%q speaks of %q, but not of %q", text, filter, topic)
		}
	})
}

// FuzzStage feeds packets of both sides, each behind a byte with its direction.
func FuzzStage(f *testing.F) {
	var b []byte
	for _, p := range []mqtt.Packet{
		mqtt.Publish{Topic: []byte("no"), QoS: 2, PacketID: 1, Properties: mqtt.Properties{}.AppendUint16(mqtt.PropTopicAlias, 1)},
		mqtt.Pubrel{PacketID: 1},
		mqtt.Subscribe{PacketID: 2, Filters: []mqtt.Subscription{{Filter: "$queue/"}, {Filter: "no/#"}, {Filter: "$share/g/a"}}},
	} {
		b = append(b, 0)
		b, _ = p.Append(b, mqtt.V5)
	}
	f.Add(b, true)
	f.Fuzz(func(t *testing.T, b []byte, five bool) {
		v := mqtt.V311
		if five {
			v = mqtt.V5
		}
		factory, err := New(Config{Rules: []string{"deny publish subscribe topic=no/#", "deny receive topic=+/secret"}})
		if err != nil {
			t.Fatal(err)
		}
		s, err := factory.Open(&proxy.Conn{Version: v, Metrics: &proxy.Metrics{}, Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		emit := func(f proxy.Frame) error {
			if _, n, err := mqtt.Parse(bytes.Clone(f.Bytes), proxy.Options(f.Direction, v)); err != nil || n != len(f.Bytes) {
				t.Fatalf("%s %x: %v", f.Direction, f.Bytes, err)
			}
			return nil
		}
		for len(b) > 1 {
			d := proxy.Direction(b[0] & 1)
			h, _, n, err := mqtt.Frame(b[1:], 1<<16)
			if err != nil {
				return
			}
			frame := proxy.Frame{Direction: d, Header: h, Bytes: b[1 : 1+n]}
			b = b[1+n:]
			if p, _, err := mqtt.Parse(frame.Bytes, proxy.Options(d, v)); err != nil || p.Type() == mqtt.TypeConnect {
				return
			}
			if s.Handle(t.Context(), frame, emit) != nil {
				return
			}
		}
	})
}
