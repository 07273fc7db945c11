package mqtt

import (
	"testing"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// Whatever the broker's reason is, the DISCONNECT that tells it is a legal one.
// // [MQTT-3.14.2-1]
func TestFarewellsAreForDisconnect(t *testing.T) {
	for r := range broker.ReasonUnavailable + 1 {
		code := farewellOf(r)
		b, err := mqtt.Disconnect{Code: code}.Append(nil, mqtt.V5)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := mqtt.Parse(b, mqtt.Options{Version: mqtt.V5, FromServer: true}); err != nil {
			t.Errorf("reason %d: %v: %v", r, code, err)
		}
	}
}

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
