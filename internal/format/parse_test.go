package format

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func TestRecordsAreReadBack(t *testing.T) {
	m := sample("21.5")
	m.Properties = mqtt.Properties(nil).AppendUserProperty("b", "1").AppendUserProperty("a", "2").
		AppendUserProperty("b", "3").AppendBytes(mqtt.PropCorrelationData, []byte{0xff, 0})
	for _, pretty := range []bool{false, true} {
		got, err := ParseRecord(AppendRecord(nil, m, pretty))
		if err != nil {
			t.Fatal(err)
		}
		want := Record{
			Time: m.Arrived, Topic: "a/b", QoS: 1, HasQoS: true, Retain: true, HasRetain: true, PacketID: 7,
			Properties: m.Properties, Payload: []byte("21.5"),
		}
		if diff := cmp.Diff(want, got, cmp.Comparer(func(a, b time.Time) bool { return a.Equal(b) })); diff != "" {
			t.Error(diff)
		}
	}
}
