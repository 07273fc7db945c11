package mqtt_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
)

func TestHostile_72_RetainedForAClientThatDoesNotRead(t *testing.T) {
	// 2,000 for a million, with payloads that exceed what the sockets hold.
	const n, pending = 2000, 64 << 10
	a := arena{gw: gw.Config{PendingBytes: pending}}
	a.listen.WriteBufferBytes = 16 << 10
	hostile(t, a, func(h *hall) {
		payload := strings.Repeat("x", 4<<10)
		p := h.online(mqtt.V5, "p")
		for i := range n {
			p.retain(fmt.Sprint("k/", i), payload, nil)
		}
		before := h.grown()
		for qos := range uint8(3) {
			r := h.online(mqtt.V5, "c")
			r.send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "k/#", QoS: qos}}})
			h.serves()
			h.atMost(before+1<<20, fmt.Sprintf("for %d retained messages at QoS %d that wait", n, qos))
			// The answer goes on as the client reads.
			expect[mqtt.Suback](r)
			seen := map[string]bool{}
			for range n {
				seen[string(r.message().Topic)] = true
			}
			if len(seen) != n {
				t.Errorf("QoS %d: %d of %d retained messages arrived", qos, len(seen), n)
			}
			_ = r.nc.Close()
		}
		// A client asks for everything again and again, by the same filter and by
		// a thousand others, and reads nothing.
		r := h.online(mqtt.V5, "greedy")
		var filters []mqtt.Subscription
		for i := range 1000 {
			filters = append(filters, mqtt.Subscription{Filter: "#"}, mqtt.Subscription{Filter: fmt.Sprint("$share/", i, "/none")})
		}
		for i := range 1000 {
			filters = append(filters, mqtt.Subscription{Filter: []string{"+/#", "k/+", "+/+", "k/#", "#"}[i%5]})
		}
		for i := range 1000 {
			filters = append(filters, mqtt.Subscription{Filter: "k/" + strconv.Itoa(i)})
		}
		b, err := mqtt.Subscribe{PacketID: 2, Filters: filters}.Append(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		r.bytes(b)
		h.serves()
		h.atMost(before+2<<20, "for a client that asks for everything a thousand times")
		// Deep topics have as many filters that match as anybody likes.
		deep := "d/" + strings.Repeat("x/", 10) + "x"
		p.retain(deep, payload, nil)
		for i := range n {
			p.retain(deep[:len(deep)-1]+strconv.Itoa(i), "", nil)
			p.retain(deep[:len(deep)-1]+strconv.Itoa(i), payload[:10], nil)
		}
		before = h.grown()
		filters = filters[:0]
		for i := range 1024 {
			parts := strings.Split(deep, "/")
			for j := range 10 {
				if i>>j&1 == 1 {
					parts[j+1] = "+"
				}
			}
			parts[11] = "+"
			filters = append(filters, mqtt.Subscription{Filter: strings.Join(parts, "/"), QoS: 1})
		}
		_ = r.nc.Close()
		r = h.with(mqtt.V5, mqtt.Connect{ // with a window that keeps the answers back
			ClientID: "greedier", CleanStart: true, Properties: mqtt.Properties(nil).AppendUint16(mqtt.PropReceiveMaximum, 1),
		})
		for range 3 {
			for _, code := range r.subscribe(nil, filters...) {
				if code.IsError() {
					t.Fatalf("SUBACK %s", code)
				}
			}
		}
		h.serves()
		h.atMost(before+2<<20, "for a thousand filters of which each matches everything")
		_ = r.nc.Close()
		for i := range n {
			p.retain(fmt.Sprint("k/", i), "", nil)
			p.retain(deep[:len(deep)-1]+strconv.Itoa(i), "", nil)
		}
		p.retain(deep, "", nil)
	})
}
