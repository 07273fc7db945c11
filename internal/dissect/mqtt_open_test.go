package dissect

import (
	"math/rand/v2"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// A table agrees with a map, whatever is put in and taken out.
func TestOpenTable(t *testing.T) {
	for _, ids := range []int{1, 7, 16, 400, 65536} {
		r := rand.New(rand.NewPCG(uint64(ids), 1))
		var table openTable
		want := map[uint16]int{}
		for step := range 20000 {
			id := uint16(r.IntN(ids) * (1 + step%3*7))
			switch open := table.get(id); {
			case open != nil && open.first != want[id], (open != nil) != (want[id] != 0):
				t.Fatalf("of %d identifiers, step %d: %+v, want %d", ids, step, open, want[id])
			case open != nil && r.IntN(3) > 0:
				table.remove(open)
				delete(want, id)
			default:
				table.put(mqttOpen{id: id, first: step + 1, typ: mqtt.TypePublish})
				want[id] = step + 1
			}
			if table.count != len(want) {
				t.Fatalf("of %d identifiers, step %d: %d, want %d", ids, step, table.count, len(want))
			}
		}
		for id, first := range want {
			if open := table.get(id); open == nil || open.first != first {
				t.Errorf("of %d identifiers, %d: %+v, want %d", ids, id, open, first)
			}
		}
		if table.clear(); table.count != 0 || table.get(0) != nil {
			t.Errorf("%d are left", table.count)
		}
	}
}
