package mqttsn

import (
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
)

func TestLogTellsThatMinusOneIsOff(t *testing.T) {
	w := newWorld(t, nil)
	var log gatewaytest.Journal
	w.gw.log = slog.New(slog.NewTextHandler(&log, nil))
	publish := func() {
		w.gw.publishMinusOne(w.work, event{from: path{port: w.port, addr: netip.MustParseAddrPort("192.0.2.7:4000")}})
	}
	lines := func(want int) {
		t.Helper()
		if got := strings.Count(log.String(), "qos_minus_one.enabled"); got != want {
			t.Errorf("%d lines, want %d: %s", got, want, log.String())
		}
	}
	w.work.now = w.now
	publish()
	publish()
	lines(1)
	w.work.now = w.now.Add(time.Minute)
	publish()
	lines(2)
	if !strings.Contains(log.String(), "192.0.2.7:4000") {
		t.Error(log.String())
	}
}
