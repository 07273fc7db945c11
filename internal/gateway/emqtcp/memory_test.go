package emqtcp_test

import (
	"fmt"
	"log/slog"
	"runtime"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/emqtcp"
)

// What an idle device costs, BenchmarkIdle measures: beside what it keeps on the
// heap there is a stack of 2 KB, what the runtime needs, and gaps. The devices of
// this test are in the same process, so their half is in the figure.
func TestIdleDevicesAreSmall(t *testing.T) {
	const devices, most = 1000, 4200
	s := start(t, emqtcp.Config{Logger: slog.New(slog.DiscardHandler)}, broker.Config{})
	for i := range 50 { // what is made once
		s.login(fmt.Sprint("first", i))
	}
	before := heap()
	for i := range devices {
		s.login(fmt.Sprintf("device-%05d", i))
	}
	perDevice := (heap() - before) / devices
	t.Logf("%d bytes", perDevice)
	if perDevice > most {
		t.Errorf("%d bytes of heap for each device, want at most %d", perDevice, most)
	}
}

func heap() int64 {
	runtime.GC()
	runtime.GC() // pools are emptied by the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
