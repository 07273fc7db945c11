package mqtt_test

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	gw "github.com/iotctl/iotctl/internal/gateway/mqtt"
	"github.com/iotctl/iotctl/internal/transport"
)

// strangers is an address of the loopback network that is not the control
// client's. Where there is but one, the test is left out.
func strangers(t *testing.T) string {
	t.Helper()
	const addr = "127.0.0.2"
	l, err := net.Listen("tcp", addr+":0")
	if err != nil {
		t.Skipf("the loopback interface has one address: %v", err)
	}
	_ = l.Close()
	return addr
}

func TestHostile_13_TenThousandConnectionsFromOneAddress(t *testing.T) {
	const limit, n = 50, 1000 // for 10,000: the file descriptors of a test
	from := strangers(t)
	a := arena{listen: transport.ListenConfig{MaxPerSource: limit}, gw: gw.Config{ConnectTimeout: 700 * time.Millisecond}}
	hostile(t, a, func(h *hall) {
		var all []net.Conn
		for range n {
			all = append(all, h.socketFrom(from))
		}
		h.eventually("the rest is refused", func() bool {
			return h.l.Counters().Refused[transport.RefusedSource] >= n-limit
		})
		if open := h.l.Counters().Open; open > limit {
			t.Errorf("%d connections are open, the limit is %d", open, limit)
		}
		h.serves() // from the other address
		for _, nc := range all {
			hungUp(t, nc)
		}
	})
}

func TestHostile_18_ReceiverThatNeverReads(t *testing.T) {
	const (
		queue, pending = 1 << 20, 256 << 10
		timeout        = 700 * time.Millisecond
	)
	a := arena{
		broker: broker.Config{},
		gw:     gw.Config{PendingBytes: pending, SendTimeout: timeout},
		listen: transport.ListenConfig{WriteBufferBytes: 16 << 10},
	}
	a.broker.Queue.MaxQueuedBytes = queue
	hostile(t, a, func(h *hall) {
		for qos := range uint8(3) {
			stalled := h.online(mqtt.V5, "stalled")
			_ = stalled.nc.(*net.TCPConn).SetReadBuffer(4 << 10)
			stalled.sub("flood", qos)
			p := h.online(mqtt.V5, "publisher")
			payload := string(make([]byte, 64<<10))
			began := time.Now()
			for range 200 { // 13 MB
				p.publish(pub("flood", payload, qos))
			}
			p.send(mqtt.Pingreq{})
			expect[mqtt.Pingresp](p)         // all is dealt with
			if time.Since(began) < timeout { // else it has been cut off already
				h.atMost(queue+2*pending+1<<20, fmt.Sprintf("while a client at QoS %d reads nothing", qos))
			}
			h.eventually("it is cut off", func() bool { return h.l.Counters().Open == 1 })
			if took := time.Since(began); took < timeout {
				t.Errorf("QoS %d: cut off after %v, before the time-out", qos, took)
			}
			_ = p.nc.Close()
			h.hangUp()
			h.deserted()
		}
	})
}

func TestHostile_19_NoKeepAliveFromIdleClients(t *testing.T) {
	// 500 for 50,000: the memory of each is what counts.
	const n = 500
	hostile(t, arena{gw: gw.Config{MaxKeepAlive: time.Second}}, func(h *hall) {
		began := time.Now()
		var all []*raw
		for i := range n {
			r := h.dial(mqtt.V5)
			ack := r.connect(mqtt.Connect{ClientID: fmt.Sprint("idle", i), CleanStart: true})
			if v, _ := ack.Properties.Uint16(mqtt.PropServerKeepAlive); v != 1 {
				t.Fatalf("server keep alive %d, want 1", v)
			}
			r.in = nil
			all = append(all, r)
		}
		h.atMost(n*10<<10, fmt.Sprintf("for %d idle clients", n))
		for _, r := range all {
			r.closedWith(mqtt.KeepAliveTimeout)
		}
		if took := time.Since(began); took < 1500*time.Millisecond {
			t.Errorf("closed after %v, before one and a half times the server's keep alive", took)
		}
	})
}

func TestFarewellDoesNotWaitForTheRate(t *testing.T) {
	const n = 20
	a := arena{listen: transport.ListenConfig{MessageRate: transport.Rate{Count: 5, Per: 24 * time.Hour}}}
	var flood []byte
	for range n {
		flood, _ = pub("t", "x", 0).Append(flood, mqtt.V5)
	}
	t.Run("that a violation brings", func(t *testing.T) {
		hostile(t, a, func(h *hall) {
			r := h.online(mqtt.V5, "indebted")
			r.bytes(append(flood, 0, 0))
			r.closedWith(mqtt.MalformedPacket)
			h.deserted()
		})
	})
	t.Run("that an operator brings", func(t *testing.T) {
		hostile(t, a, func(h *hall) {
			before := h.b.Stats().PublishReceived.Load()
			r := h.online(mqtt.V5, "indebted")
			r.bytes(flood)
			h.eventually("the flood is read", func() bool { return h.b.Stats().PublishReceived.Load() == before+n })
			h.b.Disconnect("indebted", broker.ReasonAdministrative)
			r.closedWith(mqtt.AdministrativeAction)
			h.deserted()
		})
	})
}
