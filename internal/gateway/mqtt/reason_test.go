package mqtt

import (
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Every PUBLISH asks for the reason code of its success.
func TestReasonOfSuccessAllocatesNothing(t *testing.T) {
	var code mqtt.ReasonCode
	if n := testing.AllocsPerRun(100, func() { code = reasonOf(nil) }); n != 0 || code != mqtt.Success {
		t.Errorf("%v allocations, code %v", n, code)
	}
}

func BenchmarkReasonOf(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		if reasonOf(nil) != mqtt.Success {
			b.Fatal("not a success")
		}
	}
}
