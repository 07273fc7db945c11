package fault

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/proxy"
)

func TestDelayedPacketsKeepTheirOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "delay 200ms±50 @ s2c PUBLISH / nth=1")
		begin := time.Now()
		if err := w.broker(publish(1, 1), mqtt.Pingresp{}); err != nil {
			t.Fatal(err)
		}
		took := time.Since(begin)
		if took < 150*time.Millisecond || took > 250*time.Millisecond {
			t.Error(took)
		}
		w.went(proxy.ToClient, line(publish(1, 1)), "PINGRESP")
		w.end()
	})
}

func TestDelayWithReorderIsOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "delay 1s reorder @ s2c PUBLISH")
		if err := w.broker(publish(1, 1), mqtt.Pingresp{}); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToClient, "PINGRESP")
		time.Sleep(time.Second)
		synctest.Wait()
		w.went(proxy.ToClient, line(publish(1, 1)))
		w.end()
	})
}

func TestStallForAWindowNeedsNoPacket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "stall @ both / at=10s for=90s")
		time.Sleep(9 * time.Second)
		synctest.Wait()
		if len(w.acts()) > 0 {
			t.Error("too early:", w.acts())
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if want := []string{"stall c2s true", "stall s2c true"}; !slices.Equal(w.acts(), want) {
			t.Error(w.acts())
		}
		time.Sleep(90 * time.Second)
		synctest.Wait()
		if want := []string{"stall c2s true", "stall s2c true", "stall c2s false", "stall s2c false"}; !slices.Equal(w.acts(), want) {
			t.Error(w.acts())
		}
		w.end()
	})
}

func TestEndsAtTheirTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "reset @ both client=a / at=5s", "close @ both client=b / at=5s", "inject s2c DISCONNECT code=0x8b / at=4s")
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if want := []string{fmt.Sprintf("end %v", proxy.Reset)}; !slices.Equal(w.acts(), want) {
			t.Error(w.acts())
		}
		w.went(proxy.ToClient, "DISCONNECT Server shutting down")
		w.end()
	})
}

func TestBlackholeForgetsBothDirections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "blackhole @ c2s PUBLISH / for=1m")
		if err := errors.Join(w.client(mqtt.Pingreq{}, publish(1, 1)), w.broker(mqtt.Pingresp{})); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer, "PINGREQ")
		w.went(proxy.ToClient)
		time.Sleep(time.Minute)
		if err := errors.Join(w.client(mqtt.Pingreq{}), w.broker(mqtt.Pingresp{})); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer, "PINGREQ")
		w.went(proxy.ToClient, "PINGRESP")
		w.end()
	})
}

func TestWindowsAndEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "drop @ s2c PINGRESP / after=30s", "first: drop @ c2s PUBLISH / nth=2", "drop @ c2s PINGREQ / after=first times=1",
			`drop @ s2c PUBLISH / after="s2c SUBACK" once`)
		ping := func(want ...string) {
			t.Helper()
			if err := w.broker(mqtt.Pingresp{}); err != nil {
				t.Fatal(err)
			}
			w.went(proxy.ToClient, want...)
		}
		ping("PINGRESP")
		time.Sleep(30 * time.Second)
		ping()
		if err := w.client(mqtt.Pingreq{}, publish(1, 1), publish(2, 1), mqtt.Pingreq{}, mqtt.Pingreq{}); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToServer, "PINGREQ", line(publish(1, 1)), "PINGREQ")
		if err := w.broker(publish(0, 0), mqtt.Suback{PacketID: 1, Codes: []mqtt.ReasonCode{0}}, publish(0, 0), publish(0, 0)); err != nil {
			t.Fatal(err)
		}
		w.went(proxy.ToClient, line(publish(0, 0)), "SUBACK id 1, Granted QoS 0", line(publish(0, 0)))
		w.end()
	})
}

func TestThrottleTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "throttle 1KB/s @ s2c")
		p := publish(0, 0)
		p.Payload = bytes.Repeat([]byte("x"), 492) // 500 bytes with all
		begin := time.Now()
		if err := w.broker(p, p, p, p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin).Round(10 * time.Millisecond); took != 2*time.Second {
			t.Error(took)
		}
		w.end()
	})
}

// TestHowMuchIsOvertakenHasAnEnd has packets wait a second beside the connection, until that is too much.
func TestHowMuchIsOvertakenHasAnEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWire(t, "a", mqtt.V5, "delay 1s reorder @ s2c PUBLISH")
		p := publish(0, 0)
		p.Payload = make([]byte, maxHeldBytes/4)
		begin := time.Now()
		if err := w.broker(p, p, p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("what is overtaken holds the others up for %v", took)
		}
		if err := w.broker(p); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(begin); took != time.Second {
			t.Errorf("the last went on after %v", took)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		w.went(proxy.ToClient, slices.Repeat([]string{line(p)}, 4)...)
		w.end()
	})
}
