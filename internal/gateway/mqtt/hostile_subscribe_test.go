package mqtt_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestHostile_60_SubscribeCutShort(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for name, c := range map[string]struct {
				first byte
				body  [][]byte
				want  mqtt.ReasonCode
			}{
				"SUBSCRIBE without filters":                {0x82, nil, mqtt.ProtocolError},
				"SUBSCRIBE, empty filter":                  {0x82, [][]byte{str(""), {0}}, mqtt.MalformedPacket},
				"SUBSCRIBE, filter without its options":    {0x82, [][]byte{str("t")}, mqtt.MalformedPacket},
				"SUBSCRIBE, second filter without options": {0x82, [][]byte{str("t"), {0}, str("u")}, mqtt.MalformedPacket},
				"SUBSCRIBE, filter beyond the end":         {0x82, [][]byte{{0, 9, 't'}}, mqtt.MalformedPacket},
				"SUBSCRIBE, half a length":                 {0x82, [][]byte{{0}}, mqtt.MalformedPacket},
				"SUBSCRIBE, filter with NUL":               {0x82, [][]byte{str("a\x00"), {0}}, mqtt.MalformedPacket},
				"SUBSCRIBE, filter that is not UTF-8":      {0x82, [][]byte{str("a\xFF"), {0}}, mqtt.MalformedPacket},
				"UNSUBSCRIBE without filters":              {0xA2, nil, mqtt.ProtocolError},
				"UNSUBSCRIBE, empty filter":                {0xA2, [][]byte{str("")}, mqtt.MalformedPacket},
				"UNSUBSCRIBE, filter beyond the end":       {0xA2, [][]byte{{0, 9, 't'}}, mqtt.MalformedPacket},
			} {
				r := h.online(v, "c")
				r.bytes(frame(c.first, append([][]byte{{0, 1}, propsBytes(v, nil)}, c.body...)...))
				seen := r.closed()
				if v < mqtt.V5 && len(seen) == 0 {
					continue
				}
				if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != c.want {
					t.Errorf("%s: %s: got %+v, want %s", v, name, seen, c.want)
				}
			}
			for _, first := range []byte{0x82, 0xA2} {
				for _, body := range [][]byte{{}, {0}, {0, 0}, {0, 1}} { // no identifier, or 0, or no properties
					r := h.online(v, "c")
					r.bytes(frame(first, body))
					if seen := r.closed(); v == mqtt.V5 && len(seen) != 1 {
						t.Errorf("%#x with % x: got %+v", first, body, seen)
					}
				}
			}
		}
	})
}

func TestHostile_61_SubscriptionOptions(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			for options := range 256 {
				o := byte(options)
				bad := o > 2
				if v == mqtt.V5 {
					bad = o&0xC0 != 0 || o>>4&3 == 3 || o&3 == 3
				}
				if !bad && options > 2 && options%7 != 0 {
					continue // a few good ones are enough
				}
				r := h.online(v, "c")
				r.bytes(frame(0x82, []byte{0, 1}, propsBytes(v, nil), str("t"), []byte{o}))
				if !bad {
					if ack := expect[mqtt.Suback](r); ack.Codes[0] != mqtt.ReasonCode(o&3) {
						t.Errorf("%s: options %#x: SUBACK %s", v, o, ack.Codes[0])
					}
					continue
				}
				seen := r.closed()
				if v < mqtt.V5 && len(seen) == 0 {
					continue
				}
				if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != mqtt.MalformedPacket && d.Code != mqtt.ProtocolError {
					t.Errorf("%s: options %#x: got %+v", v, o, seen)
				}
			}
			h.hangUp()
		}
	})
}

func TestHostile_62_FiltersThatAreNone(t *testing.T) {
	invalidFilters(t, "a#", "#/a", "a+", "+a/", "//#/", "#/", "##", "++", "a/b#", "a/#/", "a/+b/c", "+#", "#+", "a/#b",
		"$SYS#", strings.Repeat("/", 128), strings.Repeat("/", 65535), strings.Repeat("+/", 200)+"#")
}

func TestHostile_63_SharedFiltersThatAreNone(t *testing.T) {
	invalidFilters(t, "$share/", "$share//t", "$share/g", "$share/g+/t", "$share/g#/t", "$share/+/t", "$share/#", "$share/g/",
		"$share/$share/g/t", "$share/g/$share/h/t", "$queue/$share/g/t", "$share/g/a#", "$share/g/a/#/b", "$share/g/"+strings.Repeat("/", 200))
}

// invalidFilters expects each filter to be refused on its own, without harm to
// those beside it.
func invalidFilters(t *testing.T, filters ...string) {
	hostile(t, arena{}, func(h *hall) {
		for _, v := range versions {
			r := h.online(v, "c")
			for _, f := range filters {
				codes := r.subscribe(nil, mqtt.Subscription{Filter: "good/+/#", QoS: 1}, mqtt.Subscription{Filter: f}, mqtt.Subscription{Filter: "/+/#"})
				want := mqtt.TopicFilterInvalid
				if v < mqtt.V5 {
					want = mqtt.UnspecifiedError // "failure"
				}
				if codes[0] != 1 || codes[1] != want || codes[2] != 0 {
					t.Errorf("%s: %.30q: SUBACK %s, want %s for it alone", v, f, codes, want)
				}
				id := r.id()
				r.send(mqtt.Unsubscribe{PacketID: id, Filters: []string{f}})
				if ack := expect[mqtt.Unsuback](r); v == mqtt.V5 && ack.Codes[0] != mqtt.TopicFilterInvalid && ack.Codes[0] != mqtt.NoSubscriptionExisted {
					t.Errorf("%.30q: UNSUBACK %s", f, ack.Codes[0])
				}
			}
			if n := h.b.Stats().Subscriptions.Load(); n != 2 {
				t.Errorf("%s: %d subscriptions, want the two good ones", v, n)
			}
			h.hangUp()
			h.deserted()
		}
	})
}

func TestHostile_64_SubscriptionsOfOneClient(t *testing.T) {
	const limit = 5000 // for 1,000,000
	hostile(t, arena{broker: broker.Config{MaxSubscriptions: limit}}, func(h *hall) {
		for _, v := range versions {
			r := h.online(v, "c")
			filters := make([]mqtt.Subscription, 10_000)
			for i := range filters {
				filters[i].Filter = fmt.Sprint("f/", i)
			}
			refusal := mqtt.QuotaExceeded
			if v < mqtt.V5 {
				refusal = mqtt.UnspecifiedError
			}
			for round := range 3 {
				for i, code := range r.subscribe(nil, filters...) {
					if want := refusal * mqtt.ReasonCode(b2i(i >= limit)); code != want {
						t.Fatalf("%s, round %d: filter %d: %s, want %s", v, round, i, code, want)
					}
				}
			}
			if n := h.b.Stats().Subscriptions.Load(); n != limit {
				t.Errorf("%s: %d subscriptions, the limit is %d", v, n, limit)
			}
			h.atMost(limit*1024+leeway, "for the subscriptions of one client")
			_ = r.nc.Close()
			h.deserted()
			h.eventually("they end with the connection", func() bool { return h.b.Stats().Subscriptions.Load() == 0 })
		}
	})
}

func TestHostile_65_WildcardBomb(t *testing.T) {
	// 100 clients with 64 filters each, and one with all the 4,096 combinations
	// of a level and "+" over 12 levels, for 100,000 clients: the worst tree for
	// its number of filters.
	hostile(t, arena{}, func(h *hall) {
		combination := func(i, levels int) string {
			parts := make([]string, levels)
			for j := range parts {
				parts[j] = [2]string{"a", "+"}[i>>j&1]
			}
			return strings.Join(parts, "/") + "/#"
		}
		subscribe := func(r *raw, n, levels int) {
			filters := make([]mqtt.Subscription, n)
			for i := range filters {
				filters[i].Filter = combination(i, levels)
			}
			r.subscribe(nil, filters...)
		}
		bomber := h.online(mqtt.V5, "bomber")
		subscribe(bomber, 4096, 12)
		var all []*raw
		for i := range 100 {
			r := h.online(mqtt.V5, fmt.Sprint("c", i))
			subscribe(r, 64, 6)
			r.sub("+/+/+/+/+/#", 0)
			all = append(all, r)
		}
		p := h.online(mqtt.V5, "p")
		deep := strings.TrimSuffix(strings.Repeat("a/", 60), "/")
		began := cpuTime()
		const n = 20
		for range n {
			p.publish(pub(deep, "boom", 1))
		}
		// 10,000 matches a message; far above what they take.
		if took := cpuTime() - began; took > n*100*time.Millisecond {
			t.Errorf("%v of CPU for a message", took/n)
		}
		for _, r := range append(all, bomber) {
			for range n { // one copy each, however many filters match
				r.message()
			}
			r.silent(time.Millisecond)
		}
	})
}

func TestHostile_66_OverlappingFiltersAndIdentifiers(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		for name, p := range map[string]mqtt.Properties{
			"identifier 0":        props(11, 0),
			"identifier of 5":     props(11, 0x80, 0x80, 0x80, 0x80, 1),
			"identifier overlong": props(11, 0x81, 0),
			"two identifiers":     props(11, 1, 11, 2),
		} {
			r := h.online(mqtt.V5, "c")
			r.send(mqtt.Subscribe{PacketID: 1, Properties: p, Filters: []mqtt.Subscription{{Filter: "t"}}})
			seen := r.closed()
			if d, ok := last(seen).(mqtt.Disconnect); !ok || d.Code != mqtt.ProtocolError && d.Code != mqtt.MalformedPacket {
				t.Errorf("%s: got %+v", name, seen)
			}
		}
		// 20 filters that all match, and then 2,000: one copy, each identifier
		// once, in time that grows with their number.
		for _, n := range []int{20, 2000} {
			r := h.online(mqtt.V5, "c")
			for i := range n {
				parts := strings.Split("a/a/a/a/a/a/a/a/a/a/a", "/")
				for j := range parts {
					if i>>j&1 == 1 {
						parts[j] = "+"
					}
				}
				id := uint32(i + 1)
				if i == n-1 {
					id = 268_435_455
				}
				r.send(mqtt.Subscribe{
					PacketID: r.id(), Properties: mqtt.Properties(nil).AppendVarint(mqtt.PropSubscriptionIdentifier, id),
					Filters: []mqtt.Subscription{{Filter: strings.Join(parts, "/"), QoS: uint8(i % 3)}},
				})
			}
			for range n {
				expect[mqtt.Suback](r)
			}
			began := cpuTime()
			const messages = 20
			for range messages {
				r.send(pub("a/a/a/a/a/a/a/a/a/a/a", "x", 0))
				seen := map[uint32]bool{}
				for p := range r.message().Properties.All() {
					if p.ID == mqtt.PropSubscriptionIdentifier {
						seen[p.Num] = true
					}
				}
				if len(seen) != n || !seen[268_435_455] {
					t.Fatalf("%d identifiers, want %d", len(seen), n)
				}
			}
			if took := cpuTime() - began; took > messages*50*time.Millisecond {
				t.Errorf("%d filters: %v of CPU for a message", n, took/messages)
			}
			r.silent(time.Millisecond)
			_ = r.nc.Close()
		}
	})
}

func TestHostile_70_SubscribeAndUnsubscribeDuringPublishes(t *testing.T) {
	const rounds = 3000 // of each client; 10,000 a second are reached
	hostile(t, arena{}, func(h *hall) {
		stop := make(chan struct{})
		done := make(chan struct{})
		p := h.online(mqtt.V5, "p")
		b, _ := pub("t/x", "x", 0).Append(nil, mqtt.V5)
		b = append(b, b...)
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					_, _ = p.nc.Write(b)
				}
			}
		}()
		all := []*raw{h.online(mqtt.V5, "a"), h.online(mqtt.V311, "b"), h.online(mqtt.V5, "c")}
		filters := []string{"t/x", "t/+", "$share/g/t/x"}
		finished := make(chan error, len(all))
		for i, r := range all {
			go func() { // writes and reads, without the helpers that may end a test
				var b []byte
				for range rounds {
					b, _ = mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: filters[i]}}}.Append(b, r.version)
					b, _ = mqtt.Unsubscribe{PacketID: 2, Filters: []string{filters[i]}}.Append(b, r.version)
				}
				go func() { _, _ = r.nc.Write(b) }()
				for acks := 0; acks < 2*rounds; {
					p, err := r.read(patience)
					if err != nil {
						finished <- err
						return
					}
					if typ := p.Type(); typ == mqtt.TypeSuback || typ == mqtt.TypeUnsuback {
						acks++
					}
				}
				finished <- nil
			}()
		}
		for range all {
			if err := <-finished; err != nil {
				t.Error(err)
			}
		}
		close(stop)
		<-done
		p.send(mqtt.Pingreq{})
		expect[mqtt.Pingresp](p)
		if n := h.b.Stats().Subscriptions.Load() + h.b.Stats().SharedSubscriptions.Load(); n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		for _, r := range all { // what was on its way has come
			r.send(mqtt.Pingreq{})
			for {
				if q, err := r.read(patience); err != nil || q.Type() == mqtt.TypePingresp {
					break
				}
			}
			r.held = nil
		}
		if code := p.publish(pub("t/x", "stale?", 1)); code != mqtt.NoMatchingSubscribers {
			t.Errorf("PUBACK %s, want no matching subscribers", code)
		}
		for _, r := range all {
			r.silent(5 * time.Millisecond)
		}
	})
}

func TestHostile_71_UnsubscribeUnknown(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		r := h.online(mqtt.V5, "c")
		r.sub("t", 0)
		for range 100 {
			id := r.id()
			r.send(mqtt.Unsubscribe{PacketID: id, Filters: []string{"u", "t/#", "$share/g/t", "T"}})
			for i, code := range expect[mqtt.Unsuback](r).Codes {
				if code != mqtt.NoSubscriptionExisted {
					t.Fatalf("UNSUBACK %d: %s", i, code)
				}
			}
		}
		r.publish(pub("t", "still there", 0))
		r.message()
		for _, v := range []mqtt.Version{mqtt.V31, mqtt.V311} {
			o := h.online(v, "old")
			o.send(mqtt.Unsubscribe{PacketID: 1, Filters: []string{"u"}})
			expect[mqtt.Unsuback](o)
		}
	})
}

func TestHostile_55_NoLocalOnASharedSubscription(t *testing.T) {
	hostile(t, arena{}, func(h *hall) {
		r := h.online(mqtt.V5, "c")
		r.send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "ok"}, {Filter: "$share/g/t", NoLocal: true}}})
		r.closedWith(mqtt.ProtocolError)
	})
}
